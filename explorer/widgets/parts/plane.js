// What the views of points on a plane share: their shapes, the axes, the point under the pointer, the next one in a direction.
// Python puts this text between the kit and such a view's own module.

// --- shapes -------------------------------------------------------------------------------------------------
export function trace(c, shape, x, y, r) {                      // a path around (x, y) with about the area of a circle
  const polygon = (corners) => { corners.forEach(([dx, dy], i) => (i ? c.lineTo(x + dx * r, y + dy * r) : c.moveTo(x + dx * r, y + dy * r))); c.closePath(); };
  c.beginPath();
  if (shape === 1) polygon([[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]);
  else if (shape === 2) polygon([[0, -1.25], [1.15, 0.85], [-1.15, 0.85]]);
  else if (shape === 3) polygon([[0, -1.3], [1.15, 0], [0, 1.3], [-1.15, 0]]);
  else if (shape === 4) polygon([[0, 1.25], [1.15, -0.85], [-1.15, -0.85]]);
  else if (shape === 5) polygon([[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4], [0.4, 1.2], [-0.4, 1.2], [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4]]);
  else if (shape === 6) polygon([[0, -0.55], [0.65, -1.2], [1.2, -0.65], [0.55, 0], [1.2, 0.65], [0.65, 1.2], [0, 0.55], [-0.65, 1.2], [-1.2, 0.65], [-0.55, 0], [-1.2, -0.65], [-0.65, -1.2]]);
  else if (shape === 7) polygon(Array.from({ length: 10 }, (_, i) => { const a = Math.PI * (i / 5 - 0.5), l = i % 2 ? 0.6 : 1.4; return [l * Math.cos(a), l * Math.sin(a)]; }));
  else c.arc(x, y, r, 0, 2 * Math.PI);
}

// --- the plane: box { left, top, right, bottom }, ticks [[pixels, text]] along x and y -----------------------------
export function drawPlane(c, theme, box, { x, y, xLabel, yLabel, height }) {
  c.clearRect(0, 0, c.canvas.width, c.canvas.height);
  c.fillStyle = theme.soft; c.strokeStyle = theme.line; c.lineWidth = 1;
  c.strokeRect(box.left + 0.5, box.top + 0.5, box.right - box.left, box.bottom - box.top);
  const rule = (from, to) => {
    c.beginPath();
    c.moveTo(...from); c.lineTo(...to);
    c.globalAlpha = 0.55; c.stroke(); c.globalAlpha = 1;
  };
  c.textAlign = "center"; c.textBaseline = "top";
  for (const [at, text] of x) { rule([at, box.top], [at, box.bottom]); c.fillText(text, at, box.bottom + 6); }
  c.textAlign = "right"; c.textBaseline = "middle";
  for (const [at, text] of y) { rule([box.left, at], [box.right, at]); c.fillText(text, box.left - 6, at); }
  c.fillStyle = theme.ink;
  c.textAlign = "center"; c.textBaseline = "bottom";
  c.fillText(xLabel, (box.left + box.right) / 2, height - 2, box.right - box.left);
  c.save();
  c.translate(12, (box.top + box.bottom) / 2);
  c.rotate(-Math.PI / 2);
  c.textBaseline = "middle";
  c.fillText(yLabel, 0, 0, box.bottom - box.top);
  c.restore();
}

// --- points by number, 0 to count - 1; where(i) is [x, y] in pixels, null for one that can't be reached --------------
export function nearestPoint(count, where, x, y, reach) {
  let best = -1, least = Infinity;
  for (let i = 0; i < count; i++) {
    const at = where(i);
    if (!at) continue;
    const distance = (at[0] - x) ** 2 + (at[1] - y) ** 2;
    if (distance < least && distance < reach(i) ** 2) { least = distance; best = i; }
  }
  return best;
}
export function nextPoint(count, where, from, dx, dy) {  // near, and not far aside; null where there is none
  let best = null, least = Infinity;
  for (let i = 0; i < count; i++) {
    const at = where(i);
    if (!at) continue;
    const ahead = (at[0] - from[0]) * dx + (at[1] - from[1]) * dy, aside = Math.abs((at[0] - from[0]) * dy - (at[1] - from[1]) * dx);
    if (ahead > 0.01 && ahead + 2 * aside < least) { least = ahead + 2 * aside; best = i; }
  }
  return best;
}
