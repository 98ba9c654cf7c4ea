// A grid of image tiles. Texts come from file and class names, so they are only ever set as text.
// Keys: arrows move between tiles, Enter opens one, Page Up and Page Down turn pages; where nothing has the focus,
// the left and right arrow turn pages too.

const made = (tag, className, text) => {
  const element = document.createElement(tag);
  element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};

const line = (kind, colour, answer, name) => {
  const row = made("span", `line ${kind}`);
  const dot = made("span", "dot");
  dot.style.background = colour;
  if (answer !== null) row.append(made("span", "answer", answer));
  row.append(dot, made("span", "name", name));
  return row;
};

const drawn = (tile, chosen) => {
  const button = made("button", tile.id === chosen ? "tile chosen" : "tile");
  button.type = "button";
  button.dataset.id = tile.id;
  button.setAttribute("aria-label", [tile.alt, ...tile.marks].join(", "));
  if (tile.id === chosen) button.setAttribute("aria-current", "true");

  const frame = made("span", "frame");
  if (tile.image) {
    const image = made("img", "");
    image.src = tile.image;
    image.alt = tile.alt;
    image.draggable = false;
    frame.append(image);
  } else {
    frame.append(made("span", "problem", tile.problem));
  }
  if (tile.rank) frame.append(made("span", "corner", tile.rank));
  const marks = made("span", "marks");
  tile.marks.forEach((mark) => marks.append(made("span", "mark", mark)));
  frame.append(marks);

  const facts = made("span", "facts");
  const first = line("true", tile.true.colour, null, tile.true.name);
  first.append(made("span", "score", tile.score));
  facts.append(first);
  if (tile.predicted) {
    const { colour, name } = tile.predicted;
    facts.append(line(tile.right ? "right" : "wrong", colour, tile.right ? "✓" : "✗", name));
  }
  tile.notes.forEach((note) => facts.append(made("span", "note", note)));
  const bar = made("span", "bar");
  tile.bar.forEach(({ name, share, colour }) => {
    const part = made("i", "");
    part.style.cssText = `flex: ${share} 0 0; background: ${colour}`;
    part.title = `${name} ${(100 * share).toFixed(1)} %`;
    bar.append(part);
  });
  if (tile.bar.length) facts.append(bar);
  button.append(frame, facts);
  return button;
};

const TURNS = { PageDown: 1, PageUp: -1 };
const MOVES = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };

// Outlives each drawing of a grid, which Streamlit may make anew at any turn.
let pages = null; // { root, turn } of the grid whose pages are turned where nothing has the focus
let turning = false; // a page was turned from within the grid, which is to keep the focus
document.addEventListener("pointerdown", () => (turning = false));
document.addEventListener("keydown", (event) => {
  if (!pages?.root.isConnected || document.activeElement !== document.body) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "ArrowRight") pages.turn(1);
  if (event.key === "ArrowLeft") pages.turn(-1);
});

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".gallery");
  if (!root?.isConnected) return; // made anew or left meanwhile: the keys stay with the grid that is there
  const send = sender(data, setTriggerValue);
  const kept = root.contains(parentElement.activeElement);
  const lost = turning && document.activeElement === document.body;
  root.style.setProperty("--columns", data.columns);
  root.setAttribute("aria-label", data.label);
  root.replaceChildren(...data.tiles.map((tile) => drawn(tile, data.chosen)));
  const tiles = [...root.children];
  const current = Math.max(0, tiles.findIndex((tile) => tile.classList.contains("chosen")));
  tiles.forEach((tile, i) => (tile.tabIndex = i === current ? 0 : -1)); // one stop for the Tab key
  if ((kept || lost) && tiles.length) tiles[current].focus({ preventScroll: kept }); // made anew, the page has jumped

  const focus = (i) => {
    const next = tiles[Math.min(Math.max(i, 0), tiles.length - 1)];
    tiles.forEach((tile) => (tile.tabIndex = tile === next ? 0 : -1));
    next.focus();
  };
  const rowLength = () => tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length;

  root.onclick = (event) => {
    const tile = event.target.closest(".tile");
    if (tile) send("open", tile.dataset.id);
  };
  root.onkeydown = (event) => {
    const at = tiles.indexOf(event.target.closest(".tile"));
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowDown") focus(at + rowLength());
    else if (event.key === "ArrowUp") focus(at - rowLength());
    else if (event.key in MOVES) focus(at + MOVES[event.key]);
    else if (pages?.root === root && event.key in TURNS) {
      turning = true;
      pages.turn(TURNS[event.key]);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  if (data.turns) pages = { root, turn: (by) => send("turn", by) };
  else if (pages?.root === root) pages = null;
}
