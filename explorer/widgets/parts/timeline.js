// Families by year: a column a year, a square (here: dot) a family. Everything that a family is called is written as text.

const models = (count) => `${count} model${count === 1 ? "" : "s"}`;

function render({ model, el }) {
  const root = make("div", "vx-timeline", el);
  root.dataset.lmSuppressShortcuts = "true";            // or JupyterLab takes the arrow keys
  const line = make("div", "vx-timeline-years", root);
  line.setAttribute("role", "toolbar");
  line.setAttribute("aria-label", "Families by year. Arrow keys move, Enter shows a family's models.");
  const caption = make("div", "vx-timeline-caption", root);
  caption.setAttribute("role", "status");
  let families = [], dots = [], columns = [], reachable = 0;

  function draw() {
    const text = model.get("_families");
    families = text ? JSON.parse(text) : [];
    dots = [];
    columns = [];
    line.replaceChildren();
    let before = null, stack = null;
    families.forEach(([name, title, year, idea, count], index) => {
      if (year !== before) {
        const column = make("div", "vx-timeline-year", line);
        // years in which nothing here was published are left out, and the gap is marked
        if (before !== null && year > before + 1) column.classList.add("vx-timeline-gap");
        stack = make("div", "vx-timeline-dots", column);
        const label = make("span", "vx-timeline-label", column);
        make("span", "vx-timeline-century", label, String(year).slice(0, -2));
        label.append(String(year).slice(-2));
        columns.push([]);
        before = year;
      }
      const dot = button(stack, "", null, { className: "vx-timeline-dot" });
      dot.tabIndex = -1;
      dot.dataset.index = String(index);
      dot.dataset.family = name;
      dot.title = `${title}, ${year}: ${idea}`;
      dot.setAttribute("aria-label", `${title}, ${year}, ${models(count)}. ${idea}`);
      columns.at(-1).push(index);
      dots.push(dot);
    });
    line.style.setProperty("--vx-years", String(columns.length));
    root.dataset.families = String(dots.length);
    reach(Math.min(reachable, Math.max(0, dots.length - 1)));
    mark();
  }
  function mark() {
    const lit = new Set(model.get("_lit")), selected = model.get("selected");
    root.dataset.selected = selected;
    dots.forEach((dot, index) => {
      dot.classList.toggle("vx-timeline-off", !lit.has(index));
      dot.setAttribute("aria-pressed", String(families[index][0] === selected));
    });
    const at = families.findIndex(([name]) => name === selected);
    if (at >= 0) reach(at);
    describe(null);
  }
  function describe(index) {
    const selected = families.findIndex(([name]) => name === model.get("selected"));
    const at = index ?? selected;
    caption.replaceChildren();
    if (at < 0) {
      caption.textContent = families.length ? `Each square is one of ${families.length} families. Click one to see its models.` : "";
      return;
    }
    const [, title, year, idea, count] = families[at];
    make("b", "", caption, title);
    caption.append(` ${year}, ${models(count)}. ${idea}${index === null ? " Click it again for all families." : ""}`);
  }
  function reach(index) {                               // one dot at a time is reached by Tab
    if (dots[reachable]) dots[reachable].tabIndex = -1;
    reachable = index;
    if (dots[index]) dots[index].tabIndex = 0;
  }
  const select = (value) => choose(model, "selected", value);

  const indexOf = (event) => {
    const dot = event.target.closest?.(".vx-timeline-dot");
    return dot ? Number(dot.dataset.index) : null;
  };
  const onClick = (event) => {
    const index = indexOf(event);
    if (index === null) return;
    reach(index);
    select(families[index][0] === model.get("selected") ? "" : families[index][0]);
  };
  const onOver = (event) => describe(indexOf(event));
  const onLeave = () => describe(null);
  const onKey = (event) => {
    const index = indexOf(event);
    if (index === null || event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation();
    const column = columns.findIndex((one) => one.includes(index)), height = columns[column].indexOf(index);
    const beside = (step) => {
      const next = columns[Math.max(0, Math.min(columns.length - 1, column + step))];
      return next[Math.min(height, next.length - 1)];
    };
    let to;
    if (event.key === "ArrowRight") to = beside(1);
    else if (event.key === "ArrowLeft") to = beside(-1);
    else if (event.key === "ArrowUp") to = columns[column][Math.min(height + 1, columns[column].length - 1)];
    else if (event.key === "ArrowDown") to = columns[column][Math.max(height - 1, 0)];
    else if (event.key === "Home") to = 0;
    else if (event.key === "End") to = dots.length - 1;
    else if (event.key === "Escape") select("");
    else return;
    event.preventDefault();
    if (to === undefined) return;
    reach(to);
    dots[to].focus({ preventScroll: true });
  };
  line.addEventListener("click", onClick);
  line.addEventListener("mouseover", onOver);
  line.addEventListener("mouseleave", onLeave);
  line.addEventListener("focusin", onOver);
  line.addEventListener("focusout", onLeave);
  line.addEventListener("keydown", onKey);
  const unwatch = watch(model, { _families: draw, _lit: mark, selected: mark });
  draw();
  return () => { unwatch(); root.remove(); };           // the listeners go with the elements
}

export default part(render);
