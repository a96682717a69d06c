// What the views share. Python puts this text in front of each view's own module (`base.py`): a view uses
// these names without an import, and a page fetches nothing.

// --- elements: every text is written as text, never as HTML --------------------------------------------
export function make(tag, className, parent, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}
// label: what a screen reader says and a pointer that rests on it shows, where the text is only a sign
export function button(parent, text, act, { className = "", label = "" } = {}) {
  const node = make("button", className, parent, text);
  node.type = "button";
  if (label) {
    node.title = label;
    node.setAttribute("aria-label", label);
  }
  if (act) node.onclick = act;
  return node;
}
// An element of a drawing. Its namespace looks like an address, and no script here may hold one: nothing is fetched.
const DRAWINGS = ["http:", "", "www.w3.org", "2000", "svg"].join("/");
export const svgNode = (tag) => document.createElementNS(DRAWINGS, tag);
// An id for one element of this page. Each view has this module for itself, so a counter would not do.
export const newId = (what) => `vx-${what}-${Math.random().toString(36).slice(2)}`;
// Colours for a canvas, which knows neither var() nor color-mix(): { ink: "rgb(...)" } for the page's --vx-ink.
export function inks(node, names) {
  const probe = make("i", "", node);
  const found = names.map((name) => {
    probe.style.color = `var(--vx-${name})`;
    return [name, getComputedStyle(probe).color];
  });
  probe.remove();
  return Object.fromEntries(found);
}
// Text that changes many times a second: the same one again costs nothing.
export function reword(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
// The options of a list that stand in rows, one of which Tab reaches: arrows, Home and End go from one to the other;
// a click, Enter or the space bar acts on it.
export function walkOptions(list, act) {
  const options = () => [...list.children], indexOf = (event) => options().findIndex((one) => one.contains(event.target));
  function focusOn(index) {
    const all = options(), to = all[clamp(index, 0, all.length - 1)];
    all.forEach((one) => { one.tabIndex = one === to ? 0 : -1; });
    to?.focus();
  }
  list.onclick = (event) => { const index = indexOf(event); if (index >= 0) { focusOn(index); act(index); } };
  list.onkeydown = (event) => {
    const index = indexOf(event);
    if (index < 0) return;
    event.stopPropagation();
    const all = options(), width = all.filter((one) => one.offsetTop === all[0].offsetTop).length;
    const to = { ArrowRight: index + 1, ArrowLeft: index - 1, ArrowDown: index + width, ArrowUp: index - width,
                 Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined) { event.preventDefault(); focusOn(to); }
    else if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(index); }
  };
}

// --- the kernel ----------------------------------------------------------------------------------------
export const NO_KERNEL = "No kernel is running: run the notebook's cells first.";

// What a view exports: Python hears that it is loaded, then its `initialize` and `render` take over.
export const part = (render, initialize) => ({
  initialize(given) { initialize?.(given); given.model.send({ kind: "ready" }); },
  render(given) { given.el.classList.add("vx-part"); return render(given); },
});
// True for a reader who asked the system for less motion: what plays by itself then waits for a step by hand.
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
// A message to Python. Without a kernel only the answer is lost; `say` gets the sentence, if any one listens.
export function tell(model, message, say, buffers) {
  try { model.send(message, undefined, buffers); } catch (error) {
    console.warn("explorer: no kernel", error);
    say?.(NO_KERNEL);
  }
}
// The reader's choice: shown at once, and Python hears of it.
export function choose(model, key, value) {
  model.set(key, value);
  tell(model, { kind: "choose", key, value });
}
// Calls { trait: act } when the trait changes; returns what takes that back.
export function watch(model, acts) {
  const all = Object.entries(acts);
  all.forEach(([key, act]) => model.on(`change:${key}`, act));
  return () => all.forEach(([key, act]) => model.off(`change:${key}`, act));
}

// --- bytes, files, clipboard ---------------------------------------------------------------------------
// A DataView's own bytes: its buffer may hold more.
export const bytesOf = (view, from = 0, size = (view?.byteLength ?? 0) - from) =>
  (size > 0 ? new Uint8Array(view.buffer, view.byteOffset + from, size) : new Uint8Array(0));
export const urlOf = (bytes, type) => URL.createObjectURL(new Blob([bytes], { type }));

// Pictures that came one behind the other, { sizes, data }, as URLs; the caller revokes them.
export function pictureUrls({ sizes = [], data } = {}) {
  let start = 0;
  return sizes.map((size) => urlOf(bytesOf(data, (start += size) - size, size)));
}
export function saveFile(parent, data, { name, mime }) {
  const link = make("a", "", parent);
  link.href = urlOf(data, mime);
  link.download = name;
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);  // a browser may only begin to read it now
}
// Without https or permission, or in an embedded page, nothing is copied: `select` shows the text, selected.
export async function copyText(text, { done, select, say, selected = "The text is selected" }) {
  try {
    await navigator.clipboard.writeText(text);
    say(done);
  } catch {
    select();
    say(`The browser does not let this page copy. ${selected}: press Ctrl+C (⌘C on a Mac).`);
  }
}
// A hidden field for such a text: { node, copy(text, done), hide() }.
export function copier(parent, className, say, tag = "textarea") {
  const node = make(tag, className, parent);
  Object.assign(node, { readOnly: true, hidden: true });
  if (tag === "textarea") node.rows = 4;
  node.setAttribute("aria-label", "Text to copy");
  const hide = () => { node.hidden = true; };
  const copy = (text, done) => {
    hide();
    return copyText(text, { done, say, select: () => {
      Object.assign(node, { hidden: false, value: text });
      node.focus();
      node.select();
    } });
  };
  return { node, copy, hide };
}

// --- colours -------------------------------------------------------------------------------------------
// 17 evenly spaced colours each; the browser blends between them. The first two are matplotlib's (CC0).
export const MAP_COLOURS = {
  viridis: "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725",
  magma: "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 f56b5c fc8961 fea772 fec488 fde2a3 fcfdbf",
  grey: "000000 ffffff",
  coolwarm: "3b4cc0 4e68d8 6282ea 779af7 8db0fe a3c2fe b9d0f9 ccd9ed dddcdc ecd3c5 f5c4ac f7b093 f4987a eb7d62 dd5f4b ca3b37 b40426",
};
// 256 opaque colours as the little-endian words of an ImageData
export function colourTable(name) {
  const stops = MAP_COLOURS[name].split(" ").map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const x = (i / 255) * (stops.length - 1), k = Math.min(Math.floor(x), stops.length - 2);
    const [r, g, b] = stops[k].map((v, j) => Math.round(v + (x - k) * (stops[k + 1][j] - v)));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
}

// --- the camera ----------------------------------------------------------------------------------------
// Absent without https: browsers give a camera to localhost and to pages that nobody can change on the way.
export const hasCameras = () => Boolean(navigator.mediaDevices?.getUserMedia);
const NO_CAMERA = {
  NotAllowedError: "This page may not use the camera. Allow it in the browser's address bar, then try again.",
  NotFoundError: "No camera was found. Connect one, or choose a picture instead.",
  NotReadableError: "The camera is in use by another program. Close that, then try again.",
};
export const whyNoCamera = (error) =>
  NO_CAMERA[error.name] || `The camera could not be started (${error.name}). Choose a picture instead.`;

// The cameras of this computer as the options of a <select>, the one of the stream chosen.
export async function listCameras(select, stream) {
  const all = (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "videoinput");
  const mine = stream?.getVideoTracks()[0]?.getSettings().deviceId;
  select.replaceChildren();
  all.forEach((one, k) => {
    const option = make("option", "", select, one.label || `camera ${k + 1}`);
    Object.assign(option, { value: one.deviceId, selected: one.deviceId === mine });
  });
}

// --- axes ----------------------------------------------------------------------------------------------
export function ticks(low, high, most) {                 // round numbers between low and high
  const raw = (high - low) / Math.max(most, 1), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw * 0.999);
  const found = [], from = Math.ceil(low / step - 1e-6);
  if (Math.abs(from) > 2 ** 52) return { at: [low], step };  // a range in a number's last digit: k + 1 would be k
  for (let k = from; k * step <= high + step * 1e-6; k++) found.push(k * step);
  return { at: found, step };
}
export function logTicks(low, high, most) {              // powers of ten, in a short range with 2 and 5
  const from = Math.log10(low), to = Math.log10(high);
  const factors = to - from <= 2.2 ? [1, 2, 5] : [1], skip = Math.max(1, Math.ceil((to - from) / most));
  const found = [];
  for (let power = Math.floor(from); power <= Math.ceil(to); power += skip)
    for (const factor of factors) found.push(factor * 10 ** power);
  const inside = found.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  // where a narrow piece of the axis holds none of them, round numbers do
  return inside.length > 1 ? inside : ticks(low, high, most).at.filter((value) => value > 0);
}
const brief = (value) => value.toExponential(1).replace(".0e", "e");
export const plain = (value) => {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return "no number";
  return size && (size < 1e-3 || size >= 1e5) ? brief(value) : String(Number(value.toPrecision(3)));
};
export const worded = (value, unit) => (unit === "percent" ? `${(100 * value).toFixed(1)} %` : plain(value));
export function tickText(value, step, unit) {            // in the digits that a step needs; log axis: no step
  const digits = (one) => Math.max(0, -Math.floor(Math.log10(one) + 1e-9));
  if (unit === "percent") return `${Number((100 * value).toFixed(step ? digits(100 * step) : 1))} %`;
  if (step === undefined) return plain(value);
  if (Math.abs(value) < step * 1e-6) return "0";
  return step < 1e-4 || Math.abs(value) >= 1e6 ? brief(value) : value.toFixed(digits(step));
}
