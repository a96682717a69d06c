// From a photo to what a network for boxes or masks reads: all of the photo in its own proportions, in a frame, as
// explorer.models.detection.placing does it. `resized`, `sizeFor`, `halvesToEven`, `planesOf` are those of prepare.js.

const LONGEST_STRIP = 100_000_000;  // pixels, as in Python

// [high, wide] of the photo's picture in a frame [high, wide].
function insideOf({ placing, short, long, made_for: made, input_size: [, ...frame] }, height, width) {
  const fits = (size) => size[0] <= frame[0] && size[1] <= frame[1];
  const round = ([high, wide]) => {
    const scale = Math.min(high / height, wide / width);
    return [Math.min(high, Math.max(1, halvesToEven(height * scale))), Math.min(wide, Math.max(1, halvesToEven(width * scale)))];
  };
  if (placing === "exactly") return frame;
  if (placing === "inside") return round(frame);
  if (placing === "letterbox") return round(frame.map((side, at) => Math.min(side, made[at])));
  if (placing === "resized") {                           // a network for masks
    const strip = Math.max(width, height) * short > long * Math.min(width, height);
    const natural = !short ? null : strip ? sizeFor("contain", [long, long], width, height) : sizeFor("short", [short, short], width, height);
    const size = natural && fits([natural[1], natural[0]]) ? natural : sizeFor("contain", frame, width, height);
    return [size[1], size[0]];
  }
  const scale = placing === "top left" ? Math.min(frame[0] / height, frame[1] / width)
    : Math.min(short / Math.min(height, width), long / Math.max(height, width));
  const size = [Math.max(1, Math.floor(height * scale)), Math.max(1, Math.floor(width * scale))];
  return fits(size) ? size : round(frame);
}

// Of each of `to` pixels the two of `from` that it lies between, and how near it is to the second.
function between(from, to) {
  const low = new Int32Array(to), high = new Int32Array(to), share = new Float64Array(to);
  for (let i = 0; i < to; i++) {
    const at = Math.max(0, (i + 0.5) * (from / to) - 0.5);
    low[i] = Math.min(from - 1, Math.floor(at));
    high[i] = Math.min(from - 1, low[i] + 1);
    share[i] = at - low[i];
  }
  return { low, high, share };
}
// Numbers [height, width] as [high, wide], bilinear, without averaging where they shrink.
function stretched(values, height, width, high, wide) {
  if (height === high && width === wide) return values;
  const rows = between(height, high), columns = between(width, wide), out = new Float32Array(high * wide);
  for (let y = 0; y < high; y++) {
    const above = rows.low[y] * width, below = rows.high[y] * width, down = rows.share[y];
    for (let x = 0; x < wide; x++) {
      const left = columns.low[x], right = columns.high[x], across = columns.share[x];
      const top = values[above + left] + (values[above + right] - values[above + left]) * across;
      const bottom = values[below + left] + (values[below + right] - values[below + left]) * across;
      out[y * wide + x] = top + (bottom - top) * down;
    }
  }
  return out;
}
// The same along one axis, with averages where it shrinks.
function averaged(values, lines, from, to, lineStep, step, outLineStep, outStep) {
  const out = new Float32Array(lines * to), scale = from / to, reach = Math.max(scale, 1);
  for (let i = 0; i < to; i++) {
    const middle = (i + 0.5) * scale, start = Math.max(0, Math.trunc(middle - reach + 0.5));
    const weights = Array.from({ length: Math.min(from, Math.trunc(middle + reach + 0.5)) - start },
      (_, k) => Math.max(0, 1 - Math.abs((k + start - middle + 0.5) / reach)));
    const sum = weights.reduce((a, b) => a + b, 0) || 1;
    for (let line = 0; line < lines; line++) {
      let found = 0;
      weights.forEach((weight, k) => { found += values[line * lineStep + (start + k) * step] * weight; });
      out[line * outLineStep + i * outStep] = found / sum;
    }
  }
  return out;
}
function shrunkInto(values, height, width, high, wide) {
  const across = wide === width ? values : averaged(values, height, width, wide, width, 1, wide, 1);
  return high === height ? across : averaged(across, wide, height, high, 1, wide, 1, wide);
}

// As `prepare`: { data: Float32Array [C, H, W], crop: the frame in the photo's own pixels, resized: [wide, high] }.
function framed(source, preprocessing) {
  const { width, height } = source, { input_size: [channels, high, wide], placing, mean, std, around, interpolation } = preprocessing;
  const [rows, columns] = insideOf(preprocessing, height, width);
  if (rows * columns > LONGEST_STRIP || !rows || !columns) {
    throw new Error("This photo is too long and thin: cut out the part that you mean first.");
  }
  const middle = placing === "letterbox", top = middle ? (high - rows) >> 1 : 0, left = middle ? (wide - columns) >> 1 : 0;
  const data = new Float32Array(channels * high * wide);
  planesOf(source, channels).forEach((plane, channel) => {
    const of = (values) => values[Math.min(channel, values.length - 1)];
    const low = Math.fround(channels === 1 && mean.length > 1 ? mean.reduce((a, b) => a + b) / mean.length : of(mean));
    const spread = Math.fround(channels === 1 && std.length > 1 ? std.reduce((a, b) => a + b) / std.length : of(std));
    let values;
    if (placing === "resized") values = Float32Array.from(resized(plane, width, height, columns, rows, interpolation, preprocessing.rows_first), (v) => Math.fround(v / 255));
    else {
      const whole = Float32Array.from(plane, (v) => Math.fround(v / 255));
      values = (placing === "top left" ? shrunkInto : stretched)(whole, height, width, rows, columns);
    }
    const begin = channel * high * wide;
    if (around[channel]) data.fill(around[channel], begin, begin + high * wide);
    for (let y = 0; y < rows; y++) {
      const to = begin + (y + top) * wide + left, from = y * columns;
      for (let x = 0; x < columns; x++) data[to + x] = Math.fround(values[from + x] - low) / spread;
    }
  });
  // of a canvas both sides have one scale; else each its own
  const one = Math.min(high / height, wide / width);
  const [down, across] = placing === "top left" ? [one, one] : [rows / height, columns / width];
  return { data, resized: [columns, rows],
           crop: { left: -left / across, top: -top / down, width: wide / across, height: high / down } };
}
