// The way from the photo to the answer: a stop a stage, its four strongest maps, its size. A click opens it.

function render({ model, el }) {
  const root = make("div", "vx-flow", el), row = make("div", "vx-flow-row", root), note = make("p", "vx-flow-note", root);
  row.dataset.lmSuppressShortcuts = "true";            // or an arrow key moves the notebook's selection
  row.setAttribute("role", "group");
  let urls = [];
  const clean = () => urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
  const buttons = () => [...row.querySelectorAll("button")];

  function draw() {
    const held = document.activeElement?.dataset?.stop;
    clean();
    const given = model.get("_stops") || {}, stops = given.stops ?? [];
    urls = pictureUrls(given);
    let next = 0;
    row.replaceChildren();
    stops.forEach((stop, index) => {
      if (index) make("span", "vx-flow-step", row, "›").setAttribute("aria-hidden", "true");
      const [channels, high, wide] = stop.shape;
      const size = `${high} × ${wide}`, count = `${channels} maps · ÷${stop.stride}`;
      const one = button(row, "", () => tell(model, { kind: "open", name: stop.name }), { className: "vx-flow-stop",
        label: `${stop.words}, ${stop.name}: ${count}, each ${size}. Open its feature maps` });
      one.dataset.stop = stop.name;
      const maps = make("span", "vx-flow-maps", one);
      maps.style.setProperty("--vx-flow-ratio", `${wide} / ${high}`);
      maps.dataset.maps = String(stop.channels.length);
      for (const channel of stop.channels) {
        const image = make("img", "", maps);
        image.src = urls[next++];
        image.alt = "";
        image.title = `Channel ${channel} of ${stop.name}`;
        image.draggable = false;
      }
      make("b", "", one, stop.words);
      make("span", "vx-flow-name", one, stop.name);
      make("span", "vx-flow-size", one, size);
      make("span", "vx-flow-size", one, count);
    });
    note.textContent = given.note ?? "";
    note.hidden = !given.note;
    root.dataset.stops = String(stops.length);
    mark();
    if (held) buttons().find((one) => one.dataset.stop === held)?.focus({ preventScroll: true });
  }
  function mark() {
    row.setAttribute("aria-label", model.get("label"));
    const chosen = model.get("chosen");
    for (const one of buttons()) one.setAttribute("aria-pressed", String(one.dataset.stop === chosen));
  }
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
    unwatch();
    clean();
    root.remove();
  };
}

export default part(render);
