// Photos down, models across; a click on a row, or Enter on its photo, picks it. Everything is written as text.

const SIGNS = { true: "✓ right", false: "✗ wrong" };

function render({ model, el }) {
  const root = make("div", "vx-grid", el);
  root.dataset.lmSuppressShortcuts = "true";
  const box = make("div", "vx-grid-scroll", root);
  box.tabIndex = 0;                                      // a narrow page scrolls it, with the keyboard too
  box.setAttribute("role", "region");
  let urls = [], lines = [];
  const clean = () => urls.splice(0).forEach((url) => URL.revokeObjectURL(url));

  function pick(index) {
    model.set("selected", index);                        // marked at once; Python says what became of it
    mark();
    tell(model, { kind: "pick", index });
  }
  function draw() {
    const { models = [], rows = [], apart = "", means = "" } = JSON.parse(model.get("_grid") || "{}");
    root.hidden = !rows.length;
    root.dataset.rows = String(rows.length);
    box.setAttribute("aria-label", model.get("label"));
    const grid = make("table", ""), header = make("tr", "", make("thead", "", grid)), body = make("tbody", "", grid);
    const head = (text) => { const cell = make("th", "", header, text); cell.scope = "col"; return cell; };
    head("photo");
    head(apart).title = means;
    for (const [name, colour] of models) {
      const cell = head("");
      make("span", "vx-grid-dot", cell).style.background = colour;
      make("span", "", cell, name);
    }
    lines = rows.map((row, index) => {
      const line = make("tr", "", body), first = make("th", "", line);
      first.scope = "row";
      const photo = button(first, "", () => {}, { className: "vx-grid-photo" });  // the row hears the click
      photo.setAttribute("aria-label", `${row.photo}: make it the photo of all panels`);
      const image = make("img", "", photo);
      image.alt = "";                                    // the button says it
      image.draggable = false;
      const words = make("span", "vx-grid-words", first);
      make("b", "", words, row.photo);
      if (row.truth) make("span", "vx-grid-soft", words, row.truth);
      const number = make("td", "vx-grid-apart", line);
      make("span", "", number, row.apart);
      make("i", "", make("span", "vx-grid-bar", number)).style.width = `${100 * clamp(row.share, 0, 1)}%`;
      for (const { answer, sure, right } of row.cells) {
        const cell = make("td", "", line);
        cell.dataset.right = String(right);
        make("span", "vx-grid-answer", cell, answer || "–");
        const below = make("span", "vx-grid-soft", cell, sure);
        if (right !== null) make("b", "vx-grid-sign", below, SIGNS[right]);
      }
      line.onclick = () => pick(index);
      return line;
    });
    box.replaceChildren(grid);
    paint();
  }
  function paint() {
    clean();
    urls = pictureUrls(model.get("_pictures") || {});
    lines.forEach((line, index) => { if (urls[index]) line.querySelector("img").src = urls[index]; });
    mark();
  }
  function mark() {
    const selected = model.get("selected");
    lines.forEach((line, index) => {
      line.dataset.marked = String(index === selected);
      const photo = line.querySelector("button");
      if (index === selected) photo.setAttribute("aria-current", "true");
      else photo.removeAttribute("aria-current");
    });
  }
  const unwatch = watch(model, { _grid: draw, label: draw, _pictures: paint, selected: mark });
  draw();
  return () => { unwatch(); clean(); root.remove(); };
}

export default part(render);
