// The way from the photo to the answer: the photo, then a stop a stage with its four strongest maps and its size.
// A click opens the stage; the pointer on a cell frames what that cell is computed from.

function render({ model, el }) {
  const root = make("div", "vx-flow", el), photo = make("figure", "vx-flow-photo", root);
  const right = make("div", "vx-flow-stops", root), row = make("div", "vx-flow-row", right), note = make("p", "vx-flow-note", right);
  const pictured = make("div", "vx-flow-seen", photo), picture = make("img", "", pictured), frame = make("div", "vx-flow-frame", pictured);
  const caption = make("figcaption", "vx-caption", photo), title = make("span", "", caption), said = make("span", "vx-soft", caption);
  frame.hidden = true;
  let photoUrl = "", saidThere = "", built = "";
  row.dataset.lmSuppressShortcuts = "true";            // or an arrow key moves the notebook's selection
  row.setAttribute("role", "group");
  let urls = [];
  const clean = () => [photoUrl, ...urls.splice(0)].filter(Boolean).forEach((url) => URL.revokeObjectURL(url));
  const buttons = () => [...row.querySelectorAll("button")];

  function draw() {
    const held = document.activeElement?.dataset?.stop;
    clean();
    const given = model.get("_stops") || {}, stops = given.stops ?? [];
    urls = pictureUrls(given);
    const shown = given.photo?.byteLength > 0;
    photoUrl = shown ? urlOf(bytesOf(given.photo), "image/jpeg") : "";
    photo.hidden = !shown;
    if (shown) picture.src = photoUrl;
    picture.alt = `What the network sees of ${given.title ?? ""}`;
    title.textContent = title.title = given.title ?? "";
    said.textContent = saidThere = given.said ?? "";
    unframe();
    // With the same stops the buttons stay: photos may follow a camera, and a click needs its button all the while.
    const kind = JSON.stringify(stops.map((stop) => [stop.name, stop.words, stop.shape, stop.stride, stop.channels.length]));
    if (kind !== built) build(stops);
    built = kind;
    const channels = stops.flatMap((stop) => stop.channels);
    row.querySelectorAll(".vx-flow-maps img").forEach((image, at) => {
      image.title = `Channel ${channels[at]}`;
      image.src = urls[at];
    });
    note.textContent = given.note ?? "";
    note.hidden = !given.note;
    root.dataset.stops = String(stops.length);
    mark();
    if (held) buttons().find((one) => one.dataset.stop === held)?.focus({ preventScroll: true });
  }
  function build(stops) {
    row.replaceChildren();
    stops.forEach((stop, index) => {
      if (index) make("span", "vx-flow-step", row, "›").setAttribute("aria-hidden", "true");
      const [channels, high, wide] = stop.shape;
      const size = `${high} × ${wide}`, count = `${channels} map${channels === 1 ? "" : "s"} · ÷${stop.stride}`;
      const one = button(row, "", () => tell(model, { kind: "open", name: stop.name }), { className: "vx-flow-stop",
        label: `${stop.words}, ${stop.name}: ${count}, each ${size}. Open its feature maps` });
      one.dataset.stop = stop.name;
      const maps = make("span", "vx-flow-maps", one);
      maps.style.setProperty("--vx-flow-ratio", `${wide} / ${high}`);
      maps.dataset.maps = String(stop.channels.length);
      for (const _ of stop.channels) {
        const image = make("img", "", maps);
        image.alt = "";
        image.draggable = false;
      }
      make("b", "", one, stop.words);
      make("span", "vx-flow-name", one, stop.name);
      make("span", "vx-flow-size", one, size);
      make("span", "vx-flow-size", one, count);
    });
  }
  function mark() {
    row.setAttribute("aria-label", model.get("label"));
    const chosen = model.get("chosen");
    for (const one of buttons()) one.setAttribute("aria-pressed", String(one.dataset.stop === chosen));
  }
  // --- what a cell is computed from ---
  function unframe() {
    frame.hidden = true;
    said.textContent = saidThere;
  }
  let asked = null;
  const onMove = (event) => {
    const image = event.target.closest(".vx-flow-maps img");
    if (!image) return unframe();
    const name = image.closest("button").dataset.stop, reads = model.get("_reads") || {};
    if (!reads[name]) {
      if (asked !== model.get("_stops")) tell(model, { kind: "reads" });
      asked = model.get("_stops");
      return unframe();
    }
    const { columns, rows, said: word } = reads[name], box = image.getBoundingClientRect();
    const [, high, wide] = (model.get("_stops").stops ?? []).find((one) => one.name === name).shape;
    const column = clamp(Math.floor(wide * (event.clientX - box.left) / box.width), 0, wide - 1);
    const line = clamp(Math.floor(high * (event.clientY - box.top) / box.height), 0, high - 1);
    const [left, to] = columns[column] ?? [0, 1], [top, bottom] = rows[line] ?? [0, 1];
    Object.assign(frame.style, { left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * (to - left)}%`,
      height: `${100 * (bottom - top)}%` });
    frame.hidden = false;
    said.textContent = `Row ${line}, column ${column}: ${word}`;
  };
  row.addEventListener("pointermove", onMove);
  row.addEventListener("pointerleave", unframe);

  const onKey = (event) => {
    const all = buttons(), index = all.indexOf(event.target.closest("button"));
    const to = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: all.length - 1 }[event.key];
    if (index < 0 || to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    all[clamp(to, 0, all.length - 1)].focus();
  };
  row.addEventListener("keydown", onKey);
  const unwatch = watch(model, { _stops: draw, chosen: mark, label: mark });
  draw();
  return () => {
    row.removeEventListener("keydown", onKey);
    row.removeEventListener("pointermove", onMove);
    row.removeEventListener("pointerleave", unframe);
    unwatch();
    clean();
    root.remove();
  };
}

export default part(render);
