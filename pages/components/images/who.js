// The reader's name, kept by the browser: the tab's own, and the one that was typed last, for new tabs. A tab also has a
// token, so that it is known again after a reload or another server. Nothing is seen of this element.

const NAME = "colora.reader", TAB = "colora.tab";
const FIRST = 2000; // milliseconds until a question without an answer is answered again; doubled each time

// A browser may refuse its storages; then name and token last as long as the page.
const without = new Map();
const kept = (storage) => ({
  get: (key) => {
    try {
      return window[storage].getItem(key);
    } catch {
      return without.get(storage + key) ?? null;
    }
  },
  set: (key, value) => {
    try {
      window[storage].setItem(key, value);
    } catch {
      without.set(storage + key, value);
    }
  },
});
const own = kept("sessionStorage"), common = kept("localStorage");

const token = () => {
  if (!own.get(TAB)) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    own.set(TAB, [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
  }
  return own.get(TAB);
};

let waiting = 0; // until the question is answered again

export default function ({ data, parentElement, setTriggerValue }) {
  clearTimeout(waiting);
  parentElement.querySelector("span").dataset.agreed = data.known ? data.session : "";
  const answer = (after) => {
    setTriggerValue("said", { name: own.get(NAME) ?? common.get(NAME) ?? "", tab: token() });
    waiting = setTimeout(() => answer(2 * after), after); // the server may have gone meanwhile
  };
  if (!data.known) answer(FIRST);
  else if (data.name && own.get(NAME) !== data.name) {
    own.set(NAME, data.name);
    if (data.typed) common.set(NAME, data.name);
  }
  return () => clearTimeout(waiting);
}
