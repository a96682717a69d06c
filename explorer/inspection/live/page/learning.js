// What is learnt in the page, from the embeddings of the photos that the reader has collected: the nearest photos, which
// need no learning; a linear head; and how often it is right on photos that it has not learnt from. Nothing here touches
// the page, so a test runs it without one.

const STRENGTH = 0.1;          // C, the inverse strength of the penalty: as explorer.linear_probe has it
const SAME_PICTURE = 4;        // of 255: two pictures whose 16 x 16 greys differ by less on average are almost the same
const NEAREST = 5;             // photos that the nearest photos' answer is asked of, at most
const MOST_FOLDS = 4;
const WORK_SLICE = 24;              // ms of work after which the page draws and hears its reader
const PAIRS_KEPT = 8;          // steps that L-BFGS remembers

const breath = () => new Promise((go) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => { port1.close(); go(); };
  port2.postMessage(0);
});
function slicer() {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < WORK_SLICE) return;
    await breath();
    since = performance.now();
  };
}
const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
const listed = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

function softmax(logits) {
  const most = Math.max(...logits), powers = Array.from(logits, (value) => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return Float32Array.from(powers, (value) => value / sum);
}
function dot(a, b, from = 0, start = 0, size = a.length) {
  let sum = 0;
  for (let k = 0; k < size; k++) sum += a[from + k] * b[start + k];
  return sum;
}
const largestOf = (values) => values.reduce((best, value, k) => (value > values[best] ? k : best), 0);

// --- the linear head -----------------------------------------------------------------------------------------
// { mean, spread } of each number over the photos: embeddings [n] of D numbers. A number that never changes says nothing.
function standardOf(embeddings) {
  const size = embeddings[0].length, mean = new Float64Array(size), spread = new Float64Array(size);
  for (const one of embeddings) for (let d = 0; d < size; d++) mean[d] += one[d] / embeddings.length;
  for (const one of embeddings) for (let d = 0; d < size; d++) spread[d] += (one[d] - mean[d]) ** 2 / embeddings.length;
  for (let d = 0; d < size; d++) spread[d] = Math.sqrt(spread[d]) < 1e-12 ? 1 : Math.sqrt(spread[d]);
  return { mean, spread };
}
// The mean cross-entropy of weights [K, D + 1] (the last of each row is its bias) over rows [n, D], with the penalty on
// all but the biases; its slope goes into `slope`.
function lossAt(weights, slope, { rows, targets, classes, size, penalty }) {
  const count = targets.length, wide = size + 1, logits = new Float64Array(classes);
  let loss = 0;
  slope.fill(0);
  for (let n = 0; n < count; n++) {
    let most = -Infinity, sum = 0;
    for (let k = 0; k < classes; k++) {
      logits[k] = dot(rows, weights, n * size, k * wide, size) + weights[k * wide + size];
      most = Math.max(most, logits[k]);
    }
    for (let k = 0; k < classes; k++) sum += Math.exp(logits[k] - most);
    loss += (Math.log(sum) + most - logits[targets[n]]) / count;
    for (let k = 0; k < classes; k++) {
      const wrong = (Math.exp(logits[k] - most) / sum - (k === targets[n] ? 1 : 0)) / count, row = k * wide;
      for (let d = 0; d < size; d++) slope[row + d] += wrong * rows[n * size + d];
      slope[row + size] += wrong;
    }
  }
  for (let k = 0; k < classes; k++) {
    for (let at = k * wide; at < k * wide + size; at++) {
      loss += 0.5 * penalty * weights[at] ** 2;
      slope[at] += penalty * weights[at];
    }
  }
  return loss;
}
// The way down from here by the last steps: J. Nocedal, Updating Quasi-Newton Matrices with Limited Storage,
// Mathematics of Computation 35, 1980.
function downhill(slope, pairs) {
  const way = Float64Array.from(slope, (value) => -value), shares = [];
  for (const { step, change, scale } of [...pairs].reverse()) {
    const share = dot(step, way) / scale;
    shares.push(share);
    for (let k = 0; k < way.length; k++) way[k] -= share * change[k];
  }
  const last = pairs.at(-1), size = last ? last.scale / dot(last.change, last.change) : 1 / Math.max(1, Math.sqrt(dot(slope, slope)));
  for (let k = 0; k < way.length; k++) way[k] *= size;
  for (const { step, change, scale } of pairs) {
    const share = shares.pop() - dot(change, way) / scale;
    for (let k = 0; k < way.length; k++) way[k] += share * step[k];
  }
  return way;
}
// Multinomial logistic regression with an L2 penalty (as scikit-learn's LogisticRegression(C=strength) on standardised
// numbers) by L-BFGS. embeddings: n Float32Arrays of D; targets: n class numbers. Resolves { weights: K Float32Arrays of D,
// bias: [K], steps }, for embeddings as they are: the standard is folded in; null where stopped() turns true.
async function trainHead(embeddings, targets, classes, { strength = STRENGTH, most = 300, enough = 1e-6, stopped = () => false } = {}) {
  const { mean, spread } = standardOf(embeddings), size = mean.length, wide = size + 1, rest = slicer();
  const rows = new Float64Array(embeddings.length * size);
  embeddings.forEach((one, n) => { for (let d = 0; d < size; d++) rows[n * size + d] = (one[d] - mean[d]) / spread[d]; });
  // of two classes scikit-learn learns one row, and each of ours is half of it: their penalty is half as large
  const task = { rows, targets, classes, size, penalty: (classes === 2 ? 2 : 1) / (strength * targets.length) };
  let weights = new Float64Array(classes * wide), slope = new Float64Array(classes * wide), loss = lossAt(weights, slope, task), steps = 0;
  const pairs = [];
  while (steps < most && slope.some((value) => Math.abs(value) > enough)) {
    await rest();
    if (stopped()) return null;
    const way = downhill(slope, pairs), fall = dot(slope, way), there = new Float64Array(weights.length), steeper = new Float64Array(weights.length);
    let length = 1, found = Infinity;
    for (let trial = 0; trial < 40; trial++, length /= 2) {
      for (let k = 0; k < there.length; k++) there[k] = weights[k] + length * way[k];
      found = lossAt(there, steeper, task);
      if (found <= loss + 1e-4 * length * fall) break;
    }
    if (!(found < loss)) break;                          // as deep as these numbers can tell
    const step = there.map((value, k) => value - weights[k]), change = steeper.map((value, k) => value - slope[k]);
    const scale = dot(step, change);
    if (scale > 1e-300) pairs.push({ step, change, scale });
    if (pairs.length > PAIRS_KEPT) pairs.shift();
    [weights, slope, loss] = [there, steeper, found];
    steps += 1;
  }
  const rowsOut = [], bias = new Float32Array(classes);
  for (let k = 0; k < classes; k++) {
    const row = new Float32Array(size);
    let shift = weights[k * wide + size];
    for (let d = 0; d < size; d++) {
      row[d] = weights[k * wide + d] / spread[d];
      shift -= (weights[k * wide + d] / spread[d]) * mean[d];
    }
    rowsOut.push(row);
    bias[k] = shift;
  }
  return { weights: rowsOut, bias, steps };
}
const linearHead = (labels, { weights, bias }) => ({ labels, weights, bias, kind: "linear",
  shares: (embedding) => softmax(weights.map((row, k) => dot(row, embedding) + bias[k])) });

// --- the nearest photos -----------------------------------------------------------------------------------------
const lengthOf = (values) => Math.sqrt(dot(values, values)) || 1;
const UNITS = new WeakMap();                             // embedding -> the same of length 1, once: the classes grow photo by photo
function unitOf(embedding) {
  const length = lengthOf(embedding);
  if (!UNITS.has(embedding)) UNITS.set(embedding, Float32Array.from(embedding, (value) => value / length));
  return UNITS.get(embedding);
}
// How many photos are asked: so few that the smallest class can still have the most of them.
const nearestCount = (counts) => Math.max(1, Math.min(NEAREST, 2 * Math.min(...counts) - 1));
// Each class's share of the k nearest photos (by the cosine of their embeddings). A heat map asks for what speaks for a
// class: weights[k] is its photos' mean less that of all others', each of length 1.
function nearestHead(labels, embeddings, targets) {
  const units = embeddings.map(unitOf), counts = new Array(labels.length).fill(0), size = units[0].length;
  const sums = labels.map(() => new Float64Array(size)), total = new Float64Array(size);
  units.forEach((one, n) => {
    const sum = sums[targets[n]];
    counts[targets[n]] += 1;
    for (let d = 0; d < size; d++) { sum[d] += one[d]; total[d] += one[d]; }
  });
  const asked = nearestCount(counts);
  const weights = sums.map((sum, k) => Float32Array.from(sum, (value, d) => value / counts[k] - (total[d] - value) / (units.length - counts[k])));
  function nearest(embedding) {                          // the numbers of the photos, nearest first
    const length = lengthOf(embedding), near = units.map((one) => dot(one, embedding) / length);
    return units.map((_, n) => n).sort((a, b) => near[b] - near[a]).slice(0, asked);
  }
  function shares(embedding) {
    const found = new Float32Array(labels.length);
    for (const n of nearest(embedding)) found[targets[n]] += 1 / asked;
    return found;
  }
  return { labels, weights, bias: new Float32Array(labels.length), kind: "knn", shares, nearest, asked };
}

// --- bursts, and pictures that are almost the same --------------------------------------------------------------
// 16 x 16 greys of a picture { width, height, pixels }: what two photos are compared by.
function greysOf({ width, height, pixels }) {
  const side = 16, sums = new Float64Array(side * side), counts = new Float64Array(side * side);
  for (let y = 0; y < height; y++) {
    const row = Math.floor((y * side) / height) * side;
    for (let x = 0; x < width; x++) {
      const at = 4 * (y * width + x), cell = row + Math.floor((x * side) / width);
      sums[cell] += 0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2];
      counts[cell] += 1;
    }
  }
  return Uint8Array.from(sums, (sum, k) => Math.round(sum / (counts[k] || 1)));
}
function almostSame(one, other) {
  const most = SAME_PICTURE * one.length;
  let sum = 0;
  for (let k = 0; k < one.length && sum < most; k++) sum += Math.abs(one[k] - other[k]);
  return sum < most;
}
// For each of a class's photos the number of its group: photos of one burst are of one group, and so are bursts that have
// almost the same picture. photos: [{ burst, greys }]
function groupsOf(photos) {
  const over = new Map(photos.map(({ burst }) => [burst, burst]));
  const top = (burst) => { let at = burst; while (over.get(at) !== at) at = over.get(at); return at; };
  for (let a = 0; a < photos.length; a++) {
    for (let b = 0; b < a; b++) {
      const one = top(photos[a].burst), other = top(photos[b].burst);
      if (one !== other && almostSame(photos[a].greys, photos[b].greys)) over.set(one, other);
    }
  }
  const numbers = new Map();
  return photos.map(({ burst }) => {
    const name = top(burst);
    if (!numbers.has(name)) numbers.set(name, numbers.size);
    return numbers.get(name);
  });
}
// The part (0 ... parts - 1) in which each photo of a class is judged: a whole group in one part, the largest group first,
// into the part that holds fewest photos.
function dealt(groups, parts) {
  const sizes = [];
  for (const group of groups) sizes[group] = (sizes[group] ?? 0) + 1;
  const load = new Array(parts).fill(0), part = [];
  const order = sizes.map((_, group) => group).sort((a, b) => sizes[b] - sizes[a]);
  for (const group of order) {
    part[group] = load.indexOf(Math.min(...load));
    load[part[group]] += sizes[group];
  }
  return groups.map((group) => part[group]);
}
// classes: [{ name, photos: [{ burst, greys }] }]. { parts, of: a part for each photo, class after class } or { why }.
function splitByBursts(classes) {
  const groups = classes.map(({ photos }) => groupsOf(photos)), counts = groups.map((one) => 1 + Math.max(-1, ...one));
  const single = classes.filter((_, k) => counts[k] < 2).map(({ name }) => `“${name}”`);
  if (single.length) {
    const why = `How often it is right can’t be known yet: ${listed(single)} ${single.length === 1 ? "has" : "have"} one burst only. `
      + "Photos of one hold, or photos that look almost the same, are too alike to judge each other. Collect again, with the thing moved or turned.";
    return { parts: 0, of: [], why };
  }
  const parts = Math.min(MOST_FOLDS, ...counts);
  return { parts, of: groups.flatMap((one) => dealt(one, parts)), why: "" };
}

// --- how often it is right ------------------------------------------------------------------------------------
// Each photo is judged once, by a head that has learnt from none of its burst. { right, count, table [true][answered] }
async function judged(embeddings, targets, classes, { parts, of }, { stopped = () => false, ...options } = {}) {
  const table = Array.from({ length: classes }, () => new Array(classes).fill(0));
  for (let part = 0; part < parts; part++) {
    const some = embeddings.map((_, n) => n).filter((n) => of[n] !== part);
    const head = await trainHead(some.map((n) => embeddings[n]), some.map((n) => targets[n]), classes, { stopped, ...options });
    if (!head) return null;
    const { shares } = linearHead([], head);
    embeddings.forEach((one, n) => { if (of[n] === part) table[targets[n]][largestOf(shares(one))] += 1; });
  }
  const right = table.reduce((sum, row, k) => sum + row[k], 0);
  return { right, count: embeddings.length, table };
}
function judgedWords({ right, count, table }, labels) {
  const share = Math.round((100 * right) / count), all = table.flatMap((row, k) => row.map((value, j) => ({ value, k, j })));
  const worst = all.filter(({ k, j }) => k !== j).sort((a, b) => b.value - a.value)[0];
  const mixed = worst?.value ? ` Most often mixed up: “${labels[worst.k]}” taken for “${labels[worst.j]}” (${worst.value}).` : "";
  return `Right on ${right} of ${counted(count, "photo")} (${share} %), each judged by a head that learnt from no photo of its burst.${mixed}`;
}

// --- what the reader should know before learning --------------------------------------------------------------
// classes: [{ name, photos: [{ burst, greys }] }] -> sentences
function warningsOf(classes) {
  const held = classes.filter(({ photos }) => photos.length), said = [];
  if (held.length > 1) {
    const sorted = [...held].sort((a, b) => b.photos.length - a.photos.length), most = sorted[0], least = sorted.at(-1);
    if (most.photos.length >= 2 * least.photos.length && most.photos.length - least.photos.length >= 5)
      said.push(`Uneven: “${most.name}” has ${counted(most.photos.length, "photo")}, “${least.name}” ${least.photos.length}. The larger class will be answered too often.`);
  }
  for (const { name, photos } of held) {
    const alike = photos.filter((one, n) => photos.slice(0, n).some((other) => almostSame(one.greys, other.greys))).length;
    if (photos.length >= 6 && alike > 0.7 * photos.length)
      said.push(`${alike} of ${photos.length} photos of “${name}” show almost the same picture as another. Move or turn the thing, change the background.`);
  }
  const twins = [];
  for (let a = 0; a < held.length; a++)
    for (let b = 0; b < a; b++)
      if (held[a].photos.some((one) => held[b].photos.some((other) => almostSame(one.greys, other.greys)))) twins.push(`“${held[b].name}” and “${held[a].name}”`);
  if (twins.length) said.push(`Almost the same picture stands in ${listed(twins)}: what should tell them apart?`);
  return said;
}
