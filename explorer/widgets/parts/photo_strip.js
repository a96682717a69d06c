// Small photos with a line of text under each; a sign, a word and a frame say whether an answer is right.

function make(tag, className, parent, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}

function render({ model, el }) {
  const root = make("div", "vx-photos", el);
  root.setAttribute("role", "list");
  let urls = [];
  const clean = () => urls.splice(0).forEach((url) => URL.revokeObjectURL(url));

  function draw() {
    clean();
    root.replaceChildren();
    const { sizes = [], data } = model.get("_pictures") || {};
    let start = 0;
    for (const size of sizes) {
      urls.push(URL.createObjectURL(new Blob([new Uint8Array(data.buffer, data.byteOffset + start, size)])));
      start += size;
      const figure = make("figure", "vx-photos-one", root);
      figure.setAttribute("role", "listitem");
      const image = make("img", "", figure);
      image.src = urls.at(-1);
      image.draggable = false;
      make("figcaption", "", figure);
    }
    root.dataset.photos = String(sizes.length);
    write();
  }
  function write() {
    root.setAttribute("aria-label", model.get("label"));
    root.style.setProperty("--vx-photo", `${model.get("side")}px`);
    root.hidden = !root.children.length;
    const captions = model.get("_captions") || [];
    [...root.children].forEach((figure, i) => {
      const { text = "", right = null, title = "" } = captions[i] ?? {};
      figure.dataset.right = right === null ? "" : String(right);
      figure.title = title;
      figure.querySelector("img").alt = text || `photo ${i + 1}`;
      const caption = figure.querySelector("figcaption");
      caption.replaceChildren();
      if (right !== null) make("span", "vx-photos-sign", caption, right ? "✓ right" : "✗ wrong");
      if (text) make("span", "", caption, text);
    });
  }
  model.on("change:_pictures", draw);
  const watched = ["_captions", "label", "side"];
  watched.forEach((key) => model.on(`change:${key}`, write));
  draw();
  return () => {
    model.off("change:_pictures", draw);
    watched.forEach((key) => model.off(`change:${key}`, write));
    clean();
    root.remove();
  };
}

export default {
  initialize({ model }) { model.send({ kind: "ready" }); },
  render,
};
