// From a network's raw boxes to those that are shown, as explorer.detect chooses them. Nothing here touches the page.
//
//   raw    { boxes: { shape: [1, N, 4], data }, scores: { shape: [1, N, K], data } }, in pixels of the input
//   told   the model's `boxes`: which are candidates, the score and the overlap that count
//   place  where the photo lies in the input: placeOf(result, source)

const placeOf = ({ crop, resized: [columns, rows] }, { width, height }, [, high, wide]) => {
  const across = wide / crop.width, down = high / crop.height;
  return { across, down, left: -crop.left * across, top: -crop.top * down, columns, rows, width, height };
};

// The best of some numbered scores, the best first, `most` at most (0: all); of equal ones the lower number.
function bestOf(found, scores, most) {
  const order = Array.from(found).sort((a, b) => scores[b] - scores[a] || a - b);
  return most ? order.slice(0, most) : order;
}
// Numbers of pairs of box and class (box * K + class) that are candidates.
function candidatePairs({ data, shape: [, count, kinds] }, { candidates: [which, most], levels, lowest }) {
  const good = (from, to, step = 1) => {
    const found = [];
    for (let i = from; i < to; i += step) if (data[i] > lowest) found.push(i);
    return found;
  };
  if (which === "of a box") {
    const found = [];
    for (let box = 0; box < count; box++) {
      let best = box * kinds;
      for (let i = best + 1; i < (box + 1) * kinds; i++) if (data[i] > data[best]) best = i;
      if (data[best] > lowest) found.push(best);
    }
    return bestOf(found, data, most);
  }
  if (which === "of a class") {
    return Array.from({ length: kinds }, (_, kind) => bestOf(good(kind, count * kinds, kinds), data, most)).flat();
  }
  let start = 0;
  return (which === "of a level" ? levels : [count]).flatMap((size) => {
    const end = start + size * kinds, found = bestOf(good(start, end), data, most);
    start = end;
    return found;
  });
}

const overlapOf = ([l, t, r, b], [left, top, right, bottom]) => {
  const wide = Math.min(r, right) - Math.max(l, left), high = Math.min(b, bottom) - Math.max(t, top);
  if (wide <= 0 || high <= 0) return 0;
  const both = wide * high;
  return both / ((r - l) * (b - t) + (right - left) * (bottom - top) - both);
};

// All candidates, [{ box: [left, top, right, bottom] in the input's pixels, score, index }], the best first.
function candidatesOf({ boxes: { data }, scores }, told, place) {
  const kinds = scores.shape[2];
  const [right, bottom] = { pixels: [place.columns, place.rows], edge: [place.width * place.across, place.height * place.down] }[told.cut]
    ?? [Infinity, Infinity];
  const least = told.cut === "nowhere" ? -Infinity : 0;
  const found = candidatePairs(scores, told).map((pair) => {
    const at = 4 * Math.floor(pair / kinds);
    const box = Array.from(data.subarray(at, at + 4), (side, i) => Math.min(Math.max(side, least), i % 2 ? bottom : right));
    return { box, score: scores.data[pair], index: pair % kinds };
  });
  return found.sort((a, b) => b.score - a.score);        // a stable order: levels, then numbers
}
// Of boxes of one class that overlap by more than `iou` the best: non-maximum suppression, class by class.
function withoutOverlaps(candidates, { iou_threshold: iou, most }) {
  const kept = [], byClass = new Map();
  for (const one of candidates) {
    if (kept.length >= most) break;
    const others = byClass.get(one.index) ?? [];
    if (others.some(({ box }) => overlapOf(box, one.box) > iou)) continue;
    byClass.set(one.index, [...others, one]);
    kept.push(one);
  }
  return kept;
}
// In the photo's own pixels, and never outside of it.
const inPhoto = ({ box, ...rest }, { across, down, left, top, width, height }) => ({
  ...rest, box: box.map((side, i) => (i % 2 ? Math.min(Math.max((side - top) / down, 0), height)
    : Math.min(Math.max((side - left) / across, 0), width))) });

// The boxes above the lowest score, [{ box in the photo's pixels, score, index }], the best first. Which of them are
// shown is a matter of their score alone: a box is thrown out by better ones only.
const boxesOf = (raw, told, place) => withoutOverlaps(candidatesOf(raw, told, place), told).map((one) => inPhoto(one, place));

// "3 RBC, 1 WBC"
function countedKinds(found, labels) {
  const counts = new Map();
  for (const { index } of found) counts.set(index, (counts.get(index) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([index, count]) => `${count} ${labels[index]}`).join(", ") || "nothing";
}

// What torch found in a photo against what this browser finds: each of its boxes, but for those at the very threshold,
// has one of its class here that overlaps it by half; { same, difference } of scores.
function comparedBoxes({ boxes }, result, { boxes: told, preprocessing }, { limit }, source) {
  const mine = boxesOf(result.raw, told, placeOf(result, source, preprocessing.input_size));
  let same = true, difference = 0;
  for (const [left, top, right, bottom, score, index] of boxes) {
    const box = [left, top, right, bottom];
    const near = mine.filter((one) => one.index === index).map((one) => ({ ...one, over: overlapOf(one.box, box) }))
      .sort((a, b) => b.over - a.over)[0];
    if (near && near.over > 0.5) difference = Math.max(difference, Math.abs(near.score - score));
    else if (score > told.score_threshold + limit) same = false;
  }
  return { same, difference };
}
