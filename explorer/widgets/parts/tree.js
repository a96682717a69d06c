// A model's modules as a treegrid. A row is made in the page when its parent opens; everything that a model
// can name is written with textContent.
const FIRST = 2000;                                     // "Expand all" stops here
const COLUMNS = ["Module", "Kind", "Output shape", "Parameters", "Share", "Multiply-adds"];

// 1234567 -> "1.23 M"; parameters count in billions (B), operations in giga (G)
function short(x, billion) {
  if (x < 1000) return String(x);
  const steps = [[1e12, "T"], [1e9, billion], [1e6, "M"], [1e3, "k"]];
  const at = steps.findIndex(([size]) => x >= size);
  let [size, unit] = steps[at];
  if (at > 0 && x / size >= 999.5) [size, unit] = steps[at - 1];        // 999 999 is 1.00 M, not 1000 k
  return `${(x / size).toPrecision(3)} ${unit}`;
}
const exact = (x) => x.toLocaleString("en-US");
const percent = (x) => (x > 0 && x < 0.0005 ? "< 0.1 %" : `${(100 * x).toFixed(1)} %`);

function parse(text) {
  const { title = "", rows = [] } = text ? JSON.parse(text) : {};
  const nodes = rows.map(([name, parent, kind, params, trainable, shape, flops], index) =>
    ({ index, name, parent, kind, params, trainable, shape, flops, children: [], level: 1, path: "" }));
  for (const node of nodes.slice(1)) {                  // parents come first
    const above = nodes[node.parent];
    above.children.push(node.index);
    node.level = above.level + 1;
    node.path = above.path ? `${above.path}.${node.name}` : node.name;
    node.place = above.children.length;
  }
  return { title, nodes, whole: nodes[0]?.params || 0 };
}

function render({ model, el }) {
  const undo = [];
  const on = (target, type, act) => {
    target.addEventListener(type, act);
    undo.push(() => target.removeEventListener(type, act));
  };
  const root = make("div", "vx-tree", el);
  root.dataset.lmSuppressShortcuts = "true";            // or JupyterLab takes the arrow keys
  const bar = make("div", "vx-tree-tools", root);
  const field = make("label", "vx-tree-find", bar, "Find a module ");
  const find = make("input", "vx-tree-query", field);
  Object.assign(find, { type: "search", placeholder: "layer4.1 or Conv2d", spellcheck: false, autocomplete: "off" });
  const found = make("span", "vx-tree-found", bar);
  const widen = button(bar, "Expand all", null, { className: "vx-tree-button vx-tree-expand" });
  const fold = button(bar, "Collapse all", null, { className: "vx-tree-button vx-tree-collapse" });
  const box = make("div", "vx-tree-box", root);
  const grid = make("div", "vx-tree-grid", box);
  const detail = make("div", "vx-tree-detail", root);
  const facts = make("div", "vx-tree-facts", detail);
  const line = make("div", "vx-tree-line", detail);
  const code = make("code", "vx-tree-code", line);
  const copyCode = button(line, "Copy code", null, { className: "vx-tree-button" });
  const byHand = copier(detail, "vx-tree-byhand", (text) => { live.textContent = text; }, "input");
  const live = make("div", "vx-tree-live", root);
  grid.setAttribute("role", "treegrid");
  for (const node of [found, live]) node.setAttribute("role", "status");

  let tree = { nodes: [], whole: 0 }, open = new Set(), made = new Map(), focused = 0;
  let hits = [], hit = 0, opened = [];                  // the search: matches, the one shown, what it opened

  const guarded = (act) => (...given) => {
    try { return act(...given); } catch (error) {
      console.error("explorer: the module tree failed", error);
      live.textContent = `The module tree could not be drawn (${error.message}).`;
    }
  };

  // --- rows -------------------------------------------------------------------------------------
  function cell(row, className, text, title) {
    const node = make("span", className, row, text);
    node.setAttribute("role", "gridcell");
    if (title) node.title = title;
    return node;
  }
  function rowOf(index) {
    if (made.has(index)) return made.get(index);
    const node = tree.nodes[index], row = make("div", "vx-tree-row"), share = tree.whole ? node.params / tree.whole : 0;
    if (node.params && !node.trainable) row.classList.add("vx-tree-frozen");
    row.setAttribute("role", "row");
    row.tabIndex = -1;
    row.dataset.index = String(index);
    row.dataset.path = node.path;
    row.setAttribute("aria-level", String(node.level));
    row.setAttribute("aria-posinset", String(node.place || 1));
    row.setAttribute("aria-setsize", String(node.place ? tree.nodes[node.parent].children.length : 1));
    row.setAttribute("aria-selected", String(model.get("selected") === node.path));
    if (node.children.length) row.setAttribute("aria-expanded", String(open.has(index)));
    const name = cell(row, "vx-tree-name", undefined, node.path || node.name);
    name.style.setProperty("--vx-level", String(node.level - 1));
    make("span", node.children.length ? "vx-tree-twisty" : "vx-tree-leaf", name).setAttribute("aria-hidden", "true");
    make("span", "vx-tree-label", name, node.name);
    cell(row, "vx-tree-kind", node.kind, node.kind);
    cell(row, "vx-tree-shape", node.shape, node.shape);
    cell(row, "vx-tree-params", node.params ? short(node.params, "B") : "–",
      `${exact(node.params)} parameters${node.params && !node.trainable ? ", all frozen" : ""}`);
    const part = cell(row, "vx-tree-share", node.params ? percent(share) : "", `${percent(share)} of the model's parameters`);
    if (node.params) make("i", "", part).style.setProperty("--vx-share", String(share));
    cell(row, "vx-tree-flops", node.flops === null ? "–" : short(node.flops / 2, "G"),
      node.flops === null ? "not known" : `${exact(node.flops / 2)} multiply-adds, two FLOPs each`);
    made.set(index, row);
    return row;
  }
  function below(index, list = []) {                    // the open rows under a node, in order
    for (const child of tree.nodes[index].children) {
      list.push(child);
      if (open.has(child)) below(child, list);
    }
    return list;
  }
  const rows = () => [...grid.querySelectorAll(".vx-tree-row")];
  function count() { root.dataset.shown = String(grid.querySelectorAll(".vx-tree-row").length); }
  function setOpen(index, wanted) {
    const node = tree.nodes[index];
    if (!node.children.length || open.has(index) === wanted) return;
    const row = made.get(index), shown = row?.isConnected;
    if (!wanted && shown) for (const child of below(index)) made.get(child)?.remove();
    wanted ? open.add(index) : open.delete(index);
    row?.setAttribute("aria-expanded", String(wanted));
    if (wanted && shown) row.after(...below(index).map(rowOf));
    if (!wanted && !made.get(focused)?.isConnected) focusOn(index, false);
    count();
  }
  function redraw() {                                   // all rows that are open, in one go
    rows().forEach((row) => row.remove());
    for (const [index, row] of made) if (row.hasAttribute("aria-expanded")) row.setAttribute("aria-expanded", String(open.has(index)));
    if (tree.nodes.length) grid.append(...[0, ...(open.has(0) ? below(0) : [])].map(rowOf));
    count();
    if (tree.nodes.length) focusOn(made.get(focused)?.isConnected ? focused : 0, false);
  }
  function focusOn(index, really = true) {              // one row at a time is reached by Tab
    made.get(focused)?.setAttribute("tabindex", "-1");
    focused = index;
    const row = made.get(index);
    row.tabIndex = 0;
    if (really) { row.focus({ preventScroll: true }); row.scrollIntoView({ block: "nearest" }); }
  }
  function reveal(index, really) {
    const above = [];
    for (let at = tree.nodes[index].parent; at >= 0; at = tree.nodes[at].parent) above.unshift(at);
    const fresh = above.filter((at) => !open.has(at));
    fresh.forEach((at) => setOpen(at, true));
    focusOn(index, really);
    if (!really) {                                      // only the box scrolls, never the notebook
      const row = made.get(index), top = row.offsetTop - row.offsetHeight * 2;
      if (top < box.scrollTop || top + row.offsetHeight * 4 > box.scrollTop + box.clientHeight) box.scrollTop = top;
    }
    return fresh;
  }

  // --- selecting and copying ----------------------------------------------------------------------
  const copy = (text) => byHand.copy(text, `copied ${text}`);
  const codeFor = (path) => (path ? `model.get_submodule(${JSON.stringify(path)})` : "model");
  function drawSelected() {
    const path = model.get("selected"), index = tree.nodes.findIndex((node) => node.path === path);
    root.dataset.selected = path ?? "";
    for (const [at, row] of made) row.setAttribute("aria-selected", String(at === index));
    detail.hidden = index < 0;
    byHand.hide();
    if (index < 0) return;
    const node = tree.nodes[index], frozen = node.params - node.trainable;
    facts.textContent = [node.path || node.name, node.kind, node.shape && `output ${node.shape}`,
      node.params ? `${exact(node.params)} parameters${frozen === 0 ? ", all trainable" : frozen === node.params ? ", all frozen" : `, ${exact(frozen)} of them frozen`}` : "no parameters",
      node.flops !== null && `${exact(node.flops / 2)} multiply-adds`].filter(Boolean).join(" · ");
    code.textContent = codeFor(path);
  }
  function pick(index) {
    const { path } = tree.nodes[index];
    choose(model, "selected", path);
    focusOn(index);
    if (path) copy(path);
    else live.textContent = "the whole model";
  }

  // --- the search ---------------------------------------------------------------------------------
  // "layer4" finds layer4 and not the hundred modules inside it: the match has to reach the node's own name
  const named = ({ path, name }, query) => {
    const at = path.toLowerCase().lastIndexOf(query);
    return at >= 0 && at + query.length >= path.length - name.length;
  };
  function search() {
    const query = find.value.trim().toLowerCase();
    hits = query ? tree.nodes.filter((node) => named(node, query) || node.kind.toLowerCase().includes(query)).map((node) => node.index) : [];
    go(0);
    if (!query) found.textContent = "";
    else if (!hits.length) found.textContent = "no module matches";
  }
  function go(to) {
    for (const node of grid.querySelectorAll(".vx-tree-hit, .vx-tree-match")) node.classList.remove("vx-tree-hit", "vx-tree-match");
    if (!hits.length) { close([]); return; }
    hit = (to + hits.length) % hits.length;
    const keep = new Set();
    for (let at = hits[hit]; at >= 0; at = tree.nodes[at].parent) keep.add(at);
    close(keep);
    opened.push(...reveal(hits[hit], false));
    const row = made.get(hits[hit]), byName = named(tree.nodes[hits[hit]], find.value.trim().toLowerCase());
    row.classList.add("vx-tree-hit");
    row.querySelector(byName ? ".vx-tree-label" : ".vx-tree-kind").classList.add("vx-tree-match");
    found.textContent = `match ${exact(hit + 1)} of ${exact(hits.length)}`;
  }
  function close(keep) {                                // what only the search had opened folds again
    const wanted = new Set(keep);
    for (const index of opened.filter((at) => !wanted.has(at)).reverse()) setOpen(index, false);
    opened = opened.filter((at) => wanted.has(at));
  }
  on(find, "input", guarded(search));
  on(find, "keydown", guarded((event) => {
    if (event.key === "Enter" && hits.length) go(hit + (event.shiftKey ? -1 : 1));
    else if (event.key === "Escape") { find.value = ""; search(); }
    else if (event.key === "ArrowDown" && tree.nodes.length) focusOn(focused);
    else return;
    event.preventDefault();
  }));

  // --- mouse and keyboard ---------------------------------------------------------------------------
  on(grid, "click", guarded((event) => {
    const row = event.target.closest(".vx-tree-row");
    if (!row) return;
    const index = Number(row.dataset.index);
    if (event.target.closest(".vx-tree-twisty")) { opened = []; setOpen(index, !open.has(index)); focusOn(index); }
    else pick(index);
  }));
  let typed = "", last = 0;
  function typeahead(letter) {
    const now = performance.now();
    typed = now - last < 700 ? typed + letter : letter;
    last = now;
    const list = rows(), at = list.indexOf(made.get(focused));
    const nextFrom = (from, start) => [...list.slice(from), ...list.slice(0, from)]
      .find((row) => tree.nodes[row.dataset.index].name.toLowerCase().startsWith(start));
    let row = typed.length > 1 && nextFrom(at, typed);
    if (!row) row = nextFrom(at + 1, typed = letter);    // the same letter again goes on to the next
    if (row) focusOn(Number(row.dataset.index));
  }
  on(root, "keydown", (event) => event.stopPropagation());
  on(grid, "keydown", guarded((event) => {
    if (!tree.nodes.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const node = tree.nodes[focused], list = rows(), at = list.indexOf(made.get(focused));
    const to = (position) => focusOn(Number(list[Math.min(list.length - 1, Math.max(0, position))].dataset.index));
    const isOpen = open.has(focused);
    opened = [];                                        // from here on the reader keeps what is open
    if (event.key === "ArrowDown") to(at + 1);
    else if (event.key === "ArrowUp") to(at - 1);
    else if (event.key === "PageDown") to(at + 12);
    else if (event.key === "PageUp") to(at - 12);
    else if (event.key === "Home") to(0);
    else if (event.key === "End") to(list.length - 1);
    else if (event.key === "ArrowRight") { if (node.children.length && !isOpen) setOpen(focused, true); else if (isOpen) to(at + 1); }
    else if (event.key === "ArrowLeft") { if (isOpen) setOpen(focused, false); else if (node.parent >= 0) focusOn(node.parent); }
    else if (event.key === "*") (node.parent < 0 ? [focused] : tree.nodes[node.parent].children).forEach((i) => setOpen(i, true));
    else if (event.key === "Enter" || event.key === " ") pick(focused);
    else if (event.key.length === 1) typeahead(event.key.toLowerCase());
    else return;
    event.preventDefault();
  }));
  on(widen, "click", guarded(() => {
    opened = [];
    let total = 1;
    open = new Set();
    for (let level = [0]; level.length && total < FIRST; ) {      // level by level, so that what is shown is whole
      const deeper = [];
      for (const index of level) {
        const { children } = tree.nodes[index];
        if (!children.length || total + children.length > FIRST) continue;
        open.add(index);
        total += children.length;
        deeper.push(...children);
      }
      level = deeper;
    }
    redraw();
    live.textContent = total < tree.nodes.length
      ? `Opened ${exact(total)} of ${exact(tree.nodes.length)} modules; open the rest one by one, or search.` : "";
  }));
  on(fold, "click", guarded(() => { opened = []; open = new Set(); redraw(); box.scrollTop = 0; live.textContent = ""; }));
  on(copyCode, "click", () => copy(code.textContent));

  const load = guarded(() => {
    tree = parse(model.get("_tree"));
    made = new Map();
    open = new Set([0]);
    [opened, hits, focused] = [[], [], 0];
    grid.replaceChildren();
    grid.setAttribute("aria-label", `Modules${tree.title ? " of " + tree.title : ""}`);
    const header = make("div", "vx-tree-header", grid);
    header.setAttribute("role", "row");
    COLUMNS.forEach((text, i) => make("span", ["vx-tree-name", "vx-tree-kind", "vx-tree-shape", "vx-tree-params", "vx-tree-share", "vx-tree-flops"][i], header, text).setAttribute("role", "columnheader"));
    root.dataset.nodes = String(tree.nodes.length);
    live.textContent = tree.nodes.length ? "" : "No model yet.";
    redraw();
    follow();
    if (find.value) search();
  });
  const follow = guarded(() => {
    const index = tree.nodes.findIndex((node) => node.path === model.get("selected"));
    if (index >= 0 && !made.get(index)?.isConnected) reveal(index, false);
    drawSelected();
  });
  undo.push(watch(model, { _tree: load, selected: follow }));
  load();
  return () => { undo.forEach((act) => act()); root.remove(); };
}

export default part(render);
