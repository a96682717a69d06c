// The browser's own list box, with columns: year, one number, name.

const space = "\u00a0";                                 // a list box swallows other spaces

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "vx-models";
  root.dataset.lmSuppressShortcuts = "true";            // or JupyterLab takes the arrow keys
  const head = document.createElement("div");
  head.className = "vx-models-head";
  head.setAttribute("aria-hidden", "true");
  const list = document.createElement("select");
  list.size = 8;
  list.setAttribute("aria-label", "Models");
  root.append(head, list);
  el.append(root);
  let table = { columns: [], rows: [] };

  const widest = (texts) => Math.max(0, ...texts.map((text) => text.length));
  function load() {
    table = JSON.parse(model.get("_table") || '{"columns": [], "rows": []}');
    draw();
  }
  function draw() {
    const column = model.get("_column"), order = model.get("_order");
    const first = widest(table.rows.map((row) => row[1]));
    const middle = widest([table.columns[column] || "", ...table.rows.map((row) => row[2][column] || "")]);
    const line = (year, number, name) =>
      `${year.padEnd(first)}  ${number.padStart(middle)}  ${name}`.replaceAll(" ", space);
    head.textContent = line("year", table.columns[column] || "", "name");
    const options = order.filter((index) => index < table.rows.length).map((index) => {
      const [name, year, numbers] = table.rows[index];
      const option = document.createElement("option");
      option.value = name;
      option.title = name;
      option.textContent = line(year, numbers[column] || "", name);
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
  const onChange = () => {
    const value = list.value;
    model.set("value", value);
    try { model.send({ kind: "choose", key: "value", value }); } catch (error) { console.warn("explorer: no kernel", error); }
  };
  list.addEventListener("change", onChange);
  model.on("change:_table", load);
  model.on("change:_order", draw);
  model.on("change:_column", draw);
  model.on("change:value", mark);
  load();
  return () => {                                        // the listener goes with its element
    model.off("change:_table", load);
    model.off("change:_order", draw);
    model.off("change:_column", draw);
    model.off("change:value", mark);
    root.remove();
  };
}

export default {
  initialize({ model }) { model.send({ kind: "ready" }); },
  render,
};
