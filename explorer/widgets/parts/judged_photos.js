// Photos with their answers; a click or Enter picks one, arrow keys move between them.

function render({ model, el }) {
  const root = make("div", "vx-judged", el);
  root.dataset.lmSuppressShortcuts = "true";             // or JupyterLab takes the arrow keys
  const note = make("div", "vx-judged-note", root);
  note.setAttribute("role", "status");
  const list = make("div", "vx-judged-list", root);
  list.setAttribute("role", "listbox");
  let urls = [];
  const clean = () => urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
  const options = () => [...list.children];

  function write() {
    const answers = model.get("_answers") || [];
    note.textContent = model.get("note");
    note.hidden = !model.get("note");
    list.setAttribute("aria-label", model.get("label"));
    list.hidden = !answers.length;
    root.dataset.photos = String(answers.length);
    root.dataset.whole = String(answers.some(({ lines }) => lines.length));  // what lies at an edge counts too
    list.replaceChildren(...answers.map(({ true: is, said, sure, right, name, lines }) => {
      const option = make("div", "vx-judged-one");
      option.setAttribute("role", "option");
      const number = right === null;                     // neither right nor wrong, only so far off
      const below = lines.length ? lines
        : [number ? `true ${is}` : right ? `✓ ${is}` : `✗ is ${is}`,
          number ? `said ${said}, ${sure}` : right ? sure : `taken for ${said}, ${sure}`];
      option.setAttribute("aria-label", lines.length ? `${name}: ${lines.join(", ")}`
        : `${name}: is ${is}, ${number ? "said" : "taken for"} ${said}, ${sure}`);
      option.title = name;
      option.dataset.right = String(right);
      make("img", "", option).alt = "";
      option.firstChild.draggable = false;
      below.forEach((text, place) => make("span", place ? "" : "vx-judged-sign", option, text));
      return option;
    }));
    draw();
  }
  function draw() {
    clean();
    urls = pictureUrls(model.get("_pictures") || {});
    // those without an address: their pictures are on their way
    options().slice(0, urls.length).forEach((option, index) => { option.firstChild.src = urls[index]; });
    mark();
  }
  function mark() {
    const selected = model.get("selected"), all = options(), reachable = all[selected] ? selected : 0;
    all.forEach((option, index) => {
      option.setAttribute("aria-selected", String(index === selected));
      option.tabIndex = index === reachable ? 0 : -1;
    });
  }
  function pick(index) {
    model.set("selected", index);
    mark();
    tell(model, { kind: "pick", index });
  }
  walkOptions(list, pick);
  const unwatch = watch(model,
    { _answers: write, note: write, label: write, _pictures: draw, selected: mark });
  write();
  return () => {
    unwatch();
    clean();
    root.remove();
  };
}

export default part(render);
