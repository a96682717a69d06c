// Chips and a table of the models that were ticked; everything is written as text.

function make(tag, className, parent, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}

function render({ model, el }) {
  const root = make("div", "vx-compare", el);
  root.dataset.lmSuppressShortcuts = "true";
  const bar = make("div", "vx-compare-bar", root);
  const box = make("div", "vx-compare-scroll", root);
  box.tabIndex = 0;                                     // a narrow page scrolls it, with the keyboard too
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Models side by side");
  const byHand = make("textarea", "vx-compare-byhand", root);
  byHand.readOnly = true;
  byHand.rows = 4;
  byHand.setAttribute("aria-label", "Text to copy");
  const live = make("div", "vx-compare-live", root);
  live.setAttribute("role", "status");
  let table = { columns: [], rows: [], markdown: "" };

  const send = (kind, name) => {
    try { model.send({ kind, name }); } catch (error) { console.warn("explorer: no kernel", error); }
  };
  async function copy() {
    byHand.hidden = true;
    try {
      await navigator.clipboard.writeText(table.markdown);
      live.textContent = "Copied. Paste it into a Markdown cell.";
    } catch {                                           // no https, no permission, or an embedded page
      byHand.hidden = false;
      byHand.value = table.markdown;
      byHand.focus();
      byHand.select();
      live.textContent = "The browser does not let this page copy. The text is selected: press Ctrl+C (⌘C on a Mac).";
    }
  }
  function draw() {
    const focused = bar.contains(document.activeElement);
    table = JSON.parse(model.get("_table") || '{"columns": [], "rows": [], "markdown": ""}');
    root.hidden = !table.rows.length;
    root.dataset.models = String(table.rows.length);
    byHand.hidden = true;
    live.textContent = "";
    bar.replaceChildren();
    make("h3", "", bar, "Compare");
    for (const [name] of table.rows) {
      const chip = make("span", "vx-chip", bar);
      const pick = make("button", "vx-chip-name", chip, name);
      const remove = make("button", "vx-chip-remove", chip, "×");
      pick.type = remove.type = "button";
      pick.title = "Show its card";
      remove.title = "Take it away";
      remove.setAttribute("aria-label", `Remove ${name}`);
      pick.onclick = () => send("pick", name);
      remove.onclick = () => send("remove", name);
    }
    const copyButton = make("button", "vx-compare-copy", bar, "Copy as Markdown");
    copyButton.type = "button";
    copyButton.onclick = copy;
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
  model.on("change:_table", draw);
  draw();
  return () => { model.off("change:_table", draw); root.remove(); };
}

export default {
  initialize({ model }) { model.send({ kind: "ready" }); },
  render,
};
