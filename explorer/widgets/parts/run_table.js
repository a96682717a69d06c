// The runs so far: a table with ticks, two buttons a row, and the whole as CSV. Everything is written as text.

function make(tag, className, parent, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}

function render({ model, el }) {
  const root = make("div", "vx-runs-table", el);
  root.dataset.lmSuppressShortcuts = "true";
  const box = make("div", "vx-runs-scroll", root);
  box.tabIndex = 0;                                     // a narrow page scrolls it, with the keyboard too
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Runs");
  const bar = make("div", "vx-runs-bar", root);
  const byHand = make("textarea", "vx-runs-byhand", root);
  byHand.readOnly = true;
  byHand.rows = 4;
  byHand.hidden = true;
  byHand.setAttribute("aria-label", "Text to copy");
  const live = make("span", "vx-runs-live", bar);
  live.setAttribute("role", "status");
  let table = { columns: [], rows: [], csv: "" };

  const send = (message) => {
    try { model.send(message); } catch (error) { console.warn("explorer: no kernel", error); }
  };
  function button(parent, text, label, act) {
    const node = make("button", "", parent, text);
    node.type = "button";
    if (label) node.setAttribute("aria-label", label);
    node.onclick = act;
    return node;
  }
  async function copy() {
    byHand.hidden = true;
    try {
      await navigator.clipboard.writeText(table.csv);
      live.textContent = "Copied.";
    } catch {                                           // no https, no permission, or an embedded page
      byHand.hidden = false;
      byHand.value = table.csv;
      byHand.focus();
      byHand.select();
      live.textContent = "The browser does not let this page copy. The text is selected: press Ctrl+C (⌘C on a Mac).";
    }
  }
  function download() {
    const link = make("a", "", root);
    link.href = URL.createObjectURL(new Blob([table.csv], { type: "text/csv" }));
    link.download = "runs.csv";
    link.click();
    URL.revokeObjectURL(link.href);
    link.remove();
  }
  bar.prepend(button(null, "Copy as CSV", "", copy), button(null, "Download CSV", "", download));

  function draw() {
    const focused = document.activeElement?.dataset?.key;
    table = JSON.parse(model.get("_table") || '{"columns": [], "rows": [], "csv": ""}');
    root.hidden = !table.rows.length;
    root.dataset.runs = String(table.rows.length);
    box.replaceChildren();
    const grid = make("table", "", box), header = make("tr", "", make("thead", "", grid)), body = make("tbody", "", grid);
    for (const text of ["curves", table.columns[0], "", ...table.columns.slice(1)]) make("th", "", header, text).scope = "col";
    table.rows.forEach((row, index) => {
      const name = row[0].text, line = make("tr", "", body);
      const tick = make("input", "vx-runs-tick", make("td", "", line));
      tick.type = "checkbox";
      tick.dataset.key = `tick ${index}`;
      tick.setAttribute("aria-label", `Draw the curves of ${name}`);
      tick.onchange = () => {
        const now = model.get("ticked").filter((one) => one !== index);
        const value = tick.checked ? [...now, index].sort((a, b) => a - b) : now;
        model.set("ticked", value);
        send({ kind: "choose", key: "ticked", value });
      };
      row.forEach(({ text, differs, best }, column) => {
        const cell = make(column ? "td" : "th", differs ? "vx-runs-differs" : "", line);
        if (!column) cell.scope = "row";
        make(best ? "b" : "span", "", cell, best ? `${text} ★` : text);
        if (best) cell.title = "the best of these runs";
        else if (differs) cell.title = "not the same in all runs";
      });
      const act = make("td", "vx-runs-act");
      line.children[1].after(act);                      // beside the name, where a narrow page shows it
      button(act, "Show", `Show ${name} under Train`, () => send({ kind: "show", index })).dataset.key = `show ${index}`;
      button(act, "Use", `Use the model of ${name} in all panels`, () => send({ kind: "use", index })).dataset.key = `use ${index}`;
    });
    mark();
    if (focused) box.querySelector(`[data-key="${focused}"]`)?.focus();
  }
  function mark() {
    const ticked = model.get("ticked");
    box.querySelectorAll(".vx-runs-tick").forEach((tick, index) => { tick.checked = ticked.includes(index); });
  }
  model.on("change:_table", draw);
  model.on("change:ticked", mark);
  draw();
  return () => {
    model.off("change:_table", draw);
    model.off("change:ticked", mark);
    root.remove();
  };
}

export default {
  initialize({ model }) { model.send({ kind: "ready" }); },
  render,
};
