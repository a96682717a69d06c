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
// Text that changes many times a second: the same one again costs nothing.
export function reword(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// --- the kernel ----------------------------------------------------------------------------------------
export const NO_KERNEL = "No kernel is running: run the notebook's cells first.";

// What a view exports: Python hears that it is loaded, then its `initialize` and `render` take over.
export const part = (render, initialize) => ({
  initialize(given) { initialize?.(given); given.model.send({ kind: "ready" }); },
  render,
});
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

// --- axes ----------------------------------------------------------------------------------------------
export function ticks(low, high, most) {                 // round numbers between low and high
  const raw = (high - low) / Math.max(most, 1), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-6); k * step <= high + step * 1e-6; k++) found.push(k * step);
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
