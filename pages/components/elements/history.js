// One move, one step of Back. Streamlit makes an entry of the browser's history for a page, one more for its parameters,
// and, where the app opens the page, one for its parameters under the page that is left. Until a person acts again, or
// goes back, each further address belongs to the same move and takes the last one's place.
const ACTS = ["pointerdown", "keydown", "click"];
const INSTALLED = Symbol.for("colora.history");

function install() {
  let acted = false;
  const push = history.pushState;
  for (const act of ACTS) addEventListener(act, (event) => (acted ||= event.isTrusted), { capture: true, passive: true });
  addEventListener("popstate", () => (acted = false), true);
  history.pushState = function (...address) {
    (acted ? push : history.replaceState).apply(this, address);
    acted = false;
  };
}

export default function ({ data, setStateValue }) {
  if (!window[INSTALLED]) install();
  window[INSTALLED] = true;
  if (!data.ready) setStateValue("ready", true);
}
