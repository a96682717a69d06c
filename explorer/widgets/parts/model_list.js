// The browser's own list box, with columns: signs, one number, name. Enter or a double click opens a model.

const space = "\u00a0";                                 // a list box swallows other spaces

function render({ model, el }) {
  const root = make("div", "vx-models", el);
  root.dataset.lmSuppressShortcuts = "true";            // or JupyterLab takes the arrow keys
  const head = make("div", "vx-models-head", root);
  head.setAttribute("aria-hidden", "true");
  const list = make("select", "", root);
  list.size = 8;
  list.setAttribute("aria-label", "Models");
  let table = { columns: [], rows: [] };

  const widest = (texts) => Math.max(0, ...texts.map((text) => text.length));
  function load() {
    table = JSON.parse(model.get("_table") || '{"columns": [], "rows": []}');
    draw();
  }
  function draw() {
    const column = model.get("_column"), order = model.get("_order");
    const wide = widest([table.columns[column] || "", ...table.rows.map((row) => row[1][column] || "")]);
    const here = new Set(model.get("_here")), open = model.get("_open"), second = model.get("_second");
    const line = (signs, number, name) => `${signs} ${number.padStart(wide)}  ${name}`.replaceAll(" ", space);
    head.textContent = line("  ", table.columns[column] || "", "name");
    const options = order.filter((index) => index < table.rows.length).map((index) => {
      const [name, numbers] = table.rows[index], number = numbers[column] || "";
      const signs = [[name === open, "■", "open"], [name === second, "▲", "the second model"], [here.has(index), "✓", "weights on this computer"]];
      const seen = signs.filter(([true_]) => true_);
      const option = make("option", "", null, line(seen.map(([, sign]) => sign).join("").padEnd(2), number, name));
      option.value = name;
      option.title = [name, ...seen.map(([, , text]) => text)].join(", ");
      option.setAttribute("aria-label", [name, number, ...seen.map(([, , text]) => text)].filter(Boolean).join(", "));
      return option;
    });
    list.replaceChildren(...options);
    root.dataset.shown = String(options.length);
    mark();
  }
  function mark() {
    const value = model.get("value");
    list.selectedIndex = [...list.options].findIndex((option) => option.value === value);
    root.dataset.value = value ?? "";
    const chosen = list.options[list.selectedIndex];
    if (chosen && list.clientHeight) {                  // into view within the list, without moving the page
      const top = chosen.offsetTop - list.offsetTop;
      if (top < list.scrollTop || top + chosen.offsetHeight > list.scrollTop + list.clientHeight)
        list.scrollTop = top - list.clientHeight / 2;
    }
  }
  list.onchange = () => choose(model, "value", list.value);
  const open = () => { if (list.value) tell(model, { kind: "open", name: list.value }); };
  list.onkeydown = (event) => { if (event.key === "Enter") { event.preventDefault(); open(); } };
  list.ondblclick = (event) => { if (event.target !== list) open(); };  // not on the scroll bar or below the rows
  const unwatch = watch(model, { _here: draw, _open: draw, _second: draw, _table: load, _order: draw, _column: draw, value: mark });
  load();
  return () => { unwatch(); root.remove(); };
}

export default part(render);
