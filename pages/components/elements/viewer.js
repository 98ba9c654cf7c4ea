// One image, large, under its name: zoom and pan, window and level, invert, and the verdict on it. All but the verdict
// happens here, so it answers at once.
// The arrow keys go to the neighbours in the list, + and - zoom, 0 shows all, i inverts, m hides a map that lies over the
// picture, Escape goes back.
//
// Streamlit calls the default export again whenever the data change, and what that returned only when the element is
// taken off the page. So one viewer lives on the page and is told what to show; what was under way for the image
// before (a picture still being decoded, a drawing that waits for its frame) ends there. Name, picture and verdict are
// one element, so that none of them can be another image's; a verdict carries the id of the picture that was painted.
//
// One script with events.js, by which all is sent, viewer_notes.js, which keeps the notes, and viewer_map.js, which lays a
// map over the picture.

const MOST = 16; // times the size that fits

// A slider to the right means more contrast, a narrower window, and a brighter picture, a lower level.
const NARROWEST = 8, WIDEST = 510;
const USUAL = { window: 255, level: 128, invert: false };
const settings = { ...USUAL }; // kept from image to image, as on a reading station
const whole = () => ({ zoom: 1, x: 0.5, y: 0.5 });
const looked = { id: null, layer: 0, view: whole() }; // at what; an element that Streamlit makes anew goes on there

// What lies over the page while it is there, and has the keys for itself wherever the focus is.
const OVER = '[role="dialog"], [role="menu"], [role="listbox"]';

const greys = ({ window, level, invert }) => {
  const table = new Uint8ClampedArray(256);
  for (let v = 0; v < 256; v++) {
    const grey = ((v - (level - window / 2)) / Math.max(window, 1)) * 255;
    table[v] = invert ? 255 - grey : grey;
  }
  return table;
};

const button = (text, pressed, onclick) => {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = text;
  element.setAttribute("aria-pressed", pressed);
  element.onclick = onclick;
  return element;
};

const viewerIn = (root) => {
  const find = (selector) => root.querySelector(selector);
  const canvas = find("canvas"), reading = find(".reading"), problem = find(".problem"), undo = find(".undo");
  const note = find(".noted input");
  const windowed = find(".window"), levelled = find(".level"), inverted = find(".invert");
  const shown = document.createElement("canvas"); // the layer after window, level and inversion
  let data = null, send = null; // the image that is named, and the way to the server
  let awaited = null, pixels = null; // that picture while it is being decoded, and then
  let draft = null; // which image's note stands in the field, and the name under which the browser keeps it
  let frame = 0, painted = null; // the drawing that waits; the id of the image whose pixels are on the canvas

  const scale = () => Math.min(canvas.width / shown.width, canvas.height / shown.height) * looked.view.zoom;
  const keepInside = () => {
    for (const [axis, length, room] of [["x", shown.width, canvas.width], ["y", shown.height, canvas.height]]) {
      const half = Math.min(0.5, room / scale() / length / 2);
      looked.view[axis] = Math.min(Math.max(looked.view[axis], half), 1 - half);
    }
  };
  const black = () => {
    const context = canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    return context;
  };
  const paint = () => {
    frame = 0;
    if (!pixels || !canvas.width) return;
    keepInside();
    const context = black(), s = scale(), { x, y } = looked.view;
    context.imageSmoothingEnabled = s < 4; // closer up the pixels themselves are of interest
    context.imageSmoothingQuality = "high";
    context.setTransform(
      s, 0, 0, s, canvas.width / 2 - x * shown.width * s, canvas.height / 2 - y * shown.height * s);
    context.drawImage(shown, 0, 0);
    map.paint(context, s, shown);
    context.resetTransform();
    canvas.classList.toggle("zoomed", looked.view.zoom > 1);
    reading.textContent = `${shown.width} × ${shown.height} px · ${Math.round(looked.view.zoom * 100)} %`;
    onScreen(data.id);
  };
  const repaint = () => (frame ||= requestAnimationFrame(paint));
  const map = mapOver(find, canvas, repaint);
  const onScreen = (id) => {
    painted = id;
    if (id === null) delete canvas.dataset.ready;
    else canvas.dataset.ready = id;
    const nobody = id === null || data.reader === null;
    for (const verdict of find(".verdicts").children) verdict.disabled = nobody;
    undo.disabled = nobody || data.event === null;
  };

  const develop = () => {
    windowed.value = NARROWEST + WIDEST - settings.window;
    levelled.value = 255 - settings.level;
    inverted.setAttribute("aria-pressed", settings.invert);
    if (!pixels) return;
    const table = greys(settings);
    const out = new ImageData(new Uint8ClampedArray(pixels.data), pixels.width, pixels.height);
    for (let i = 0; i < out.data.length; i++) if (i % 4 !== 3) out.data[i] = table[out.data[i]];
    shown.getContext("2d").putImageData(out, 0, 0);
    repaint();
  };
  const fit = () => {
    if (!pixels) return; // the place stays as large as it is until it is known what comes
    const width = canvas.clientWidth, dense = window.devicePixelRatio || 1;
    const height = Math.min((width * pixels.height) / pixels.width, Math.max(320, window.innerHeight * 0.62));
    canvas.style.height = `${height}px`;
    const [across, down] = [Math.round(width * dense), Math.round(height * dense)];
    if (canvas.width === across && canvas.height === down) return repaint();
    [canvas.width, canvas.height] = [across, down]; // which empties it
    cancelAnimationFrame(frame);
    paint();
  };
  const fail = (text) => {
    problem.textContent = text;
    problem.hidden = !text;
    canvas.hidden = find(".tools").hidden = reading.hidden = !!text;
  };
  const load = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    awaited = pixels = null;
    black(); // what stood there is another picture
    reading.textContent = "…";
    onScreen(null);
    fail(data.problem);
    if (!data.layers.length) return;
    const picture = new Image();
    picture.onload = () => {
      if (picture !== awaited) return; // another one is named by now
      awaited = null;
      [shown.width, shown.height] = [picture.naturalWidth, picture.naturalHeight];
      const context = shown.getContext("2d", { willReadFrequently: true });
      context.drawImage(picture, 0, 0);
      pixels = context.getImageData(0, 0, shown.width, shown.height);
      develop();
      fit();
    };
    picture.onerror = () => {
      if (picture === awaited) fail("The browser could not draw this picture: reload the page.");
    };
    awaited = picture;
    picture.src = data.layers[looked.layer].image;
  };

  const choose = (i) => {
    if (i === looked.layer) return;
    Object.assign(looked, { layer: i, view: whole() });
    pictures();
    load();
  };
  const pictures = () => {
    const several = data.layers.length > 1 ? data.layers : [];
    find(".layers").replaceChildren(
      ...several.map(({ title }, i) => button(title, i === looked.layer, () => choose(i))),
    );
  };
  const names = () => {
    const { name } = data;
    find(".dot").style.background = name.colour;
    find(".true").textContent = name.true;
    find(".answer").hidden = name.right === null; // nobody knows what it is
    find(".answer").textContent = name.right ? "✓" : "✗";
    find(".answer").className = `answer ${name.right ? "right" : "wrong"}`;
    find(".says").textContent = name.says;
    find(".about").textContent = name.about;
  };
  const judge = (verdict) => {
    if (painted === null) return;
    const { data: of, reader, event } = data;
    if (verdict === "undo") drafts.keep(draft.name, note.value); // the text is there for another verdict
    send("judge", { verdict, seen: painted, data: of, reader, note: note.value, event });
  };
  const noted = () => {
    const of = `${data.data}\n${data.id}`;
    if (data.reader === null) {
      if (draft?.of === of) return; // who reads is asked anew, by another server: typing goes on
      draft = null;
      note.value = note.placeholder = "";
      note.disabled = true;
      return;
    }
    draft = { of, name: data.draft };
    let text = drafts.get(draft.name);
    if (text?.trim() === data.note) {
      drafts.drop(draft.name); // it is recorded
      text = null;
    }
    note.disabled = false;
    note.placeholder = `optional, with the verdict of ${data.reader}`;
    if (note.value !== (text ?? data.note)) note.value = text ?? data.note;
  };
  note.oninput = () => {
    if (note.value === data.note) drafts.drop(draft.name);
    else drafts.keep(draft.name, note.value);
  };
  note.onkeydown = (event) => {
    if (event.key === "Escape" && !event.isComposing) canvas.focus({ preventScroll: true });
  };
  const verdicts = () => {
    find(".judging").hidden = data.verdicts === null;
    if (data.verdicts === null) return;
    find(".standing").textContent = `Your verdict: ${data.reader === null ? "…" : data.standing || "none yet"}`;
    undo.title = data.event
      ? "Takes back your last verdict on this image; the one before stands again."
      : data.verdict
        ? "This verdict was not given in this tab: give another one instead."
        : "There is nothing to take back.";
    const choices = data.verdicts.map(({ id, title, about }) => {
      const choice = button(title, id === data.verdict, () => judge(id));
      choice.title = about;
      return choice;
    });
    const focused = [...find(".verdicts").children].indexOf(root.getRootNode().activeElement);
    find(".verdicts").replaceChildren(...choices);
    onScreen(painted); // the new buttons follow it too
    choices[focused]?.focus({ preventScroll: true });
  };

  const show = (next, trigger) => {
    const picture = () => data.layers[looked.layer]?.image ?? data.problem;
    const before = data?.id === next.id ? picture() : null;
    if (data === null) {
      const top = root.getBoundingClientRect().top;
      if (top < 0 || top > window.innerHeight / 3) root.scrollIntoView({ block: "start" });
    }
    [data, send] = [next, trigger];
    if (looked.id !== data.id) Object.assign(looked, { id: data.id, layer: 0, view: whole() });
    looked.layer = Math.min(looked.layer, Math.max(data.layers.length - 1, 0));
    names();
    pictures();
    if (picture() !== before) load();
    map.show(data.overlay, data.alt);
    verdicts();
    noted();
  };

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const zoom = (factor, [fx, fy] = [0.5, 0.5]) => {
    if (!pixels) return;
    const before = scale();
    looked.view.zoom = Math.min(Math.max(looked.view.zoom * factor, 1), MOST);
    const moved = 1 / before - 1 / scale(); // what lies under the pointer stays there
    looked.view.x += ((fx - 0.5) * canvas.width * moved) / shown.width;
    looked.view.y += ((fy - 0.5) * canvas.height * moved) / shown.height;
    repaint();
  };
  const reset = () => {
    looked.view = whole();
    Object.assign(settings, USUAL);
    develop();
  };
  const invert = () => {
    settings.invert = !settings.invert;
    develop();
  };

  find(".in").onclick = () => zoom(1.5);
  find(".out").onclick = () => zoom(1 / 1.5);
  find(".reset").onclick = reset;
  inverted.onclick = invert;
  undo.onclick = () => judge("undo");
  windowed.oninput = () => {
    settings.window = NARROWEST + WIDEST - windowed.value;
    develop();
  };
  levelled.oninput = () => {
    settings.level = 255 - levelled.value;
    develop();
  };
  canvas.ondblclick = (event) => zoom(looked.view.zoom > 1 ? 1 / MOST : 3, at(event));
  canvas.onwheel = (event) => {
    if (!event.ctrlKey && looked.view.zoom === 1) return; // the page scrolls, until someone has zoomed in
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 300), at(event));
  };
  const fingers = new Map();
  canvas.onpointerdown = (event) => {
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    canvas.setPointerCapture(event.pointerId);
    canvas.classList.add("dragged");
  };
  canvas.onpointermove = (event) => {
    const last = fingers.get(event.pointerId);
    if (!last || !pixels) return;
    const now = [event.clientX, event.clientY];
    if (fingers.size === 2) {
      const [other] = [...fingers.entries()].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const apart = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]) || 1;
      zoom(apart(now) / apart(last), at(event));
    } else if (looked.view.zoom > 1) {
      const dense = canvas.width / canvas.clientWidth / scale();
      looked.view.x -= ((now[0] - last[0]) * dense) / shown.width;
      looked.view.y -= ((now[1] - last[1]) * dense) / shown.height;
      repaint();
    }
    fingers.set(event.pointerId, now);
  };
  canvas.onpointerup = canvas.onpointercancel = (event) => {
    fingers.delete(event.pointerId);
    if (!fingers.size) canvas.classList.remove("dragged");
  };

  const keys = {
    ArrowRight: () => send("step", 1),
    ArrowLeft: () => send("step", -1),
    Escape: () => send("back", true),
    "+": () => zoom(1.5),
    "-": () => zoom(1 / 1.5),
    0: reset,
    i: invert,
    m: map.toggle,
  };
  const takes = (field, key) => field?.tagName === "INPUT" && (field.type !== "range" || key.startsWith("Arrow"));
  const pressed = (event) => {
    if (event.isComposing || [...document.querySelectorAll(OVER)].some((element) => element.checkVisibility())) return;
    const active = document.activeElement, inside = root.getRootNode(); // whose host stands for what has the focus in it
    const own = active === inside.host && !takes(inside.activeElement, event.key);
    if ((active !== document.body && !own) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  };
  const resized = new ResizeObserver(fit);
  resized.observe(find(".stage"));
  const end = () => {
    resized.disconnect();
    cancelAnimationFrame(frame);
    awaited = pixels = null;
    map.end();
  };
  return { root, show, pressed, end };
};

let live = null; // the viewer on the page; the keys are its own
let calls = 0;
// Heard on the way down: on the way up a field has lost the focus to what the key does there, and a popover is closed.
document.addEventListener("keydown", (event) => live?.root.isConnected && live.pressed(event), true);

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".viewer");
  if (!root?.isConnected) return; // made anew or left meanwhile
  const call = ++calls;
  if (live?.root !== root) {
    live?.end();
    live = viewerIn(root);
  }
  live.show(data, sender(data, setTriggerValue));
  return () => {
    if (call !== calls) return; // of an earlier element, or of data before these
    live?.end();
    live = null;
    forget(data.key);
  };
}
