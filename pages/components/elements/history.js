// One move, one step of Back. Streamlit makes an entry of the browser's history for a page, one more for its parameters,
// and, where the app opens the page, one for its parameters under the page that is left. Until a person acts again, or
// goes back, each further address belongs to the same move and takes the last one's place. What is typed into a form, which
// the address keeps under names that begin with "with.", is no move either: Back leaves the form.
const ACTS = ["pointerdown", "keydown", "click"];
const INSTALLED = Symbol.for("colora.history");

function without(typed) {
  const address = new URL(typed, location.href);
  for (const name of [...address.searchParams.keys()]) if (name.startsWith("with.")) address.searchParams.delete(name);
  return address.href;
}

function install() {
  let acted = false;
  const push = history.pushState;
  for (const act of ACTS) addEventListener(act, (event) => (acted ||= event.isTrusted), { capture: true, passive: true });
  addEventListener("popstate", () => (acted = false), true);
  history.pushState = function (...address) {
    const moves = acted && without(address[2]) !== without(location.href);
    (moves ? push : history.replaceState).apply(this, address);
    if (moves) acted = false;
  };
}

export default function ({ data, setStateValue }) {
  if (!window[INSTALLED]) install();
  window[INSTALLED] = true;
  if (!data.ready) setStateValue("ready", true);
}
