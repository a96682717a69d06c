// Feature maps to pixels, with the numbers of the notebook (explorer.display.draw): which channel is strongest, and which
// colour a value gets. Maps are { shape: [C, h, w], data: Float32Array }.

const TOP_CODE = 253, NO_NUMBER = 255;                   // codes 0..253 are values, 255 is NaN or infinite

// Mean absolute activation of each channel over its finite values.
function strengthsOf({ shape: [count, high, wide], data }) {
  const area = high * wide, found = new Float64Array(count);
  for (let channel = 0, at = 0; channel < count; channel++) {
    let sum = 0, finite = 0;
    for (const end = at + area; at < end; at++) {
      const value = Math.abs(data[at]);
      if (value < Infinity) { sum += value; finite++; }
    }
    found[channel] = sum / Math.max(finite, 1);
  }
  return found;
}
// Channel numbers, the strongest first; of equal ones the lower number.
const byStrength = (strengths) =>
  Array.from(strengths.keys()).sort((a, b) => strengths[b] - strengths[a] || a - b);

const channelOf = ({ shape: [, high, wide], data }, channel) =>
  data.subarray(channel * high * wide, (channel + 1) * high * wide);

// Means of square blocks, so that no side is longer than `most`: { values, high, wide, step }. At the edges blocks may
// be smaller.
function shrunken(values, high, wide, most) {
  const step = Math.ceil(Math.max(high, wide) / most);
  if (step === 1) return { values, high, wide, step };
  const rows = Math.ceil(high / step), columns = Math.ceil(wide / step), found = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const bottom = Math.min(high, (row + 1) * step);
    for (let column = 0; column < columns; column++) {
      const right = Math.min(wide, (column + 1) * step);
      let sum = 0;
      for (let y = row * step; y < bottom; y++)
        for (let x = column * step; x < right; x++) sum += values[y * wide + x];
      found[row * columns + column] = sum / ((bottom - row * step) * (right - column * step));
    }
  }
  return { values: found, high: rows, wide: columns, step };
}

// [lowest, highest] finite value; [NaN, NaN] where there is none
function rangeOf(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low && value > -Infinity) low = value;
    if (value > high && value < Infinity) high = value;
  }
  return low > high ? [NaN, NaN] : [low, high];
}
// As Python rounds: a half to the even neighbour.
const roundedEven = (value) => (Math.abs(value % 1) === 0.5 ? 2 * Math.round(value / 2) : Math.round(value));
// Codes 0..253 from low to high, 255 for what is not finite; all 0 where there is no range.
function codesOf(values, [low, high]) {
  const half = high / 2 - low / 2, factor = half > 1e-35 ? TOP_CODE / half : 0, codes = new Uint8Array(values.length);
  for (let i = 0; i < codes.length; i++) {
    const value = values[i];
    codes[i] = Number.isFinite(value) ? clamp((value / 2 - low / 2) * factor + 0.5, 0, TOP_CODE) : NO_NUMBER;
  }
  return codes;
}
// The colours of those codes: 256 words as an ImageData has them. Magenta is in none of the colour maps.
function codeColours(name) {
  const table = colourTable(name), colours = new Uint32Array(256).fill(0xffff00ff);
  for (let code = 0; code <= TOP_CODE; code++) colours[code] = table[roundedEven((255 * code) / TOP_CODE)];
  return colours;
}

// --- pictures -----------------------------------------------------------------------------------------------
// A picture in 256 colours as the bytes of a BMP: at once, where a canvas would make us wait for a PNG.
function pictureOfCodes(codes, wide, high, colours) {
  const line = Math.ceil(wide / 4) * 4, start = 54 + 4 * 256, bytes = new Uint8Array(start + line * high);
  const head = new DataView(bytes.buffer);
  head.setUint16(0, 0x4d42, true);
  [[2, bytes.length], [10, start], [14, 40], [18, wide], [22, high], [34, line * high], [46, 256]]
    .forEach(([at, value]) => head.setUint32(at, value, true));
  head.setUint16(26, 1, true);
  head.setUint16(28, 8, true);
  colours.forEach((word, code) => {                      // a word is ABGR, the file wants BGR0
    const red = word & 255, green = (word >> 8) & 255, blue = (word >> 16) & 255;
    head.setUint32(54 + 4 * code, blue | (green << 8) | (red << 16), true);
  });
  for (let row = 0; row < high; row++) bytes.set(codes.subarray(row * wide, (row + 1) * wide), start + (high - 1 - row) * line);
  return bytes;
}
// Pixels (RGBA) as the bytes of a BMP in full colour.
function pictureOfPixels({ width, height, data }) {
  const line = Math.ceil((3 * width) / 4) * 4, bytes = new Uint8Array(54 + line * height), head = new DataView(bytes.buffer);
  head.setUint16(0, 0x4d42, true);
  [[2, bytes.length], [10, 54], [14, 40], [18, width], [22, height], [34, line * height]]
    .forEach(([at, value]) => head.setUint32(at, value, true));
  head.setUint16(26, 1, true);
  head.setUint16(28, 24, true);
  for (let row = 0; row < height; row++) {
    let to = 54 + (height - 1 - row) * line, from = 4 * row * width;
    for (let column = 0; column < width; column++, from += 4) {
      bytes[to++] = data[from + 2];
      bytes[to++] = data[from + 1];
      bytes[to++] = data[from];
    }
  }
  return bytes;
}
// Words of an ImageData painted on a canvas of that size.
function paintWords(canvas, wide, high, words) {
  Object.assign(canvas, { width: wide, height: high });
  const picture = new ImageData(wide, high);
  new Uint32Array(picture.data.buffer).set(words);
  canvas.getContext("2d").putImageData(picture, 0, 0);
}
function canvasOfSource({ width, height, pixels }) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas;
}

// --- heat over a photo --------------------------------------------------------------------------------------
// A heat map [h, w] stretched over a box of a picture (as explorer.inspection.look.frame does it): values 0..1 of its own
// strongest, [high, wide], 0 outside of the box.
function laidOver({ shape, data }, { wide, high, left, top, right, bottom }) {
  const [rows, columns] = shape.slice(-2), most = data.reduce((a, b) => (b > a && b < Infinity ? b : a), 0);
  const across = stretch(columns, wide, left, right), down = stretch(rows, high, top, bottom);
  const found = new Float32Array(wide * high);
  if (!(most > 0)) return found;
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < wide; x++) {
      let sum = 0;
      for (const [row, much] of down[y])
        for (const [column, part] of across[x]) {
          const value = data[row * columns + column];
          sum += much * part * (value > 0 ? value : 0);
        }
      found[y * wide + x] = sum / most;
    }
  }
  return found;
}
// For each of `length` pixels which of `count` values it is mixed of: [[index, share], ...]; none outside.
function stretch(count, length, start, end) {
  const shrink = count / (end - start), reach = Math.max(shrink, 1);
  return Array.from({ length }, (_, pixel) => {
    const middle = pixel + 0.5;
    if (middle < start || middle > end) return [];
    const at = (middle - start) * shrink - 0.5, found = [];
    for (let k = Math.max(0, Math.ceil(at - reach)); k <= Math.min(count - 1, Math.floor(at + reach)); k++) {
      const share = 1 - Math.abs(at - k) / reach;
      if (share > 0) found.push([k, share]);
    }
    const sum = found.reduce((total, [, share]) => total + share, 0);
    return found.map(([k, share]) => [k, share / sum]);
  });
}
