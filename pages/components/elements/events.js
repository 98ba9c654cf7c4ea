// What a person does in one of the app's own elements, on its way to the server (events.py).
//
// Of an element that sends twice before a run, Streamlit keeps the later sending alone, whatever events these are; and it
// may hand over the same one twice. So each sending holds all that the server has not confirmed, and all is numbered.

const unheard = new Map(); // by the element's key: [{ event, number, value }]
let lastNumber = 0;

// `heard`: the highest number of each event that the server has taken, or -1 where it takes none of those that wait.
const sender = ({ key, heard }, setTriggerValue) => {
  const waits = ({ event, number }) => heard[event] !== -1 && number > (heard[event] ?? 0);
  unheard.set(key, (unheard.get(key) ?? []).filter(waits));
  return (event, value) => {
    lastNumber = Math.max(lastNumber + 1, Date.now()); // goes on from the page before a reload
    const all = unheard.get(key);
    all.push({ event, number: lastNumber, value });
    for (const kind of new Set(all.map((one) => one.event))) {
      setTriggerValue(kind, all.filter((one) => one.event === kind));
    }
  };
};
