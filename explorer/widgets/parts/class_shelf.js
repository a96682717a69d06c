// Classes that are being collected: a card each, whose button is held, or its digit, while the camera's frames become photos
// of it; files and folders that are dropped or chosen go to Python one at a time, made smaller here.
const PATIENCE = 20000;        // ms that Python may take for a file
const MOST_FILES = 1000;       // of one go
const DEEPEST = 4;             // folders in folders
const QUALITY = 0.92;
const DRAGS = ["dragenter", "dragover", "dragleave", "drop"];
const PICTURE = /\.(jpe?g|jfif|png|gif|bmp|webp|avif|heic|heif|tiff?)$/i;

// --- files ---------------------------------------------------------------------------------------------------
async function smaller(file, longest) {                 // an upright JPEG, transparency over white
  const bitmap = await createImageBitmap(file);
  try {
    const share = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
    const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * share)));
    const canvas = Object.assign(make("canvas"), { width, height }), pen = canvas.getContext("2d");
    Object.assign(pen, { fillStyle: "white", imageSmoothingQuality: "high" });
    pen.fillRect(0, 0, width, height);
    pen.drawImage(bitmap, 0, 0, width, height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
    return await blob.arrayBuffer();
  } finally {
    bitmap.close();
  }
}
// [{ file, folders: ["pets", "cats"] }] of what was dropped, with what lies in dropped folders
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean), found = [];
  async function walk(entry, folders) {
    if (found.length > MOST_FILES || entry.name.startsWith(".")) return;
    if (entry.isFile) found.push({ file: await new Promise((done, fail) => entry.file(done, fail)), folders });
    else if (folders.length < DEEPEST) {
      const reader = entry.createReader();
      for (let some; (some = await new Promise((done, fail) => reader.readEntries(done, fail))).length;)
        for (const one of some) await walk(one, [...folders, entry.name]);
    }
  }
  if (!entries.length) return [...transfer.files].map((file) => ({ file, folders: [] }));
  for (const entry of entries) await walk(entry, []);
  return found;
}
const chosenFolder = (files) => [...files].map((file) => ({ file, folders: file.webkitRelativePath.split("/").slice(0, -1) }))
  .filter(({ folders }) => !folders.some((name) => name.startsWith(".")));
// Which class each is of: the folder that it lies in. Beside class folders, a photo is of none.
function byFolder(found) {
  const deepest = Math.max(0, ...found.map(({ folders }) => folders.length));
  const of = found.filter(({ folders }) => folders.length && (folders.length > 1 || deepest === 1));
  return { of: of.map(({ file, folders }) => ({ file, of: folders.at(-1), known: false })), loose: found.length - of.length };
}

// --- a card --------------------------------------------------------------------------------------------------
function picker(parent, text, label, attributes, act) {  // a button around a field for files
  const around = make("label", "vx-shelf-files", parent), field = make("input", "", around);
  make("span", "", around, text);
  Object.assign(field, { type: "file", multiple: true, title: label, ...attributes });
  field.setAttribute("aria-label", label);
  field.onchange = () => { act(field.files); field.value = ""; };
  return around;
}

function render({ model, el }) {
  const root = make("div", "vx-shelf", el);
  root.dataset.lmSuppressShortcuts = "true";            // or a key pressed here runs a notebook command
  root.tabIndex = -1;                                   // so that a click beside the buttons gives it the digits
  const offer = make("div", "vx-shelf-offer", root), offered = make("span", "", offer);
  button(offer, "Open them", () => ask({ kind: "reopen" }), { className: "vx-shelf-main" });
  button(offer, "Not now", () => ask({ kind: "dismiss" }));
  const cards = make("div", "vx-shelf-cards", root), bar = make("div", "vx-shelf-bar", root);
  button(bar, "+ Add a class", () => ask({ kind: "add" }));
  const folders = picker(bar, "Add a folder …", "Add a folder: a class, or a folder with a folder for each class", { webkitdirectory: true },
    (files) => { const { of, loose } = byFolder(chosenFolder(files)); give(of, loose); });
  const hint = make("span", "vx-shelf-hint", bar, "or drop photos on a class, a folder anywhere here");
  const gone = make("div", "vx-shelf-gone", root), what = make("span", "", gone);
  button(gone, "Undo", () => { ask({ kind: "undo" }); root.focus({ preventScroll: true }); });
  const note = make("div", "vx-shelf-note", root), warnings = make("ul", "vx-shelf-warnings", root);
  note.setAttribute("role", "status");
  const keep = make("form", "vx-shelf-keep", root), place = make("input", "", keep);
  Object.assign(place, { type: "text", placeholder: "my_classes", maxLength: 300, title: "The path of a folder" });
  place.setAttribute("aria-label", "Folder");
  const saves = button(keep, "Save in this folder", () => { if (place.value.trim()) ask({ kind: "save", folder: place.value.trim() }); });
  button(keep, "Open this folder", () => { if (place.value.trim()) ask({ kind: "load", folder: place.value.trim() }); });
  keep.onsubmit = (event) => { event.preventDefault(); saves.click(); };
  const home = make("div", "vx-shelf-home", root);

  const urls = new Map(), lists = new Map(), made = [];  // small pictures by key; { keys, bursts } by class; the cards
  let held = null, ended = false, sending = false, number = Math.floor(Math.random() * 2 ** 40), answered = null;
  const queue = [];
  const say = (text, wrong = false) => { reword(note, text); note.dataset.wrong = String(wrong); };
  const ask = (message, buffers) => tell(model, message, (text) => say(text, true), buffers);
  const nameOf = (card) => model.get("classes")[made.indexOf(card)]?.name;

  // --- a button or a digit that is held -----------------------------------------------------------------------
  function hold(card, key) {
    if (held || !card) return;
    if (!model.get("live")) return void say("Start the camera first, or add photos from files.", true);
    const name = nameOf(card);
    held = { card, key, name };
    card.root.dataset.held = "true";
    say("");
    ask({ kind: "hold", of: name, on: true });
  }
  function release() {
    if (!held) return;
    const { card, name } = held;
    held = null;
    delete card.root.dataset.held;
    ask({ kind: "hold", of: name, on: false });
  }
  const panel = () => root.closest(".vx-teach") || root;
  const typing = (node) => node.matches?.("textarea, select, input:not([type=checkbox], [type=file], [type=radio], [type=range])") || node.isContentEditable;
  function down(event) {
    if (!/^[1-9]$/.test(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!panel().contains(event.target) || typing(event.target) || !root.getClientRects().length) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) hold(made[Number(event.key) - 1], event.key);
  }
  function up(event) { if (held && held.key === event.key) release(); }
  const away = (event) => { if (event.target === window || document.hidden) release(); };
  const keys = [["keydown", down], ["keyup", up], ["blur", away], ["visibilitychange", away]];
  keys.forEach(([type, act]) => window.addEventListener(type, act, true));

  function makeCard() {
    const node = make("section", "vx-shelf-card", cards), head = make("div", "vx-shelf-head", node);
    const name = make("input", "vx-shelf-name", head), count = make("span", "vx-shelf-count", head);
    const card = { root: node, name, count, nodes: new Map() };
    Object.assign(name, { type: "text", maxLength: 60 });
    name.onchange = () => {
      const [was, now] = [nameOf(card), name.value.trim()];
      if (now && now !== was) ask({ kind: "rename", of: was, name: now });
      else name.value = was;
    };
    name.onkeydown = (event) => {
      event.stopPropagation();
      if (event.key === "Enter") name.blur();
      if (event.key === "Escape") { name.value = nameOf(card); name.blur(); }
    };
    card.remove = button(head, "×", () => { ask({ kind: "remove", of: nameOf(card) }); root.focus({ preventScroll: true }); }, { className: "vx-shelf-remove" });
    const acts = make("div", "vx-shelf-acts", node);
    card.hold = button(acts, "", null, { className: "vx-shelf-main vx-shelf-hold" });
    card.word = make("span", "", card.hold, "Hold to collect");
    card.digit = make("kbd", "", card.hold);
    card.hold.onpointerdown = (event) => { if (event.button === 0) { card.hold.setPointerCapture(event.pointerId); hold(card, "pointer"); } };
    card.hold.onpointerup = card.hold.onpointercancel = card.hold.onlostpointercapture = () => { if (held?.key === "pointer") release(); };
    card.hold.oncontextmenu = (event) => event.preventDefault();   // a long touch
    card.hold.onkeydown = (event) => { if ([" ", "Enter"].includes(event.key)) { event.preventDefault(); if (!event.repeat) hold(card, event.key); } };
    card.hold.onclick = (event) => {                    // of a screen reader: one photo
      if (event.detail === 0 && !held) { hold(card, "click"); release(); }
    };
    card.files = picker(acts, "Photos …", "", { accept: "image/*" }, (files) => give([...files].map((file) => ({ file, of: nameOf(card), known: true }))));
    card.list = make("div", "vx-shelf-photos", node);
    card.list.setAttribute("role", "listbox");
    walkOptions(card.list, () => {});
    card.list.addEventListener("click", (event) => { if (event.target.closest(".vx-shelf-x")) drop(card, event.target.closest("[role=option]")); });
    card.list.addEventListener("keydown", (event) => {
      if (!["Delete", "Backspace"].includes(event.key)) return;
      event.preventDefault();
      drop(card, event.target.closest("[role=option]"));
    });
    return card;
  }
  function drop(card, option) {
    const next = option.nextElementSibling || option.previousElementSibling;
    ask({ kind: "drop", key: Number(option.dataset.key) });
    if (next) { next.tabIndex = 0; next.focus(); } else card.hold.focus();
  }

  // --- what is there ------------------------------------------------------------------------------------------
  function write() {
    const classes = model.get("classes"), live = model.get("live");
    while (made.length > classes.length) made.pop().root.remove();
    classes.forEach(({ name, count }, k) => {
      const card = made[k] || (made[k] = makeCard());
      card.root.setAttribute("aria-label", `Class ${name}`);
      card.root.dataset.name = name;
      card.name.setAttribute("aria-label", `Name of class ${k + 1}`);
      card.name.title = `${name}: a click changes the name`;
      reword(card.count, `${count} photo${count === 1 ? "" : "s"}`);
      card.digit.hidden = k > 8;
      reword(card.digit, String(k + 1));
      card.hold.setAttribute("aria-disabled", String(!live));
      card.hold.title = live ? `Frames become photos of ${name} while you hold this${k < 9 ? `, or the key ${k + 1}` : ""}` : "Start the camera first";
      for (const [node, text] of [[card.remove, `Remove ${name} with its photos`], [card.files.firstChild, `Add photos of ${name} from files`]]) {
        node.title = text;
        node.setAttribute("aria-label", text);
      }
      lay(card, name);
    });
    if (held && !classes.some(({ name }) => name === held.name)) release();
  }
  function lay(card, name) {                            // the newest first
    const { keys = [], bursts = [] } = lists.get(name) || {}, wanted = new Set(keys);
    if (document.activeElement !== card.name) card.name.value = name;  // also where another name was refused
    for (const [key, node] of card.nodes) if (!wanted.has(key)) { node.remove(); card.nodes.delete(key); }
    card.list.hidden = !keys.length;
    card.list.setAttribute("aria-label", `Photos of ${name}; Delete removes one`);
    let at = card.list.firstChild;
    for (let k = keys.length - 1; k >= 0; k--) {
      const key = keys[k];
      let node = card.nodes.get(key);
      if (!node) {
        node = make("div", "vx-shelf-photo");
        node.setAttribute("role", "option");
        Object.assign(node.dataset, { key });
        node.tabIndex = -1;
        const image = make("img", "", node);
        image.alt = "";                                  // the option says it
        image.draggable = false;
        const away = make("span", "vx-shelf-x", node, "×");
        away.title = "Remove this photo";
        card.nodes.set(key, node);
      }
      if (node === at) at = at.nextSibling;
      else card.list.insertBefore(node, at);
      const image = node.firstChild, url = urls.get(key);
      if (url && image.src !== url) image.src = url;
      node.dataset.first = String(bursts[k] !== bursts[k + 1]);
      const label = `Photo ${k + 1} of ${keys.length}`;
      if (node.getAttribute("aria-label") !== label) {
        node.setAttribute("aria-label", label);
        node.title = `${label}; the Delete key removes it. A line parts what was taken in one go (bursts).`;
      }
    }
    const options = [...card.list.children];
    if (options.length && !options.some((one) => one.tabIndex === 0)) options[0].tabIndex = 0;
  }
  function tidy() {                                     // pictures that belong to no class any more
    const known = new Set([...lists.values()].flatMap(({ keys }) => keys));
    for (const [key, url] of urls) if (!known.has(key)) { URL.revokeObjectURL(url); urls.delete(key); }
  }
  function about() {
    reword(offered, model.get("offer"));
    offer.hidden = !model.get("offer");
    reword(what, model.get("removed"));
    gone.hidden = !model.get("removed");
    reword(home, model.get("home"));
    warnings.replaceChildren(...model.get("warnings").map((text) => make("li", "", null, text)));
    warnings.hidden = !model.get("warnings").length;
  }
  const told = () => { const { text, error } = model.get("_said"); say(text, error); };

  // --- files that go to Python --------------------------------------------------------------------------------
  function give(found, loose = 0) {
    const pictures = found.filter(({ file }) => file.type.startsWith("image/") || PICTURE.test(file.name)).slice(0, MOST_FILES);
    if (!pictures.length) return void say(loose ? "Drop photos on a class; a folder of class folders may be dropped anywhere here." : "There is no picture among these files.", true);
    queue.push(...pictures);
    if (!sending) send(found.length - pictures.length + loose);
    return undefined;
  }
  async function send(others) {
    sending = true;
    let done = 0, problem = "";
    const unread = [];
    while (queue.length && !ended) {
      const { file, of, known } = queue.shift();
      say(`Reading ${done + unread.length + 1} of ${done + unread.length + 1 + queue.length} …`);
      let data;
      try { data = await smaller(file, model.get("side")); } catch { unread.push(file.name); continue; }
      if (ended) return;
      const mine = ++number;
      const answer = await new Promise((heard) => {
        const late = setTimeout(() => heard("Python gives no answer. Is the kernel running, and is no cell busy?"), PATIENCE);
        answered = (content) => { if (content.number === mine) { clearTimeout(late); heard(content.problem); } };
        tell(model, { kind: "photo", number: mine, of, known }, heard, [data]);
      });
      if (answer) { problem = answer; queue.length = 0; } else done += 1;
    }
    sending = false;
    if (ended) return;
    const said = [problem, `${done} photo${done === 1 ? " was" : "s were"} added.`];
    if (unread.length) said.push(`This browser can't open ${unread.slice(0, 3).join(", ")}${unread.length > 3 ? ` and ${unread.length - 3} more` : ""}: save them as JPEG.`);
    if (others > 0) said.push(`${others} other file${others === 1 ? " was" : "s were"} left out.`);
    say(said.filter(Boolean).join(" "), Boolean(problem || unread.length));
  }
  async function onDrop(event) {
    const target = made.find((card) => card.root.contains(event.target));
    const name = target && nameOf(target), found = await dropped(event.dataTransfer);
    if (!found.length) say("That was no file. Save the picture first, then drop the file here.", true);
    else if (name) give(found.map(({ file }) => ({ file, of: name, known: true })));
    else { const { of, loose } = byFolder(found); give(of, loose); }
  }
  const mark = (node) => cards.parentNode.querySelectorAll("[data-over]").forEach((one) => one !== node && delete one.dataset.over);
  function drag(event) {                                // or JupyterLab uploads the file to its own folder
    event.preventDefault();
    event.stopPropagation();
    const node = event.target.closest(".vx-shelf-card") || bar, over = event.type === "dragenter" || event.type === "dragover";
    mark(over ? node : null);
    if (over) node.dataset.over = "true";
    if (event.type === "drop") onDrop(event).catch(() => say("What was dropped could not be read.", true));
  }
  let area = null;
  const settled = requestAnimationFrame(() => {         // the page has it now, and what is around it
    area = panel();
    area.dataset.lmSuppressShortcuts = "true";
    DRAGS.forEach((type) => area.addEventListener(type, drag));
  });
  place.onkeydown = (event) => event.stopPropagation();

  const hear = (content, buffers) => {
    if (content?.kind === "pictures") {
      pictureUrls({ sizes: content.sizes, data: buffers[0] }).forEach((url, k) => {
        const key = content.keys[k];
        if (urls.has(key)) URL.revokeObjectURL(url);
        else urls.set(key, url);
      });
      for (const card of made) for (const key of content.keys) { const node = card.nodes.get(key); if (node) node.firstChild.src = urls.get(key); }
    } else if (content?.kind === "list") {
      lists.set(content.of, content);
      const card = made.find((one) => nameOf(one) === content.of);
      if (card) lay(card, content.of);
    } else if (content?.kind === "anew") {
      lists.clear();
      write();
      tidy();
    } else if (content?.kind === "took") answered?.(content);
    else if (content?.kind === "let go" && held) { delete held.card.root.dataset.held; held = null; }
  };
  model.on("msg:custom", hear);
  const unwatch = watch(model, { classes: write, live: write, removed: about, offer: about, home: about, warnings: about, _said: told });
  write();
  about();
  told();
  ask({ kind: "resync" });
  return () => {
    release();
    ended = true;
    cancelAnimationFrame(settled);
    DRAGS.forEach((type) => area?.removeEventListener(type, drag));
    keys.forEach(([type, act]) => window.removeEventListener(type, act, true));
    model.off("msg:custom", hear);
    unwatch();
    urls.forEach((url) => URL.revokeObjectURL(url));
    root.remove();
  };
}

export default part(render);
