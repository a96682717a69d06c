// From a network's scores to a mask over the photo, as explorer.segment makes it. Nothing here touches the page.

// For each of `to` pixels of the photo where it lies among `from` rows or columns of the scores.
function spots(from, to) {
  const low = new Int32Array(to), high = new Int32Array(to), share = new Float32Array(to);
  for (let i = 0; i < to; i++) {
    const at = Math.min(Math.max((i + 0.5) * (from / to) - 0.5, 0), from - 1);
    low[i] = Math.floor(at);
    high[i] = Math.min(from - 1, low[i] + 1);
    share[i] = at - low[i];
  }
  return { low, high, share };
}

// The likeliest class of each pixel: Uint8Array, or Uint16Array of more than 256 classes.
//
// scores: { shape: [1, K, H, W], data }, of which the photo's are the first `rows` x `columns`; one score alone is
// measured by zero, which stands for class 0.  width, height: of what comes out
function maskOf({ shape: [, kinds, high, wide], data }, [columns, rows], width, height) {
  const count = kinds === 1 ? 2 : kinds, area = high * wide;
  const mask = new (count > 256 ? Uint16Array : Uint8Array)(width * height), best = new Float32Array(width);
  const x = spots(columns, width), y = spots(rows, height), line = new Float32Array(columns);
  for (let row = 0; row < height; row++) {
    const above = y.low[row] * wide, below = y.high[row] * wide, down = y.share[row], to = row * width;
    best.fill(kinds === 1 ? 0 : -Infinity);
    for (let kind = 0; kind < kinds; kind++) {
      const start = kind * area, index = kinds === 1 ? 1 : kind;
      for (let column = 0; column < columns; column++) {
        const upper = data[start + above + column];
        line[column] = upper + (data[start + below + column] - upper) * down;
      }
      for (let column = 0; column < width; column++) {
        const left = line[x.low[column]], score = left + (line[x.high[column]] - left) * x.share[column];
        if (score > best[column]) { best[column] = score; mask[to + column] = index; }
      }
    }
  }
  return mask;
}
// How many pixels each class has.
function pixelsOfKinds(mask, count) {
  const counts = new Array(count).fill(0);
  for (const index of mask) counts[index]++;
  return counts;
}
// The classes that there are, [{ index, label, share }], the largest first.
const kindsIn = (mask, labels) => pixelsOfKinds(mask, labels.length)
  .map((count, index) => ({ index, label: labels[index], share: count / mask.length }))
  .filter(({ share }) => share > 0).sort((a, b) => b.share - a.share || a.index - b.index);

// How likely each class is at one pixel of the photo, in the order of the classes.
function sharesAt({ shape: [, kinds, high, wide], data }, [columns, rows], width, height, left, top) {
  const x = spots(columns, width), y = spots(rows, height), raw = [];
  for (let kind = 0; kind < kinds; kind++) {
    const start = kind * high * wide, at = (row, column) => data[start + row * wide + column];
    const along = (row) => at(row, x.low[left]) + (at(row, x.high[left]) - at(row, x.low[left])) * x.share[left];
    raw.push(along(y.low[top]) + (along(y.high[top]) - along(y.low[top])) * y.share[top]);
  }
  if (kinds === 1) raw.unshift(0);
  const most = Math.max(...raw), powers = raw.map((one) => Math.exp(one - most)), sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((one) => one / sum);
}

// A mask as its runs, [index, length, index, length, ...], row after row: what a page carries of torch's.
function maskOfRuns(runs, length) {
  const mask = new Uint16Array(length);
  let at = 0;
  for (let i = 0; i < runs.length; i += 2) {
    mask.fill(runs[i], at, at + runs[i + 1]);
    at += runs[i + 1];
  }
  return mask;
}
// What torch said of a photo's pixels against what this browser says; { same, difference }: the share of other pixels.
function comparedMasks({ runs }, result, model, { limit }, { width, height }) {
  const mine = maskOf(result.raw.scores, result.resized, width, height), wanted = maskOfRuns(runs, mine.length);
  const others = mine.reduce((count, index, i) => count + (index !== wanted[i]), 0), difference = others / mine.length;
  return { same: difference <= limit, difference };
}
