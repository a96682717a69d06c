// A class of the reader's own on the page: its name, a button to hold, its photos.

// A button that acts while it is held: by a pointer, by the space bar or Enter, or once by what only clicks.
function holdable(node, begin, end) {
  let held = false, handled = false;
  const down = () => { if (!held) { held = handled = true; begin(); } }, up = () => { if (held) { held = false; end(); } };
  node.onpointerdown = (event) => { if (event.button === 0) { node.setPointerCapture?.(event.pointerId); down(); } };
  node.onpointerup = node.onpointercancel = node.onlostpointercapture = node.onblur = up;
  node.oncontextmenu = (event) => event.preventDefault();  // a long touch opens one
  node.onkeydown = (event) => { if ([" ", "Enter"].includes(event.key)) { event.preventDefault(); if (!event.repeat) down(); } };
  node.onkeyup = (event) => { if ([" ", "Enter"].includes(event.key)) { event.preventDefault(); up(); handled = false; } };
  node.onclick = () => { if (!handled) { begin(); end(); } handled = false; };
}
function classCard(app, list, one, acts) {
  const item = make("li", "vx-class", list), head = make("div", "vx-class-head", item);
  const digit = make("kbd", "", head), name = make("input", "vx-class-name", head), count = make("span", "vx-class-count", head);
  Object.assign(name, { value: one.name, maxLength: 80, autocomplete: "off", spellcheck: false });
  name.onchange = () => acts.rename(one, name);
  const remove = button(head, "×", () => acts.remove(one), { className: "vx-class-remove" });
  const meter = make("div", "vx-class-meter", item), track = make("span", "vx-class-track", meter), bar = make("span", "vx-class-bar", track);
  const share = make("span", "vx-class-share", meter), row = make("div", "vx-class-row", item);
  const hold = button(row, "Hold to collect", null, { className: "vx-main vx-class-hold" });
  holdable(hold, () => acts.begin(one), () => acts.end(one));
  const front = button(row, "Add the photo", () => acts.addFront(one)), choose = button(row, "Choose photos …", () => files.click());
  const files = Object.assign(make("input", "", row), { type: "file", accept: "image/*", multiple: true, hidden: true });
  files.onchange = () => { acts.addFiles(one, [...files.files]); files.value = ""; };
  const thumbs = make("div", "vx-class-thumbs", item), shown = new Map();
  thumbs.setAttribute("role", "group");
  walkOptions(thumbs, (index) => acts.removePhoto(one, index));
  thumbs.addEventListener("keydown", (event) => {
    const index = [...thumbs.children].indexOf(event.target);
    if (index >= 0 && ["Delete", "Backspace"].includes(event.key)) { event.preventDefault(); acts.removePhoto(one, index); }
  });
  item.ondragover = (event) => {                         // it is for this class, and no new photo of the page
    event.preventDefault();
    event.stopPropagation();
    delete app.area("photos").dataset.over;
    item.dataset.over = "true";
  };
  item.ondragleave = (event) => { if (!item.contains(event.relatedTarget)) delete item.dataset.over; };
  item.ondrop = (event) => {
    event.preventDefault();
    delete item.dataset.over;
    acts.addFiles(one, [...event.dataTransfer.files]);
  };
  function drawThumbs() {
    for (const [photo, { node, url }] of shown) if (!one.photos.includes(photo)) { URL.revokeObjectURL(url); node.remove(); shown.delete(photo); }
    one.photos.forEach((photo, index) => {
      if (!shown.has(photo)) {
        const node = make("div", "", null), image = make("img", "", node), url = urlOf(photo.thumb, "image/jpeg");
        image.alt = "";                                  // the button around it has words
        Object.assign(image, { src: url, draggable: false });
        node.setAttribute("role", "button");
        node.tabIndex = thumbs.querySelector('[tabindex="0"]') ? -1 : 0;
        shown.set(photo, { node, url });
      }
      const { node } = shown.get(photo), said = `Remove photo ${index + 1} of ${one.name}`;
      if (node.title !== said) { node.title = said; node.setAttribute("aria-label", said); }
      if (thumbs.children[index] !== node) thumbs.insertBefore(node, thumbs.children[index] ?? null);
    });
    if (thumbs.children.length && !thumbs.querySelector('[tabindex="0"]')) thumbs.children[0].tabIndex = 0;
    thumbs.hidden = !one.photos.length;
  }
  return {
    item, name, thumbs,
    draw(number) {
      digit.hidden = number > 9;
      reword(digit, String(number));
      name.setAttribute("aria-label", `Name of class ${number}`);
      if (document.activeElement !== name) name.value = one.name;
      reword(count, counted(one.photos.length, "photo"));
      hold.title = number > 9 ? "Hold the button down" : `Hold the button down, or the key ${number}`;
      for (const [node, what] of [[remove, `Delete the class ${one.name}`], [hold, `Hold to collect photos of ${one.name}`],
        [front, `Add the photo in front to ${one.name}`], [choose, `Choose photos of ${one.name}`]]) node.setAttribute("aria-label", what);
      remove.title = `Delete the class ${one.name}`;
      item.dataset.collecting = String(one.held);
      thumbs.setAttribute("aria-label", `Photos of ${one.name}: a click removes one`);
      drawThumbs();
    },
    meter(value) {                                       // null: nothing answers yet
      meter.hidden = value === null;
      bar.style.width = `${(100 * (value ?? 0)).toFixed(1)}%`;
      reword(share, value === null ? "" : `${Math.round(100 * value)} %`);
    },
    close() { for (const { url } of shown.values()) URL.revokeObjectURL(url); item.remove(); },
  };
}
