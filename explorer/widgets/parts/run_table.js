// The runs so far: a table with ticks, three buttons a row, and the whole as CSV. Everything is written as text.

function render({ model, el }) {
  const root = make("div", "vx-runs-table", el);
  root.dataset.lmSuppressShortcuts = "true";
  const box = make("div", "vx-runs-scroll", root);
  box.tabIndex = 0;                                     // a narrow page scrolls it, with the keyboard too
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Runs");
  const bar = make("div", "vx-runs-bar", root);
  const say = (text) => { live.textContent = text; };
  const byHand = copier(root, "vx-runs-byhand", say);
  const live = make("span", "vx-runs-live", bar);
  live.setAttribute("role", "status");
  let table = { columns: [], rows: [], csv: "" };

  bar.prepend(button(null, "Copy as CSV", () => byHand.copy(table.csv, "Copied.")),
    button(null, "Download CSV", () => saveFile(root, table.csv, { name: "runs.csv", mime: "text/csv" })));

  function draw() {
    const focused = document.activeElement?.dataset?.key;
    table = JSON.parse(model.get("_table") || '{"columns": [], "rows": [], "csv": ""}');
    root.hidden = !table.rows.length;
    root.dataset.runs = String(table.rows.length);
    box.replaceChildren();
    const grid = make("table", "", box), header = make("tr", "", make("thead", "", grid)), body = make("tbody", "", grid);
    const terms = table.terms ?? [];
    [["curves"], [table.columns[0], terms[0]], [""], ...table.columns.slice(1).map((text, i) => [text, terms[i + 1]])].forEach(([text, term]) => {
      const cell = make("th", "", header, text);
      cell.scope = "col";
      if (term) make("small", "vx-runs-term", cell, term);
    });
    table.rows.forEach((row, index) => {
      const name = row[0].text, line = make("tr", "", body);
      const tick = make("input", "vx-runs-tick", make("td", "", line));
      tick.type = "checkbox";
      tick.dataset.key = `tick ${index}`;
      tick.setAttribute("aria-label", `Draw the curves of ${name}`);
      tick.onchange = () => {
        const now = model.get("ticked").filter((one) => one !== index);
        choose(model, "ticked", tick.checked ? [...now, index].sort((a, b) => a - b) : now);
      };
      row.forEach(({ text, differs, best, note }, column) => {
        const cell = make(column ? "td" : "th", differs ? "vx-runs-differs" : "", line);
        if (!column) cell.scope = "row";
        make(best ? "b" : "span", "", cell, best ? `${text} ★` : text);
        if (note) make("small", "vx-runs-note", cell, note);
        if (best) cell.title = "the best of these runs";
        else if (differs) cell.title = "not the same in all runs";
      });
      const act = make("td", "vx-runs-act");
      line.children[1].after(act);                      // beside the name, where a narrow page shows it
      for (const [kind, word, label] of [["show", "Show", `Show ${name} under Train`],
                                         ["use", "Use", `Use the model of ${name} in all panels`],
                                         ["page", "Page", `Write a live page of ${name}: one file that runs it in any browser`]])
        button(act, word, () => tell(model, { kind, index }, say), { label })
          .dataset.key = `${kind} ${index}`;
    });
    mark();
    if (focused) box.querySelector(`[data-key="${focused}"]`)?.focus();
  }
  function mark() {
    const ticked = model.get("ticked");
    box.querySelectorAll(".vx-runs-tick").forEach((tick, index) => { tick.checked = ticked.includes(index); });
  }
  const unwatch = watch(model, { _table: draw, ticked: mark });
  draw();
  return () => { unwatch(); root.remove(); };
}

export default part(render);
