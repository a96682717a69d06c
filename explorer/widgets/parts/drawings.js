// Pictures side by side. Those whose key stays are changed in place: the picture once it is decoded, texts at once.

function render({ model, el }) {
  const root = make("div", "vx-drawings", el);
  root.dataset.lmSuppressShortcuts = "true";
  root.setAttribute("role", "list");
  const figures = new Map();                            // key: { figure, image, url, ... }
  let saves = false;                                    // two views of one widget: only the one that was pressed saves

  function add(key) {
    const figure = make("figure", "vx-drawing-one", root), image = make("img", "", figure);
    figure.setAttribute("role", "listitem");
    image.draggable = false;
    const caption = make("figcaption", "", figure), title = make("b", "", caption), text = make("span", "vx-soft", caption);
    const one = { figure, image, title, text, bar: make("span", "vx-drawing-buttons", figure), url: "", newest: "", actions: "" };
    figures.set(key, one);
    return one;
  }
  function put(one, url) {
    one.newest = url;
    const next = new Image();
    next.src = url;
    const shown = () => {
      if (one.newest !== url) return URL.revokeObjectURL(url);   // a newer one is on its way
      one.image.src = url;
      if (one.url) URL.revokeObjectURL(one.url);
      one.url = url;
      one.figure.dataset.pictures = String(Number(one.figure.dataset.pictures ?? 0) + 1);
    };
    next.decode().then(shown, shown);
  }
  function drop(key) {
    const one = figures.get(key);
    one.newest = "";
    if (one.url) URL.revokeObjectURL(one.url);
    one.figure.remove();
    figures.delete(key);
  }
  function draw() {
    const { drawings = [], sizes = [], data } = model.get("_shown") || {}, urls = pictureUrls({ sizes, data });
    const keys = drawings.map((one) => one.key);
    [...figures.keys()].filter((key) => !keys.includes(key)).forEach(drop);
    drawings.forEach(({ key, title, text, alt, actions }, index) => {
      const one = figures.get(key) ?? add(key);
      if (root.children[index] !== one.figure) root.insertBefore(one.figure, root.children[index] ?? null);
      one.image.alt = alt || title;
      one.title.textContent = title;
      one.text.textContent = text;
      if (one.actions !== actions.join("\n")) {
        one.actions = actions.join("\n");
        one.bar.replaceChildren(...actions.map((action) => button(null, action, () => {
          saves = true;
          tell(model, { kind: "act", key, action });
        }, { label: `${action}: ${title}` })));
      }
      put(one, urls[index]);
    });
    root.hidden = !drawings.length;
    root.dataset.drawings = String(drawings.length);
  }
  function write() {
    root.setAttribute("aria-label", model.get("label"));
    root.style.setProperty("--vx-side", `${model.get("side")}px`);
  }
  function receive(content, buffers) {
    if (content.kind !== "file" || !saves) return;
    saves = false;
    saveFile(root, buffers[0], content);
  }
  const unwatch = watch(model, { _shown: draw, label: write, side: write });
  model.on("msg:custom", receive);
  write();
  draw();
  return () => {
    unwatch();
    model.off("msg:custom", receive);
    [...figures.keys()].forEach(drop);
    root.remove();
  };
}

export default part(render);
