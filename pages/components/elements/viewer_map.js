// The map that may lie over the viewer's picture, with its tools: it can be faded, outlined and taken away.

const LINE = "rgb(0, 220, 255)", LINE_WIDTH = 1.5; // around a map's highest places; pixels of the screen
const covers = { strength: 60, line: true, shown: true }; // kept from image to image

// `find` finds an element of the viewer by its selector, `repaint` draws what is on the `canvas` anew.
const mapOver = (find, canvas, repaint) => {
  const of = find(".of"), strength = find(".strength"), line = find(".line");
  let overlay = null, alt = ""; // what the server has sent: the map, and the picture in words
  let awaited = null, picture = null; // its picture while it is being decoded, and then

  const tools = () => {
    find(".map").hidden = !overlay;
    strength.value = covers.strength;
    line.setAttribute("aria-pressed", covers.line);
    of.setAttribute("aria-pressed", covers.shown);
    of.textContent = overlay?.title ?? "";
    canvas.setAttribute("aria-label", overlay && covers.shown ? `${alt}, under the map ${overlay.title}` : alt);
  };
  const change = (what) => {
    Object.assign(covers, what);
    tools();
    repaint();
  };
  const show = (next, words) => {
    const before = overlay;
    [overlay, alt] = [next, words];
    tools();
    if (before?.id === next?.id && before?.image === next?.image) return; // the same map
    awaited = picture = null; // what lay there is another picture's
    delete canvas.dataset.covered;
    repaint();
    if (!next) return;
    const decoded = new Image();
    decoded.onload = () => {
      if (decoded !== awaited) return; // another one is meant by now
      [awaited, picture] = [null, decoded];
      canvas.dataset.covered = next.id;
      repaint();
    };
    awaited = decoded;
    decoded.src = next.image;
  };
  // Over the square in the middle of the picture `under`, in whose pixels the context draws, each of `scale` pixels.
  const paint = (context, scale, under) => {
    if (!picture || !covers.shown) return;
    const side = Math.min(under.width, under.height);
    const left = Math.floor((under.width - side) / 2), top = Math.floor((under.height - side) / 2);
    context.imageSmoothingEnabled = true;
    context.globalAlpha = covers.strength / 100;
    context.drawImage(picture, left, top, side, side);
    context.globalAlpha = 1;
    if (!covers.line) return;
    context.strokeStyle = LINE;
    context.lineWidth = (LINE_WIDTH * (window.devicePixelRatio || 1)) / scale;
    for (const points of overlay.lines) {
      context.beginPath();
      for (const [x, y] of points) context.lineTo(left + x * side, top + y * side);
      context.stroke();
    }
  };
  const toggle = () => overlay && change({ shown: !covers.shown });

  of.onclick = toggle;
  line.onclick = () => change({ line: !covers.line });
  strength.oninput = () => change({ strength: Number(strength.value), shown: true });
  return {
    show,
    paint,
    toggle,
    end: () => (awaited = picture = null),
  };
};
