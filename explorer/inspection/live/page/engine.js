// The network behind the page: opened once, then asked photo by photo. Its work is done in a worker (`worker.js`).

// The smallest module that uses 128-bit SIMD: a browser that takes it has all that the runtime needs.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];

function checkBrowser() {
  const old = "Open it in a browser of today: Chrome, Edge, Firefox or Safari, from 2023 on.";
  if (typeof WebAssembly === "undefined") {
    throw new Error(`This browser has no WebAssembly (or it is switched off), which the model runs in. ${old}`);
  }
  if (!WebAssembly.validate(Uint8Array.from(SIMD))) {
    throw new Error(`This browser's WebAssembly has no SIMD, which the model needs. ${old}`);
  }
  if (typeof DecompressionStream === "undefined") {
    throw new Error(`This browser can't unpack what the page carries (it has no DecompressionStream). ${old}`);
  }
  if (typeof OffscreenCanvas === "undefined" || typeof Worker === "undefined") {
    throw new Error(`This browser has no workers with a canvas, which the page needs. ${old}`);
  }
}

// The worker and what waits for its answers: ask(what, given, moved) -> a promise of what it says.
async function startWorker(runtime) {
  const waiting = new Map();
  let count = 0, broken = null;
  const script = new Blob([runtime, blockOf("vx-worker").textContent], { type: "text/javascript" });
  const address = URL.createObjectURL(script), worker = new Worker(address);
  const fail = (words) => {
    broken = new Error(words);
    waiting.forEach(({ reject }) => reject(broken));
    waiting.clear();
  };
  worker.onmessage = ({ data: { id, result, error } }) => {
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    if (error === undefined) resolve?.(result);
    else reject?.(new Error(error));
  };
  worker.onerror = (event) => {
    event.preventDefault();
    fail(`The part of this page that runs the model has ended (${event.message || "it could not be started"}). ` +
         "Load the page again.");
  };
  await new Promise((resolve, reject) => waiting.set(-1, { resolve, reject }));
  URL.revokeObjectURL(address);
  const ask = (does, given, moved = []) => new Promise((resolve, reject) => {
    if (broken) { reject(broken); return; }
    const id = count++;
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, does, given }, moved);
  });
  return { ask, end: () => { worker.terminate(); fail("The page has put the model away. Load it again."); } };
}

// What torch said of a photo against what this browser says: { same, difference }.
function comparedClasses({ top }, { shares }, { outputs: { kind, number_std: std } }, { tie }) {
  const scaled = ([index, value]) => Math.abs(shares[index] - value) /
    (kind === "numbers" ? std?.[index] ?? Math.max(1, Math.abs(value)) : 1);
  const difference = top.reduce((most, one) => Math.max(most, scaled(one)), 0);
  const best = top.length ? Math.max(...shares) - shares[top[0][0]] : 0;  // equally likely ones count as the same
  return { same: kind === "numbers" || best <= tie, difference };
}
const COMPARED = { classify: comparedClasses, detect: comparedBoxes, segment: comparedMasks };  // by a model's task

async function openEngine(facts, { onProgress = () => {} } = {}) {
  checkBrowser();
  const step = (from, to, words) => (share) => onProgress(from + share * (to - from), words);
  step(0, 0.02, "Starting")(0);
  const script = await unpack("vx-runtime-js");
  async function starting(onShare) {
    const worker = await startWorker(script), wasm = await unpack("vx-runtime-wasm", onShare);
    await worker.ask("runtime", { wasm: wasm.buffer }, [wasm.buffer]);
    return worker;
  }
  async function into(worker, index, provider, onShare) {
    const bytes = await unpack(`vx-model-${index}`, onShare);
    return worker.ask("model", { index, bytes, facts: facts.models[index], provider }, [bytes.buffer]);
  }
  const processor = await starting(step(0.02, 0.3, "Unpacking the runtime")), onProcessor = (wish) => processor.ask("run", wish);
  const cards = !facts.gpu ? [] : facts.models.map((_, index) => makeCard(facts, index, {
    offered: isCardOffered, start: starting, load: (worker) => into(worker, index, "webgpu"), photo: photoSource, onProcessor,
    compare: COMPARED[facts.models[index].task],
  }));
  const opened = new Map();
  function open(index, onShare) {  // once; the others when they are first asked
    if (!opened.has(index)) opened.set(index, into(processor, index, "wasm", onShare));
    return opened.get(index);
  }
  const reading = step(0.3, 0.85, "Unpacking the model");
  await open(0, (share) => reading(share < 1 ? share : 1));
  onProgress(1, "Ready");

  let busy = false, newest = null;
  async function run(index, source, { classWeights = null, direction = null, maps = true, prepared = false } = {}) {
    await open(index);
    const wish = { index, source, classWeights, direction, maps, prepared };
    return cards[index] ? cards[index].run(wish) : onProcessor(wish);
  }
  // For camera frames: while one is looked at the newest waits, and those before it are answered with null.
  function latest(index, source, options) {
    newest?.resolve(null);
    return new Promise((resolve, reject) => {
      newest = { index, source, options, resolve, reject };
      pump();
    });
  }
  async function pump() {
    if (busy || !newest) return;
    const wish = newest;
    busy = true;
    newest = null;
    try { wish.resolve(await run(wish.index, wish.source, wish.options)); } catch (error) { wish.reject(error); }
    busy = false;
    pump();
  }
  // The page's own photos in this browser against what torch said of them when the page was written.
  async function check(onShare = () => {}) {
    const answering = facts.models.filter(({ labels }) => labels.length), rows = [], all = facts.photos.length * answering.length;
    for (const [index, model] of facts.models.entries()) {
      if (!answering.includes(model)) continue;          // it says nothing that could be compared
      for (const [photo, { expected }] of facts.photos.entries()) {
        const source = await photoSource(photo), result = await run(index, source, { maps: false });
        const compared = COMPARED[model.task](expected[index], result, model, facts.report, source);
        rows.push({ photo, model: index, ...compared, ms: result.ms, device: result.device });
        onShare(rows.length / all, rows.at(-1));
      }
    }
    const same = rows.filter((row) => row.same).length;
    const largest = Math.max(0, ...rows.map((row) => row.difference)), { limit } = facts.report;
    return { rows, photos: facts.photos.length, same_top: same, largest_difference: largest, limit,
             passed: same === rows.length && largest <= limit };
  }
  const end = () => [processor, ...cards].forEach((one) => one.end());
  const engine = { facts, cards, run, latest, check, open, end, photo: photoSource, pixels: pixelsOf };
  globalThis.explorerEngine = engine;  // for whoever opens the browser's console, and for tests
  return engine;
}
