// A table of figures: a press on a heading sorts, one on a name picks its row. Everything is written as text.

const SHOWN = {
  text: (value) => value,
  count: (value) => value.toLocaleString("en"),
  share: (value) => `${(100 * value).toFixed(1)} %`,
  // three digits say what a measurement knows: 0.977, 4.65, 63.8, 1,286
  number: (value) => (Math.abs(value) < 1 ? value.toFixed(3) : Math.abs(value) < 100 ? value.toPrecision(3)
    : Math.round(value).toLocaleString("en")),
  setting: (value) => String(Number(value.toPrecision(3))),
};

function render({ model, el }) {
  const root = make("div", "vx-sorted", el);
  root.dataset.lmSuppressShortcuts = "true";
  const box = make("div", "vx-sorted-scroll", root);
  box.tabIndex = 0;                                      // a narrow page scrolls it, with the keyboard too
  box.setAttribute("role", "region");
  const bar = make("div", "vx-sorted-bar", root);
  bar.hidden = !model.get("files");
  const say = (text) => { live.textContent = text; };
  const byHand = copier(root, "vx-sorted-byhand", say);
  let table = { columns: [], rows: [], csv: "" };

  button(bar, "Copy as CSV", () => byHand.copy(table.csv, "Copied."));
  button(bar, "Download CSV", () => saveFile(root, table.csv,
    { name: `${model.get("label").toLowerCase().replace(/[^a-z0-9]+/g, "-")}.csv`, mime: "text/csv" }));
  const live = make("span", "vx-sorted-live", bar);
  live.setAttribute("role", "status");

  function sorted() {
    const [column, ascending] = model.get("sort") || [];
    const order = table.rows.map((_, index) => index);
    if (column === undefined) return order;
    const text = table.columns[column]?.[1] === "text";
    return order.sort((a, b) => {
      const x = table.rows[a][column], y = table.rows[b][column];
      if (x === null || y === null) return (x === null) - (y === null) || a - b;   // dashes last, either way
      const difference = text ? String(x).localeCompare(String(y)) : x - y;
      return (ascending ? difference : -difference) || a - b;
    });
  }
  function sortBy(column) {
    const [now, ascending] = model.get("sort") || [];
    const first = table.columns[column][1] !== "count";   // the weakest class first, the one with most photos first
    choose(model, "sort", [column, now === column ? !ascending : first]);
  }
  function draw() {
    const focused = document.activeElement?.dataset?.key;
    box.setAttribute("aria-label", model.get("label"));
    root.hidden = !table.rows.length;
    root.dataset.rows = String(table.rows.length);
    const grid = make("table", ""), header = make("tr", "", make("thead", "", grid)), body = make("tbody", "", grid);
    const [by, ascending] = model.get("sort") || [];
    table.columns.forEach(([title, kind], column) => {
      const heading = make("th", kind === "text" ? "" : "vx-sorted-figure", header);
      heading.scope = "col";
      heading.setAttribute("aria-sort", column !== by ? "none" : ascending ? "ascending" : "descending");
      const press = button(heading, column === by ? `${title} ${ascending ? "▲" : "▼"}` : title, () => sortBy(column));
      press.dataset.key = `column ${column}`;
      press.title = `Sort by ${title}`;
    });
    for (const index of sorted()) {
      const line = make("tr", "", body);
      table.rows[index].forEach((value, column) => {
        const kind = table.columns[column][1];
        const cell = make(column ? "td" : "th", kind === "text" ? "" : "vx-sorted-figure", line);
        const text = value === null ? "–" : SHOWN[kind](value);
        if (column) { cell.textContent = text; return; }
        cell.scope = "row";
        const press = button(cell, text, () => tell(model, { kind: "pick", index }, say));
        press.dataset.key = `row ${index}`;
        press.title = text;
      });
    }
    box.replaceChildren(grid);
    if (focused) box.querySelector(`[data-key="${focused}"]`)?.focus();
  }
  function renew() { table = JSON.parse(model.get("_table") || '{"columns": [], "rows": [], "csv": ""}'); draw(); }
  const unwatch = watch(model, { _table: renew, sort: draw });
  renew();
  return () => { unwatch(); root.remove(); };
}

export default part(render);
