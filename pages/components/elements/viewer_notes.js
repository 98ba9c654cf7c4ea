// Notes that are typed and not yet recorded with a verdict. The browser keeps them, whatever becomes of the server; where
// it refuses, as long as the page is open.

const DRAFTS = 100; // notes that wait for their verdict; the oldest go first
const OWN_DRAFT = "colora.note.";
const without = new Map(); // what the browser refuses to keep
const drafts = {
  get: (name) => {
    if (without.has(name)) return without.get(name);
    try {
      return JSON.parse(localStorage.getItem(OWN_DRAFT + name))?.note ?? null;
    } catch {
      return null;
    }
  },
  keep: (name, note) => {
    try {
      localStorage.setItem(OWN_DRAFT + name, JSON.stringify({ note, at: Date.now() }));
      const all = Object.keys(localStorage).filter((key) => key.startsWith(OWN_DRAFT));
      if (all.length <= DRAFTS) return;
      const age = new Map(all.map((key) => [key, JSON.parse(localStorage.getItem(key)).at]));
      all.sort((a, b) => age.get(a) - age.get(b)).slice(0, -DRAFTS).forEach((key) => localStorage.removeItem(key));
    } catch {
      without.set(name, note);
    }
  },
  drop: (name) => {
    without.delete(name);
    try {
      localStorage.removeItem(OWN_DRAFT + name);
    } catch {
      // nothing is kept there
    }
  },
};
