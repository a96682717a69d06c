// A row of small photos: click or Enter picks one, arrow keys move between them.

function render({ model, el }) {
  const root = make("div", "vx-gallery", el);
  root.dataset.lmSuppressShortcuts = "true";     // or an arrow key moves the notebook's selection
  root.setAttribute("role", "listbox");
  root.setAttribute("aria-label", "Photos");
  let urls = [];

  const options = () => [...root.children];
  function focusOn(index) {
    const all = options();
    const to = all[Math.max(0, Math.min(all.length - 1, index))];
    all.forEach((one) => { one.tabIndex = one === to ? 0 : -1; });
    to?.focus();
  }
  const pick = (index) => {
    model.set("selected", index);                // marked at once; Python takes it back if the photo can't be shown
    tell(model, { kind: "pick", index });
  };

  function draw() {
    urls.forEach((url) => URL.revokeObjectURL(url));
    const parts = [model.get("_items") || {}, model.get("_added") || {}];
    const titles = parts.flatMap((one) => one.titles ?? []);
    urls = parts.flatMap(pictureUrls);
    root.replaceChildren(...urls.map((url, index) => {
      const option = make("div", "vx-gallery-photo"), image = make("img", "", option);
      option.setAttribute("role", "option");
      option.setAttribute("aria-label", titles[index]);
      option.title = titles[index];
      image.src = url;
      image.alt = "";
      image.draggable = false;
      return option;
    }));
    root.dataset.photos = String(urls.length);
    mark();
  }
  function mark() {
    const selected = model.get("selected");
    const all = options();
    const reachable = all[selected] ? selected : 0;
    all.forEach((option, index) => {
      option.setAttribute("aria-selected", String(index === selected));
      option.tabIndex = index === reachable ? 0 : -1;
    });
    const one = all[selected];
    if (one) {                                   // into view within the row, without moving the page
      if (one.offsetTop < root.scrollTop) root.scrollTop = one.offsetTop;
      const below = one.offsetTop + one.offsetHeight - root.clientHeight;
      if (below > root.scrollTop) root.scrollTop = below;
      const left = one.offsetLeft - 8, right = one.offsetLeft + one.offsetWidth + 8 - root.clientWidth;
      if (left < root.scrollLeft) root.scrollLeft = left;
      else if (right > root.scrollLeft) root.scrollLeft = right;
    }
    root.dataset.selected = String(selected);
  }

  const indexOf = (event) => options().indexOf(event.target.closest(".vx-gallery-photo"));
  const onClick = (event) => { const index = indexOf(event); if (index >= 0) { focusOn(index); pick(index); } };
  const onKey = (event) => {
    const index = indexOf(event);
    if (index < 0) return;
    const width = options().filter((one) => one.offsetTop === options()[0].offsetTop).length;
    const to = { ArrowRight: index + 1, ArrowLeft: index - 1, ArrowDown: index + width, ArrowUp: index - width,
                 Home: 0, End: options().length - 1 }[event.key];
    event.stopPropagation();
    if (to !== undefined) { event.preventDefault(); focusOn(to); }
    else if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(index); }
  };
  root.addEventListener("click", onClick);
  root.addEventListener("keydown", onKey);
  const unwatch = watch(model, { _items: draw, _added: draw, selected: mark });
  draw();
  return () => {
    root.removeEventListener("click", onClick);
    root.removeEventListener("keydown", onKey);
    unwatch();
    urls.forEach((url) => URL.revokeObjectURL(url));
    root.remove();
  };
}

export default part(render);
