// One image, large: zoom and pan, window and level, invert. All of it happens here, so it answers at once.
// The arrow keys go to the neighbours in the list, + and - zoom, 0 shows all, i inverts, Escape goes back.

const MOST = 16; // times the size that fits

// A slider to the right means more contrast, a narrower window, and a brighter picture, a lower level.
const NARROWEST = 8, WIDEST = 510;
const settings = { window: 255, level: 128, invert: false }; // kept from image to image, as on a reading station

const greys = ({ window, level, invert }) => {
  const table = new Uint8ClampedArray(256);
  for (let v = 0; v < 256; v++) {
    const grey = ((v - (level - window / 2)) / Math.max(window, 1)) * 255;
    table[v] = invert ? 255 - grey : grey;
  }
  return table;
};

export default function ({ data, parentElement, setTriggerValue }) {
  const find = (selector) => parentElement.querySelector(selector);
  const canvas = find("canvas"), reading = find(".reading"), problem = find(".problem");
  const layers = find(".layers"), windowed = find(".window"), levelled = find(".level"), inverted = find(".invert");
  const view = (parentElement.colora ??= { id: null, layer: 0 });
  if (view.id === null) {
    const top = find(".viewer").getBoundingClientRect().top;
    if (top < 0 || top > window.innerHeight / 3) find(".viewer").scrollIntoView({ block: "start" });
  }
  if (view.id !== data.id) Object.assign(view, { id: data.id, zoom: 1, x: 0.5, y: 0.5, layer: 0 });
  view.layer = Math.min(view.layer, Math.max(data.layers.length - 1, 0));
  problem.textContent = data.problem;
  problem.hidden = !data.problem;
  canvas.hidden = find(".tools").hidden = reading.hidden = !!data.problem;
  canvas.setAttribute("aria-label", data.alt);

  const source = document.createElement("canvas"); // the layer's own pixels
  const shown = document.createElement("canvas"); // after window, level and inversion
  let pixels = null, frame = 0, gone = false;

  const scale = () => Math.min(canvas.width / shown.width, canvas.height / shown.height) * view.zoom;
  const keepInside = () => {
    for (const [axis, length, room] of [["x", shown.width, canvas.width], ["y", shown.height, canvas.height]]) {
      const half = Math.min(0.5, room / scale() / length / 2);
      view[axis] = Math.min(Math.max(view[axis], half), 1 - half);
    }
  };
  const paint = () => {
    frame = 0;
    if (!pixels || gone || !canvas.width) return;
    keepInside();
    const context = canvas.getContext("2d"), s = scale();
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = s < 4; // closer up the pixels themselves are of interest
    context.imageSmoothingQuality = "high";
    context.setTransform(
      s, 0, 0, s, canvas.width / 2 - view.x * shown.width * s, canvas.height / 2 - view.y * shown.height * s);
    context.drawImage(shown, 0, 0);
    context.resetTransform();
    canvas.classList.toggle("zoomed", view.zoom > 1);
    reading.textContent = `${shown.width} × ${shown.height} px · ${Math.round(view.zoom * 100)} %`;
  };
  const repaint = () => (frame ||= requestAnimationFrame(paint));

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
    const ratio = pixels ? pixels.height / pixels.width : 1;
    const width = canvas.clientWidth, dense = window.devicePixelRatio || 1;
    const height = Math.min(width * ratio, Math.max(320, window.innerHeight * 0.68));
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * dense);
    canvas.height = Math.round(height * dense);
    repaint();
  };
  const load = () => {
    if (!data.layers.length) return;
    const image = new Image();
    image.onload = () => {
      if (gone) return;
      for (const one of [source, shown]) [one.width, one.height] = [image.naturalWidth, image.naturalHeight];
      const context = source.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      pixels = context.getImageData(0, 0, source.width, source.height);
      develop();
      fit();
      canvas.dataset.ready = data.id;
    };
    image.src = data.layers[view.layer].image;
    [...layers.children].forEach((button, i) => button.setAttribute("aria-pressed", i === view.layer));
  };

  layers.replaceChildren(
    ...(data.layers.length > 1 ? data.layers : []).map((layer, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = layer.title;
      button.onclick = () => {
        Object.assign(view, { layer: i, zoom: 1, x: 0.5, y: 0.5 });
        load();
      };
      return button;
    }),
  );

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const zoom = (factor, [fx, fy] = [0.5, 0.5]) => {
    if (!pixels) return;
    const before = scale();
    view.zoom = Math.min(Math.max(view.zoom * factor, 1), MOST);
    const moved = 1 / before - 1 / scale(); // what lies under the pointer stays there
    view.x += ((fx - 0.5) * canvas.width * moved) / shown.width;
    view.y += ((fy - 0.5) * canvas.height * moved) / shown.height;
    repaint();
  };
  const reset = () => {
    Object.assign(view, { zoom: 1, x: 0.5, y: 0.5 });
    Object.assign(settings, { window: 255, level: 128, invert: false });
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
  windowed.oninput = () => {
    settings.window = NARROWEST + WIDEST - windowed.value;
    develop();
  };
  levelled.oninput = () => {
    settings.level = 255 - levelled.value;
    develop();
  };
  canvas.ondblclick = (event) => zoom(view.zoom > 1 ? 1 / MOST : 3, at(event));
  canvas.onwheel = (event) => {
    if (!event.ctrlKey && view.zoom === 1) return; // the page scrolls, until someone has zoomed in
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
    } else if (view.zoom > 1) {
      const dense = canvas.width / canvas.clientWidth / scale();
      view.x -= ((now[0] - last[0]) * dense) / shown.width;
      view.y -= ((now[1] - last[1]) * dense) / shown.height;
      repaint();
    }
    fingers.set(event.pointerId, now);
  };
  canvas.onpointerup = canvas.onpointercancel = (event) => {
    fingers.delete(event.pointerId);
    if (!fingers.size) canvas.classList.remove("dragged");
  };

  const keys = {
    ArrowRight: () => setTriggerValue("step", 1),
    ArrowLeft: () => setTriggerValue("step", -1),
    Escape: () => setTriggerValue("back", true),
    "+": () => zoom(1.5),
    "-": () => zoom(1 / 1.5),
    0: reset,
    i: invert,
  };
  const pressed = (event) => {
    const active = document.activeElement; // a shadow root's host stands for what has the focus in it
    const own = active === parentElement.host && parentElement.activeElement?.tagName !== "INPUT";
    if ((active !== document.body && !own) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  };
  document.addEventListener("keydown", pressed);
  const resized = new ResizeObserver(fit);
  resized.observe(parentElement.querySelector(".stage"));
  load();
  return () => {
    gone = true;
    document.removeEventListener("keydown", pressed);
    resized.disconnect();
    cancelAnimationFrame(frame);
  };
}
