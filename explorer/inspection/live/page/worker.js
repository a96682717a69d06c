// The network's own thread: photos come in, numbers go out. The runtime (`ort`) and `prepare` stand above, in the
// same text.

const networks = new Map();  // by index: { session, facts }
const MAPS = "maps.";

const softmax = (logits) => {
  const most = Math.max(...logits), powers = logits.map((one) => Math.exp(one - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((one) => one / sum);
};
const sigmoid = (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
// Raw scores as a reader sees them: shares of classes, or numbers in their own unit.
function sharesOf(logits, facts) {
  const raw = Array.from(logits);
  if (facts.outputs.kind === "numbers") {
    const { number_mean: mean, number_std: std } = facts.outputs;
    return raw.map((one, i) => (std ? one * std[i] + mean[i] : one));
  }
  if (facts.outputs.kind === "several") return raw.map(sigmoid);
  return facts.outputs.kind === "yes/no" ? [sigmoid(-raw[0]), sigmoid(raw[0])] : softmax(raw);
}

const DOES = {
  async runtime({ wasm }) {
    ort.env.wasm.numThreads = 1;  // more need headers, which a file has not
    ort.env.wasm.wasmBinary = wasm;
    ort.env.logLevel = "error";
    return [{}];
  },
  async model({ index, bytes, facts, provider }) {     // provider: "wasm", the processor; "webgpu", the graphics card
    const options = { executionProviders: [provider], graphOptimizationLevel: "all", logSeverityLevel: 3 };
    networks.set(index, { session: await ort.InferenceSession.create(bytes, options), facts });
    return [{}];
  },
  async run({ index, source, classWeights, direction, maps, prepared }) {
    const { session, facts } = networks.get(index), { results, preprocessing } = facts;
    const begun = performance.now();
    const { data, crop, resized: size } = prepare(source, preprocessing);
    const tensor = (values, length) => new ort.Tensor("float32",
      values ? Float32Array.from(values) : new Float32Array(length), [1, length]);
    const feeds = { image: new ort.Tensor("float32", data, [1, ...preprocessing.input_size]) };
    if (session.inputNames.includes("class_weights")) feeds.class_weights = tensor(classWeights, results.logits.at(-1));
    if (session.inputNames.includes("direction")) feeds.direction = tensor(direction, results.embedding.at(-1));
    const wanted = session.outputNames.filter((name) => maps || !name.startsWith(MAPS));
    const before = performance.now(), found = await session.run(feeds, wanted), ms = performance.now() - before;
    const result = { model: index, logits: null, shares: null, embedding: null, maps: {}, heat: null, raw: {},
                     crop, resized: size, ms, preparing: before - begun };
    for (const [name, { dims, data: values }] of Object.entries(found)) {
      const shape = dims.slice(1);
      if (name === "logits") result.logits = values;
      else if (name === "embedding") result.embedding = values;
      else if (name === "heat") result.heat = { shape, data: values };
      else if (name.startsWith(MAPS)) result.maps[name.slice(MAPS.length)] = { shape, data: values };
      else result.raw[name] = { shape: dims, data: values };
    }
    if (result.logits) result.shares = sharesOf(result.logits, facts);
    if (result.raw.members) {  // of an ensemble: what each of them says
      const { shape: [, count, width], data: values } = result.raw.members;
      result.members = Array.from({ length: count }, (_, at) => values.slice(at * width, (at + 1) * width))
        .map((logits) => ({ logits, shares: sharesOf(logits, facts) }));
    }
    if (prepared) result.prepared = data;
    // each buffer once: ones that are moved needn't be copied
    const buffers = new Set(Object.values(found).map((one) => one.data.buffer));
    return [result, [...buffers]];
  },
};

async function answer({ id, does, given }) {
  try {
    const [result, moved] = await DOES[does](given);
    self.postMessage({ id, result }, moved ?? []);
  } catch (error) {
    self.postMessage({ id, error: String(error?.message ?? error) });
  }
}
let last = Promise.resolve();  // one after the other: a pass on the graphics card waits for it, and must not be met by a second
self.onmessage = ({ data }) => { last = last.then(() => answer(data)); };
self.postMessage({ id: -1 });  // it is there
