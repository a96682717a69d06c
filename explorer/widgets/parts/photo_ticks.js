// Small photos to tick: click, Space or Enter ticks one, arrow keys move between them.

function render({ model, el }) {
  const root = make("div", "vx-ticked", el);
  root.dataset.lmSuppressShortcuts = "true";             // or JupyterLab takes the arrow keys
  const bar = make("div", "vx-ticked-bar", root);
  const count = make("span", "vx-ticked-count", bar);
  count.setAttribute("role", "status");
  button(bar, "All", () => tick(options().map((_, index) => index)));
  button(bar, "None", () => tick([]));
  const list = make("div", "vx-ticked-list", root);
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-multiselectable", "true");
  let urls = [];
  const clean = () => urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
  const options = () => [...list.children];

  function tick(value) {
    choose(model, "value", value);
    mark();
  }
  function toggle(index) {
    const value = model.get("value");
    tick(value.includes(index) ? value.filter((one) => one !== index) : [...value, index].sort((a, b) => a - b));
  }
  function draw() {
    list.setAttribute("aria-label", model.get("label"));
    list.replaceChildren(...(model.get("titles") || []).map((title, index) => {
      const option = make("div", "vx-ticked-photo");
      option.setAttribute("role", "option");
      option.setAttribute("aria-label", title);
      option.title = title;
      option.tabIndex = index ? -1 : 0;
      const image = make("img", "", option);
      image.alt = "";                                    // the option says it
      image.draggable = false;
      return option;
    }));
    paint();
  }
  function paint() {
    clean();
    urls = pictureUrls(model.get("_pictures") || {});
    options().forEach((option, index) => { if (urls[index]) option.firstChild.src = urls[index]; });
    mark();
  }
  function mark() {
    const value = model.get("value") || [];
    options().forEach((option, index) => option.setAttribute("aria-selected", String(value.includes(index))));
    count.textContent = `${value.length} of ${options().length} photos`;
  }
  walkOptions(list, toggle);
  const unwatch = watch(model, { titles: draw, label: draw, _pictures: paint, value: mark });
  draw();
  return () => { unwatch(); clean(); root.remove(); };
}

export default part(render);
