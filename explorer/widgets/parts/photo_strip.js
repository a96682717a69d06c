// Small photos with a line of text under each; a sign, a word and a frame say whether an answer is right.

function render({ model, el }) {
  const root = make("div", "vx-photos", el);
  root.setAttribute("role", "list");
  let urls = [];
  const clean = () => urls.splice(0).forEach((url) => URL.revokeObjectURL(url));

  function draw() {
    clean();
    root.replaceChildren();
    urls = pictureUrls(model.get("_pictures") || {});
    for (const url of urls) {
      const figure = make("figure", "vx-photos-one", root);
      figure.setAttribute("role", "listitem");
      const image = make("img", "", figure);
      image.src = url;
      image.draggable = false;
      make("figcaption", "", figure);
    }
    root.dataset.photos = String(urls.length);
    write();
  }
  function write() {
    root.setAttribute("aria-label", model.get("label"));
    root.dataset.whole = String(model.get("whole"));
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
  const unwatch = watch(model, { _pictures: draw, _captions: write, label: write, side: write, whole: write });
  draw();
  return () => {
    unwatch();
    clean();
    root.remove();
  };
}

export default part(render);
