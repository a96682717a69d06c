// A confusion matrix as a table that the keyboard reaches. Every text is written as text, never as HTML.

const MOST = 24, PAIRS = 8, ANY = -1, OTHERS = -2;
const ORDERS = { confused: "most confused first", photos: "most photos first", given: "as in the data" };
const SEE = "Point at a cell to read it, click it to see its photos.", READ = "Point at a cell to read it.";
const SHARES = { true: "of the true class (recall)", predicted: "of the answers (precision)" };

const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "–");

// What is asked again and again: counts by cell, totals, confused pairs, and which classes occur at all.
function read(text) {
  const { classes, cells } = JSON.parse(text || '{"classes": [], "cells": []}');
  const count = new Map(), row = new Array(classes.length).fill(0), column = new Array(classes.length).fill(0);
  for (const [i, j, n] of cells) {
    count.set(i * classes.length + j, n);
    row[i] += n;
    column[j] += n;
  }
  const pairs = cells.filter(([i, j]) => i !== j).sort((a, b) => b[2] - a[2] || b[2] / row[b[0]] - a[2] / row[a[0]]);
  const used = classes.map((_, i) => i).filter((i) => row[i] || column[i]);
  return { classes, cells, row, column, pairs, used, at: (i, j) => count.get(i * classes.length + j) || 0 };
}

function inOrder(data, order) {
  if (order === "given") return data.used;
  const byPhotos = [...data.used].sort((a, b) => data.row[b] - data.row[a] || a - b);
  return order === "photos" ? byPhotos : [...new Set([...data.pairs.flatMap(([i, j]) => [i, j]), ...byPhotos])];
}

function render({ model, el }) {
  const root = make("div", "vx-confusion", el);
  root.dataset.lmSuppressShortcuts = "true";             // or JupyterLab takes the arrow keys
  const bar = make("div", "vx-confusion-bar", root);
  const box = make("div", "vx-confusion-scroll", root);
  const reading = make("div", "vx-confusion-reading", root);
  reading.setAttribute("role", "status");
  const pairsBox = make("div", "vx-confusion-pairs", root);
  let data = read(""), page = 0, shown = [], grid = [], cursor = [1, 1];

  const menus = {};
  function menu(key, label, options) {
    const holder = make("label", "", bar);
    make("span", "", holder, label);
    const select = menus[key] = make("select", "", holder);
    for (const [value, text] of Object.entries(options)) make("option", "", select, text).value = value;
    select.onchange = () => choose(model, key, select.value);
  }
  menu("share", "Colours: share", SHARES);
  menu("order", "Classes:", ORDERS);
  const things = () => model.get("things");
  // what stands in a cell: a count, or of very many things their share of the row
  const shown_as = (n, whole) => (n ? (model.get("shares") ? percent(n, whole) : String(n)) : "·");
  const pager = make("span", "vx-confusion-pager", bar);
  const turn = (step) => () => { page += step; draw(); };
  const back = button(pager, "‹", turn(-1), { label: "Previous classes" });
  const where = make("span", "", pager);
  const forth = button(pager, "›", turn(1), { label: "Next classes" });

  // --- a cell: [i, j] of class indices, ANY for a heading, OTHERS for what is not on this page ---

  const outside = () => { const here = new Set(shown); return data.classes.map((_, i) => i).filter((i) => !here.has(i)); };
  const set = (i) => (i === ANY ? null : i === OTHERS ? outside() : [i]);
  const name = (i) => (i === OTHERS ? "other classes" : data.classes[i]);
  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
  const all = () => sum(data.row);
  const rowTotal = (i) => (i >= 0 ? data.row[i] : i === ANY ? all() : all() - sum(shown.map((k) => data.row[k])));
  const columnTotal = (j) => (j >= 0 ? data.column[j] : j === ANY ? all() : all() - sum(shown.map((k) => data.column[k])));
  function total(i, j) {
    if (j === ANY) return rowTotal(i);
    if (i === ANY) return columnTotal(j);
    if (i >= 0 && j >= 0) return data.at(i, j);
    if (i >= 0) return data.row[i] - sum(shown.map((k) => data.at(i, k)));
    if (j >= 0) return data.column[j] - sum(shown.map((k) => data.at(k, j)));
    return rowTotal(OTHERS) - sum(shown.map((k) => total(OTHERS, k)));
  }
  function sentence(i, j, n) {
    if (i === ANY && j === ANY) return `${n} ${things()}`;
    const ofRow = i === ANY ? 0 : total(i, ANY), ofColumn = j === ANY ? 0 : total(ANY, j);
    if (j === ANY) return `${ofRow} ${things()} of ${name(i)}: ${i >= 0 ? `${data.at(i, i)} recognised (${percent(data.at(i, i), ofRow)})` : "not on this page"}`;
    if (i === ANY) return `${ofColumn} ${things()} taken for ${name(j)}: ${j >= 0 ? `${data.at(j, j)} rightly (${percent(data.at(j, j), ofColumn)})` : "not on this page"}`;
    if (model.get("share") === "predicted")
      return i === j ? `${n} of ${ofColumn} answers “${name(j)}” are right (${percent(n, ofColumn)})`
        : `${n} of ${ofColumn} answers “${name(j)}” are ${things()} of ${name(i)} (${percent(n, ofColumn)})`;
    return i === j && i >= 0 ? `${n} of ${ofRow} ${name(i)} recognised (${percent(n, ofRow)})`
      : `${n} of ${ofRow} ${name(i)} taken for ${name(j)} (${percent(n, ofRow)})`;
  }
  function pick(i, j) {
    if (!model.get("opens")) return;
    model.set("picked", [i, j]);
    mark();
    const say = (text) => { reading.textContent = text; };
    tell(model, { kind: "pick", true: set(i), predicted: set(j), cell: [i, j] }, say);
  }

  // --- drawing ---

  function draw() {
    const focused = root.contains(document.activeElement) && document.activeElement.closest("table");
    for (const key of Object.keys(menus)) menus[key].value = model.get(key);
    for (const option of menus.order.options) option.text = ORDERS[option.value].replace("photos", things());
    const order = inOrder(data, model.get("order")), pages = Math.max(1, Math.ceil(order.length / MOST));
    page = Math.min(Math.max(page, 0), pages - 1);
    shown = order.slice(page * MOST, (page + 1) * MOST);
    root.hidden = !data.classes.length;
    root.dataset.classes = String(shown.length);
    pager.hidden = pages === 1;
    menus.order.parentElement.hidden = data.used.length < 3;
    const silent = data.classes.length - data.used.length;
    where.textContent = `${page * MOST + 1} to ${page * MOST + shown.length} of ${order.length} classes`;
    where.title = silent ? `${silent} more classes have neither photos nor answers` : "";
    back.disabled = page === 0;
    forth.disabled = page === pages - 1;

    const more = shown.length < order.length;
    const lines = more ? [...shown, OTHERS] : shown;
    const table = make("table", "");
    table.setAttribute("role", "grid");
    table.setAttribute("aria-label", "Confusion matrix: rows are true classes, columns what they were taken for");
    const head = make("tr", "", make("thead", "", table)), body = make("tbody", "", table);
    const corner = make("td", "vx-confusion-corner", head);
    corner.setAttribute("role", "columnheader");
    make("span", "", corner, "true ↓   taken for →");
    grid = [[null], ...lines.map(() => [])];
    for (const j of lines) {
      const heading = make("th", "vx-confusion-top", head);
      heading.scope = "col";
      make("span", "", heading, j === OTHERS ? "others" : data.classes[j]);
      cell(heading, 0, ANY, j);
    }
    lines.forEach((i, r) => {
      const line = make("tr", "", body), heading = make("th", "vx-confusion-left", line);
      heading.scope = "row";
      make("span", "vx-confusion-name", heading, i === OTHERS ? "others" : data.classes[i]);
      make("span", "vx-confusion-count", heading, model.get("shares") ? "" : String(total(i, ANY)));
      cell(heading, r + 1, i, ANY);
      for (const j of lines) {
        const n = total(i, j), node = make("td", "", line, shown_as(n, total(i, ANY)));
        const whole = model.get("share") === "predicted" ? total(ANY, j) : total(i, ANY);
        const good = i === j && i >= 0;
        if (n && !(i === OTHERS && j === OTHERS))
          node.style.background = `rgba(${good ? "74,143,217" : "222,122,40"},${(0.12 + (0.58 * n) / whole).toFixed(3)})`;
        node.dataset.count = String(n);
        cell(node, r + 1, i, j);
      }
    });
    cursor = [Math.min(cursor[0], grid.length - 1), Math.min(cursor[1], lines.length)];
    box.replaceChildren(table);
    const pairs = data.pairs.slice(0, PAIRS);
    pairsBox.hidden = !pairs.length;
    pairsBox.replaceChildren();
    make("span", "vx-confusion-soft", pairsBox, "Most often confused: ");
    for (const [i, j, n] of pairs) {
      const [is, said] = [data.classes[i], data.classes[j]], whole = data.row[i];
      const some = model.get("shares") ? percent(n, whole) : `${n} of ${whole}`;
      const text = `${is} → ${said}: ${some}`;
      const pair = model.get("opens") ? button(pairsBox, text, () => pick(i, j)) : make("span", "vx-confusion-pair", pairsBox, text);
      pair.title = `${n} of ${whole} ${is} taken for ${said} (${percent(n, whole)})`;
    }
    reading.textContent = data.cells.length ? (model.get("opens") ? SEE : READ) : "";
    reach();
    mark();
    if (focused) grid[cursor[0]]?.[cursor[1]]?.focus();
  }
  function cell(node, r, i, j) {
    node.setAttribute("role", i === ANY ? "columnheader" : j === ANY ? "rowheader" : "gridcell");
    node.tabIndex = -1;
    node.cell = [i, j];
    grid[r].push(node);
    node.place = [r, grid[r].length - 1];
    if (i !== ANY && j !== ANY) node.setAttribute("aria-label", sentence(i, j, Number(node.dataset.count)));
  }
  function reach() {
    grid.flat().forEach((node) => { if (node) node.tabIndex = -1; });
    const node = grid[cursor[0]]?.[cursor[1]];
    if (node) node.tabIndex = 0;
    return node;
  }
  function mark() {
    const [i, j] = model.get("picked") || [];
    grid.flat().forEach((node) => node?.setAttribute("aria-selected", String(node.cell[0] === i && node.cell[1] === j)));
  }

  // --- the reader ---

  const under = (event) => event.target.closest?.("[role=gridcell], [role=columnheader], [role=rowheader]");
  const say = (node) => { reading.textContent = sentence(...node.cell, Number(node.dataset.count || 0)); };
  box.onmouseover = (event) => { const node = under(event); if (node?.cell) say(node); };
  box.addEventListener("focusin", (event) => { const node = under(event); if (node?.cell) { cursor = node.place; reach(); say(node); } });
  box.onclick = (event) => {
    const node = under(event);
    if (!node?.cell) return;
    cursor = node.place;
    reach()?.focus();
    pick(...node.cell);
  };
  box.onkeydown = (event) => {
    const node = under(event);
    if (!node?.cell) return;
    event.stopPropagation();
    const [r, c] = node.place, steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    let to = steps[event.key] && [r + steps[event.key][0], c + steps[event.key][1]];
    if (event.key === "Home") to = [r, r ? 0 : 1];
    if (event.key === "End") to = [r, grid[r].length - 1];
    if (to) {
      event.preventDefault();
      if (grid[to[0]]?.[to[1]]) { cursor = to; reach().focus(); }
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      pick(...node.cell);
    }
  };

  function renew() { data = read(model.get("_table")); page = 0; cursor = [1, 1]; draw(); }
  const reorder = () => { page = 0; draw(); };
  const unwatch = watch(model, { _table: renew, order: reorder, share: draw, picked: mark });
  renew();
  return () => { unwatch(); root.remove(); };
}

export default part(render);
