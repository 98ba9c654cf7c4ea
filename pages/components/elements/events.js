// What a person does in one of the app's own elements, on its way to the server (events.py).
//
// Of an element that sends twice before a run, Streamlit keeps the later sending alone, whatever events these are; and it
// may hand over the same one twice. So each sending holds all that the server has not confirmed, and all is numbered.

const unheard = new Map(); // by the element's key: [{ event, number, value }]
let lastNumber = 0;

// `heard`: the highest number of each event that the server has taken.
const sender = ({ key, heard }, setTriggerValue) => {
  const all = (unheard.get(key) ?? []).filter(({ event, number }) => number > (heard[event] ?? 0));
  unheard.set(key, all);
  return (event, value) => {
    lastNumber = Math.max(lastNumber + 1, Date.now()); // goes on where this script is loaded anew
    all.push({ event, number: lastNumber, value });
    for (const kind of new Set(all.map((one) => one.event))) {
      setTriggerValue(kind, all.filter((one) => one.event === kind));
    }
  };
};

// The element has left the page, and what it sent is not repeated: whoever pressed is told so by the server.
const forget = (key) => unheard.delete(key);
