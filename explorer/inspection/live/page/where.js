// Where in the photo a cell of the enlarged map is computed from, beside that map: on a narrow page, as a phone has it, the
// photo with the frame is out of sight.

// Draws what the network sees into `parent`, and returns show(cell), which frames what { row, column } reads; null: nothing.
function whereInPhoto(app, parent) {
  const place = make("div", "vx-live-where", parent), canvas = make("canvas", "", place), frame = make("div", "vx-live-where-frame", place);
  let drawn = null;                                      // the result whose photo it is
  place.setAttribute("aria-hidden", "true");             // the reading above it has the words
  return (cell) => {
    const fields = app.facing.stages.find(({ name }) => name === app.stage)?.fields;
    place.hidden = !fields?.columns.length || !app.result;
    frame.hidden = !cell;
    if (place.hidden || !place.offsetParent) return;     // a wide page has the photo itself in sight
    if (drawn !== app.result) {
      const { width, height, data } = seenPixels(app.source, app.result.crop, app.facing.preprocessing.input_size);
      paintWords(canvas, width, height, new Uint32Array(data.buffer));
      drawn = app.result;
    }
    if (!cell) return;
    const [left, right] = fields.columns[cell.column], [top, bottom] = fields.rows[cell.row], percent = (share) => `${100 * share}%`;
    Object.assign(frame.style, { left: percent(left), top: percent(top), width: percent(right - left), height: percent(bottom - top) });
  };
}
