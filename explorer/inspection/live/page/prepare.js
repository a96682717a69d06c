// From a photo's pixels to what the network reads, as explorer does it in Python to the last bit: Pillow's resize
// of 8-bit pixels (antialiased, fixed point), the crop, the normalisation.

const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
const FILTERS = {  // name: [reach in pixels, weight at a distance]
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
  bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
  hamming: [1, (x) => {
    const far = Math.abs(x);
    if (far === 0) return 1;
    return far >= 1 ? 0 : sinc(far) * (0.54 + 0.46 * Math.cos(far * Math.PI));
  }],
  bicubic: [2, (x) => {
    const far = Math.abs(x), a = -0.5;
    if (far < 1) return ((a + 2) * far - (a + 3)) * far * far + 1;
    return far < 2 ? (((far - 5) * far + 8) * far - 4) * a : 0;
  }],
  lanczos: [3, (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0)],
};
const BITS = 22;  // of a weight behind the point

// For each of `to` pixels: from which of `from` it is made, and with which weights, as whole numbers.
function weightsOf(from, to, [reach, weight]) {
  const scale = from / to, widened = Math.max(scale, 1), support = reach * widened;
  const size = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(to), counts = new Int32Array(to), weights = new Int32Array(to * size);
  for (let i = 0; i < to; i++) {
    const middle = (i + 0.5) * scale, inverse = 1 / widened;
    const start = Math.max(0, Math.trunc(middle - support + 0.5));
    const count = Math.min(from, Math.trunc(middle + support + 0.5)) - start;
    const row = [];
    let sum = 0;
    for (let x = 0; x < count; x++) {
      row.push(weight((x + start - middle + 0.5) * inverse));
      sum += row[x];
    }
    for (let x = 0; x < count; x++) {
      const share = (sum !== 0 ? row[x] / sum : row[x]) * (1 << BITS);
      weights[i * size + x] = Math.trunc(share < 0 ? share - 0.5 : share + 0.5);
    }
    starts[i] = start;
    counts[i] = count;
  }
  return { starts, counts, weights, size };
}

// Along one axis: `lines` lines of `from` pixels, `step` apart, become lines of `to` pixels. The planes of a picture
// lie one behind the other.
function along(values, lines, from, to, lineStep, step, outLineStep, outStep, out, filter) {
  const { starts, counts, weights, size } = weightsOf(from, to, filter);
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < to; i++) {
      let sum = 1 << (BITS - 1), place = line * lineStep + starts[i] * step;
      for (let x = 0, k = i * size; x < counts[i]; x++, k++, place += step) sum += values[place] * weights[k];
      const value = sum >> BITS;
      out[line * outLineStep + i * outStep] = value < 0 ? 0 : value > 255 ? 255 : value;
    }
  }
  return out;
}

const nearestPlaces = (from, to) => {  // added up, as Pillow does, so that halves fall alike
  const scale = from / to, places = new Int32Array(to);
  for (let i = 0, at = scale * 0.5; i < to; i++, at += scale) places[i] = Math.min(from - 1, Math.trunc(at));
  return places;
};

// One plane of a picture, width x height, as one of wide x high. rowsFirst: whether the Pillow that the page was
// written with begins with the rows where many of them go and few columns do; each pass rounds, so the order counts.
function resized(plane, width, height, wide, high, interpolation, rowsFirst) {
  if (width === wide && height === high) return plane;
  if (interpolation === "nearest") {
    const columns = nearestPlaces(width, wide), rows = nearestPlaces(height, high);
    const out = new Uint8Array(wide * high);
    for (let y = 0; y < high; y++) {
      for (let x = 0; x < wide; x++) out[y * wide + x] = plane[rows[y] * width + columns[x]];
    }
    return out;
  }
  const filter = FILTERS[interpolation];
  const across = (from, rows) => (width === wide ? from
    : along(from, rows, width, wide, width, 1, wide, 1, new Uint8Array(wide * rows), filter));
  const down = (from, columns) => (height === high ? from
    : along(from, columns, height, high, 1, columns, 1, columns, new Uint8Array(columns * high), filter));
  return rowsFirst && height > high && height - high > 2 * (width - wide)
    ? across(down(plane, width), high) : down(across(plane, height), wide);
}

const halvesToEven = (x) => {  // as Python rounds
  const low = Math.floor(x), rest = x - low;
  return rest === 0.5 ? low + (low % 2 === 0 ? 0 : 1) : Math.round(x);
};
const middleOf = (length, crop) =>
  (length >= crop ? halvesToEven((length - crop) / 2) : -Math.floor((crop - length) / 2));

function sizeFor(fit, [high, wide], width, height) {
  if (fit === "exact") return [wide, high];
  if (fit === "short") {
    return width <= height ? [high, Math.trunc((high * height) / width)] : [Math.trunc((high * width) / height), high];
  }
  const across = width / wide, down = height / high;
  const shrink = fit === "cover" ? Math.min(across, down) : Math.max(across, down);
  return [Math.max(1, halvesToEven(width / shrink)), Math.max(1, halvesToEven(height / shrink))];
}

// { size: [wide, high] of the resized photo, left, top: where what is read begins in it, fill: what lies around it }
function planOf({ input_size, crop_pct, crop_mode, mean }, width, height) {
  const [, high, wide] = input_size;
  const frame = [Math.floor(high / crop_pct), Math.floor(wide / crop_pct)];
  const fit = { squash: "exact", border: "contain" }[crop_mode] ?? (high === wide ? "short" : "cover");
  const size = sizeFor(fit, frame, width, height);
  const fill = mean.map((one) => (crop_mode === "border" ? halvesToEven(255 * one) : 0));
  return { size, left: middleOf(size[0], wide), top: middleOf(size[1], high), fill };
}

function planesOf({ width, height, pixels }, channels) {
  const count = width * height;
  if (channels === 1) {
    const grey = new Uint8Array(count);
    for (let i = 0, p = 0; i < count; i++, p += 4) {
      grey[i] = (pixels[p] * 19595 + pixels[p + 1] * 38470 + pixels[p + 2] * 7471 + 0x8000) >> 16;
    }
    return [grey];
  }
  return [0, 1, 2].map((channel) => {
    const plane = new Uint8Array(count);
    for (let i = 0, p = channel; i < count; i++, p += 4) plane[i] = pixels[p];
    return plane;
  });
}

const MOST_RESIZED = 100_000_000;  // pixels, as in Python: a long strip would grow to gigabytes

// { data: Float32Array [C, H, W], crop: { left, top, width, height } in the photo's own pixels, resized: [wide, high] }.
// Where a network reads a border around the photo, the crop reaches outside of it.
function prepare(source, preprocessing) {
  if (preprocessing.placing) return framed(source, preprocessing);  // a network for boxes or masks
  const { width, height } = source, { input_size, interpolation, mean, std } = preprocessing;
  const [channels, high, wide] = input_size;
  const { size, left, top, fill } = planOf(preprocessing, width, height);
  if (size[0] * size[1] > MOST_RESIZED || !size[0] || !size[1]) {
    throw new Error("This photo is too long and thin: cut out the part that you mean first.");
  }
  const data = new Float32Array(channels * high * wide);
  planesOf(source, channels).forEach((plane, channel) => {
    const values = resized(plane, width, height, size[0], size[1], interpolation, preprocessing.rows_first);
    const low = Math.fround(mean[channel]), spread = Math.fround(std[channel]);
    const table = Float32Array.from({ length: 256 }, (_, v) => Math.fround(Math.fround(v / 255) - low) / spread);
    const start = channel * high * wide, around = table[fill[channel]];
    for (let y = 0; y < high; y++) {
      const row = y + top, inside = row >= 0 && row < size[1];
      for (let x = 0; x < wide; x++) {
        const column = x + left;
        data[start + y * wide + x] = inside && column >= 0 && column < size[0]
          ? table[values[row * size[0] + column]] : around;
      }
    }
  });
  const across = width / size[0], down = height / size[1];
  return { data, resized: size, crop: { left: left * across, top: top * down, width: wide * across, height: high * down } };
}
