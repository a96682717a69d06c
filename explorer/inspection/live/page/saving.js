// What was collected and learnt, taken home: a copy of this page that holds it, or a .zip of class folders, as
// explorer.finetune(model, "folder") takes them once unpacked.

const LEARNT_FORMAT = 1;

// --- numbers and bytes as text ---------------------------------------------------------------------------------
function textOfBytes(bytes) {                            // base64
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(text);
}
const bytesOfText = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
const textOfFloats = (values) => textOfBytes(new Uint8Array(Float32Array.from(values).buffer));
const floatsOfText = (text) => new Float32Array(bytesOfText(text).buffer);
// JSON that no browser takes for the end of its block, whatever a class is called.
const blockText = (data) => JSON.stringify(data).replaceAll("<", "\\u003c");

// --- what was learnt as data, and back ------------------------------------------------------------------------------
// lesson: { classes: [{ name, photos: [{ name, burst, greys, jpeg, thumb, embeddings: { [model's name]: Float32Array } }] }],
// head: null or { labels, weights, bias, model, said, table } }
function packLesson({ classes, head }) {
  const photo = ({ name, burst, greys, jpeg, thumb, embeddings }) => ({
    name, burst, greys: textOfBytes(greys), jpeg: textOfBytes(jpeg), thumb: textOfBytes(thumb),
    embeddings: Object.entries(embeddings).map(([model, values]) => [model, textOfFloats(values)]),
  });
  const kept = head && { labels: head.labels, model: head.model, said: head.said, table: head.table,
    weights: head.weights.map(textOfFloats), bias: textOfFloats(head.bias) };
  return { format: LEARNT_FORMAT, classes: classes.map((one) => ({ name: one.name, photos: one.photos.map(photo) })), head: kept };
}
function unpackLesson(data) {
  const known = (right, value) => { if (!right) throw new TypeError("not as it was saved"); return value; };
  const text = (value) => known(typeof value === "string", value), whole = (value) => known(Number.isSafeInteger(value) && value >= 0, value);
  const floats = (value) => { const found = floatsOfText(text(value)); return known(found.every(Number.isFinite), found); };
  const photo = (one) => ({ name: text(one.name), burst: whole(one.burst), greys: bytesOfText(one.greys), jpeg: bytesOfText(one.jpeg),
    thumb: bytesOfText(one.thumb), embeddings: Object.fromEntries(one.embeddings.map(([model, values]) => [model, floats(values)])) });
  const learnt = ({ labels, weights, bias, model, said, table }) => {
    const each = (rows) => known(rows.length === labels.length, rows);
    const counts = table && each(table).map((row) => each(row).map(whole));
    return { labels: known(labels.length > 1, labels).map(text), weights: each(weights).map(floats), bias: each(floats(bias)), model: whole(model),
      said: text(said), table: counts };
  };
  try {
    known(data.format === LEARNT_FORMAT);
    return { classes: data.classes.map((one) => ({ name: text(one.name), photos: one.photos.map(photo) })), head: data.head && learnt(data.head) };
  } catch {
    throw new Error("This page holds classes in a form that it can’t read.");
  }
}

// --- the page as it was written ---------------------------------------------------------------------------------
// A browser's own "save page as" keeps what the scripts had drawn: they draw it anew.
function clearDrawn(page) {
  for (const node of page.querySelectorAll(".vx-live-head, .vx-live-area, .vx-live-say")) Object.assign(node, { hidden: false }).replaceChildren();
  for (const node of page.querySelectorAll(".vx-live > .vx-live-sorry")) node.remove();
  delete page.body.dataset.ready;
  return page;
}
// Text of a file in pieces: between two of them stands the text of a data block, which is as large as the model and is
// therefore read when a copy is saved. `page` is the document before any script has changed it.
function shellOf(page) {
  const root = page.documentElement.cloneNode(true), mark = `vx-${Math.random().toString(36).slice(2)}-`;
  const blocks = [...root.querySelectorAll("script[id][type^='application/']")].map((block) => block.id);
  for (const id of blocks) root.querySelector(`script[id="${id}"]`).textContent = `${mark}${id};`;
  const pieces = [], text = `<!doctype html>\n${root.outerHTML}\n`;
  let from = 0;
  for (const id of blocks) {
    const at = text.indexOf(`${mark}${id};`, from);
    pieces.push(text.slice(from, at));
    from = at + `${mark}${id};`.length;
  }
  return { blocks, pieces: [...pieces, text.slice(from)] };
}
// The parts of a page's copy, one behind the other, with `learnt` in its block and all else as it was.
function copyOf({ blocks, pieces }, textOf, learnt) {
  return pieces.flatMap((piece, k) => (k < blocks.length ? [piece, blocks[k] === "vx-learnt" ? blockText(learnt) : textOf(blocks[k])] : [piece]));
}
const PAGE_AS_WRITTEN = typeof document === "undefined" ? null : shellOf(clearDrawn(document));

// --- a .zip whose files are stored as they are (PKWARE's APPNOTE 6.3) -----------------------------------------------
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});
function crcOf(bytes) {
  let crc = 0xffffffff;
  for (const one of bytes) crc = CRC_TABLE[(crc ^ one) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
const MOST_UNPACKED = 1e9, TOO_MUCH = "This .zip unpacks to more than 1 GB: give fewer photos at once.";
const UTF8_NAMES = 0x0800, ZIP_DAY = 33;                 // 1 January 1980: the copy of tomorrow is the same file
// files: [{ name: "cup/photo-1.jpg", bytes }] -> the parts of a .zip
function zipOf(files) {
  const parts = [], directory = [];
  let at = 0;
  for (const { name, bytes } of files) {
    const path = new TextEncoder().encode(name), crc = crcOf(bytes);
    const common = (view, from) => {                     // what a file's own header and the directory both say
      [20, UTF8_NAMES, 0, 0, ZIP_DAY].forEach((value, k) => view.setUint16(from + 2 * k, value, true));
      [crc, bytes.length, bytes.length].forEach((value, k) => view.setUint32(from + 10 + 4 * k, value, true));
      view.setUint16(from + 22, path.length, true);
    };
    const local = new DataView(new ArrayBuffer(30)), entry = new DataView(new ArrayBuffer(46));
    local.setUint32(0, 0x04034b50, true);
    common(local, 4);
    entry.setUint32(0, 0x02014b50, true);
    entry.setUint16(4, 20, true);
    common(entry, 6);
    entry.setUint32(42, at, true);
    parts.push(new Uint8Array(local.buffer), path, bytes);
    directory.push(new Uint8Array(entry.buffer), path);
    at += 30 + path.length + bytes.length;
  }
  const size = directory.reduce((sum, one) => sum + one.length, 0), end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  [files.length, files.length].forEach((value, k) => end.setUint16(8 + 2 * k, value, true));
  [size, at].forEach((value, k) => end.setUint32(12 + 4 * k, value, true));
  return [...parts, ...directory, new Uint8Array(end.buffer)];
}
// The files of a .zip that are wanted, [{ name, bytes }], packed or stored; throws an Error with a sentence.
async function filesOfZip(bytes, { wanted = () => true, most = MOST_UNPACKED } = {}) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), files = [];
  let end = bytes.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < 0) throw new Error("This file is no .zip, or it is cut off.");
  let room = most;
  try {
    let at = view.getUint32(end + 16, true);
    for (let left = view.getUint16(end + 10, true); left > 0; left--) {
      const [how, packed, longName] = [view.getUint16(at + 10, true), view.getUint32(at + 20, true), view.getUint16(at + 28, true)];
      const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + longName)), local = view.getUint32(at + 42, true);
      const from = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true), body = bytes.subarray(from, from + packed);
      if (!name.endsWith("/") && wanted(name)) {
        files.push({ name, bytes: how ? await inflated(body, room) : body });
        room -= files.at(-1).bytes.length;
      }
      at += 46 + longName + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    }
  } catch (error) {
    if (error instanceof RangeError && error.message === TOO_MUCH) throw new Error(TOO_MUCH);
    throw new Error("This .zip can’t be read: it is cut off, or packed in a way that this page does not know.");
  }
  return files;
}
// Throws RangeError where more than `most` bytes come out of a few.
async function inflated(bytes, most) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw")), pieces = [];
  let size = 0;
  for (const reader = stream.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) return new Uint8Array(await new Blob(pieces).arrayBuffer());
    size += value.length;
    if (size > most) {
      reader.cancel().catch(() => {});
      throw new RangeError(TOO_MUCH);
    }
    pieces.push(value);
  }
}

// --- class folders ----------------------------------------------------------------------------------------------
const RESERVED_NAMES = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;  // Windows has no folders of these names
const SPLIT_NAMES = /^(train|training|val|valid|validation|test|testing)$/i;
// A class's name as a folder on any system: no separators or control signs, no dot in front or at the end.
function folderName(name, taken = []) {
  let safe = name.normalize("NFC").replace(/[\u0000-\u001f\u007f-\u009f\ud800-\udfff<>:"/\\|?*]/gu, "_").replace(/^[\s._]+|[\s.]+$/g, "").slice(0, 60).trim();
  if (!safe || RESERVED_NAMES.test(safe) || SPLIT_NAMES.test(safe)) safe = `class ${safe}`.trim();
  let found = safe;
  for (let number = 2; taken.some((one) => one.toLowerCase() === found.toLowerCase()); number++) found = `${safe} ${number}`;
  return found;
}
// The photos of a burst are named burst-<n>-<k>, as explorer reads them: they stay together when photos are split.
function folderFiles(classes) {
  const taken = [], files = [];
  for (const { name, photos } of classes) {
    const folder = folderName(name, taken), frames = new Map();
    taken.push(folder);
    photos.forEach(({ burst, jpeg }, n) => {
      const single = photos.every((other, k) => k === n || other.burst !== burst), number = (frames.get(burst) ?? 0) + 1;
      frames.set(burst, number);
      files.push({ name: `${folder}/${single ? `photo-${n + 1}` : `burst-${burst}-${number}`}.jpg`, bytes: jpeg });
    });
  }
  return files;
}
const BURST_NAME = /^burst-(\d+)-\d+$/i, PICTURE_NAME = /\.(jpe?g|png|webp|gif|bmp)$/i;
// "my_classes/cup/burst-3-1.jpg" -> { folder: "cup", burst: "3" or null }; null for what is no photo in a folder
function placeInFolders(path) {
  const parts = path.split(/[\\/]/).filter(Boolean), name = parts.pop() ?? "", folder = parts.pop();
  if (!folder || !PICTURE_NAME.test(name) || name.startsWith("._") || parts.includes("__MACOSX") || folder === "__MACOSX") return null;
  return { folder, burst: BURST_NAME.exec(name.replace(PICTURE_NAME, ""))?.[1] ?? null };
}
// [{ name: "my_classes/cup/burst-3-1.jpg", ... }] -> Map of class name -> [{ file, burst: "3" or null }]
function classesOfFiles(files) {
  const found = new Map();
  for (const file of files) {
    const { folder, burst } = placeInFolders(file.name) ?? {};
    if (!folder) continue;
    if (!found.has(folder)) found.set(folder, []);
    found.get(folder).push({ file, burst });
  }
  return found;
}
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

// --- on the page --------------------------------------------------------------------------------------------------
function setUpSaving(app) {
  const { lesson } = app, root = make("div", "vx-saving", app.area("learn")), row = make("div", "vx-class-row", root);
  const copy = button(row, "Save a copy of this page", () => orSay(saveCopy), { className: "vx-main" });
  const zip = button(row, "Save the photos (.zip)", () => orSay(saveZip)), open = button(row, "Open photos (.zip) …", () => file.click());
  const file = Object.assign(make("input", "", row), { type: "file", accept: ".zip,application/zip", hidden: true });
  const note = make("p", "vx-saving-note", root);
  note.setAttribute("role", "status");
  copy.title = "One HTML file with this page, your photos and what was learnt: it opens like this one";
  zip.title = "A folder for each class, for explorer.finetune(model, \"folder\")";
  const say = (text) => reword(note, text), photos = () => lesson.classes.reduce((sum, one) => sum + one.photos.length, 0);

  const orSay = (act) => act().catch((error) => say(`Nothing was saved: ${error.message}`));
  async function saveCopy() {
    await lesson.settled();
    const name = `${folderName(app.facts.title)}-with-my-classes.html`, learnt = packLesson(lesson);
    const parts = copyOf(PAGE_AS_WRITTEN, (id) => document.getElementById(id).textContent, learnt), page = new Blob(parts, { type: "text/html" });
    saveFile(root, page, { name, mime: "text/html" });
    say(`${name}: ${megabytes(page.size)}, with ${counted(photos(), "photo")} of ${counted(lesson.classes.length, "class", "classes")}. Open it like this page; anybody you give it to sees the photos.`);
  }
  async function saveZip() {
    await lesson.settled();
    const files = folderFiles(lesson.classes), data = new Blob(zipOf(files), { type: "application/zip" });
    saveFile(root, data, { name: "my_classes.zip", mime: "application/zip" });
    say(`my_classes.zip: ${megabytes(data.size)}, ${counted(files.length, "photo")}. Unpacked, it is a folder for explorer.finetune(model, "my_classes").`);
  }
  async function openZip(chosen) {
    try {
      const files = await filesOfZip(new Uint8Array(await chosen.arrayBuffer()), { wanted: placeInFolders });
      const found = classesOfFiles(files), left = [];
      if (!found.size) return say("This .zip holds no folder with photos: it needs a folder for each class.");
      for (const [name, all] of found) {
        const known = lesson.classes.find((each) => each.name === name), bursts = new Map();
        if (!known && lesson.classes.length >= MOST_CLASSES) { left.push(name); continue; }
        const one = known ?? lesson.add(name);
        lesson.changed();
        const pictures = all.map(({ file: { name: path, bytes }, burst }) => {
          if (burst && !bursts.has(burst)) bursts.set(burst, lesson.newBurst());
          return Object.assign(new Blob([bytes]), { name: path, burst: bursts.get(burst) });
        });
        await lesson.acts.addFiles(one, pictures);
      }
      const more = left.length ? ` ${counted(left.length, "other folder")} did not: ${MOST_CLASSES} classes are the most that this page takes.` : "";
      return say(`${counted(found.size - left.length, "class", "classes")} came from ${chosen.name}.${more}`);
    } catch (error) {
      return say(error.message);
    }
  }
  file.onchange = () => { const [chosen] = file.files; file.value = ""; if (chosen) openZip(chosen); };
  const draw = () => {
    root.hidden = !(app.facing.embedding > 0);
    copy.hidden = zip.hidden = !photos();
  };
  app.on("lesson", draw);
  app.on("model", draw);
  draw();

  // What this page was saved with. Embeddings that are none of its models' are made anew.
  try {
    const kept = factsIn("vx-learnt");
    if (!kept) return;
    const { classes, head } = unpackLesson(kept), sizes = app.facts.models.map(({ embedding }) => embedding);
    for (const { name, photos: all } of classes) {
      for (const { embeddings } of all)
        for (const [model, { length }] of Object.entries(embeddings)) if (length !== sizes[model]) delete embeddings[model];
      lesson.add(name).photos = all;
      lesson.bursts = all.reduce((most, { burst }) => Math.max(most, burst), lesson.bursts);
    }
    lesson.changed();
    if (head) lesson.takeHead(head);
    embedMissing(app).catch((error) => say(error.message));
  } catch (error) {
    say(error.message);
  }
}
