// Chips and a table of the models that were ticked; everything is written as text.

function render({ model, el }) {
  const root = make("div", "vx-compare", el);
  root.dataset.lmSuppressShortcuts = "true";
  const bar = make("div", "vx-compare-bar", root);
  const box = make("div", "vx-compare-scroll", root);
  box.tabIndex = 0;                                     // a narrow page scrolls it, with the keyboard too
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Models side by side");
  const say = (text) => { live.textContent = text; };
  const byHand = copier(root, "vx-compare-byhand", say);
  const live = make("div", "vx-compare-live", root);
  live.setAttribute("role", "status");
  let table = { columns: [], rows: [], markdown: "" };

  function draw() {
    const focused = bar.contains(document.activeElement);
    table = JSON.parse(model.get("_table") || '{"columns": [], "rows": [], "markdown": ""}');
    root.hidden = !table.rows.length;
    root.dataset.models = String(table.rows.length);
    byHand.hide();
    say("");
    bar.replaceChildren();
    make("h3", "", bar, "Compare");
    for (const [name] of table.rows) {
      const chip = make("span", "vx-chip", bar);
      const send = (kind) => tell(model, { kind, name }, say);
      button(chip, name, () => send("pick"), { className: "vx-chip-name" }).title = "Show its card";
      const label = `Remove ${name}`;
      const remove = button(chip, "×", () => send("remove"), { className: "vx-chip-remove", label });
      remove.title = "Take it away";
    }
    const copy = () => byHand.copy(table.markdown, "Copied. Paste it into a Markdown cell.");
    const copyButton = button(bar, "Copy as Markdown", copy, { className: "vx-compare-copy" });
    if (focused && !root.hidden) copyButton.focus();    // the chip that had it is gone
    box.replaceChildren();
    const grid = make("table", "", box);
    const header = make("tr", "", make("thead", "", grid));
    table.columns.forEach((text) => { make("th", "", header, text).scope = "col"; });
    const body = make("tbody", "", grid);
    for (const row of table.rows) {
      const line = make("tr", "", body);
      row.forEach((text, column) => {
        const cell = make(column ? "td" : "th", "", line, text);
        if (!column) cell.scope = "row";
      });
    }
  }
  const unwatch = watch(model, { _table: draw });
  draw();
  return () => { unwatch(); root.remove(); };
}

export default part(render);
