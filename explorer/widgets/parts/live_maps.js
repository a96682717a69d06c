// A handful of feature maps that change many times a second: each is a canvas that stays, with its name below.

function render({ model, el }) {
  const root = make("div", "vx-live-maps", el), row = make("div", "vx-live-maps-row", root), note = make("div", "vx-live-maps-note", root);
  row.setAttribute("role", "group");
  const table = bytesOf(model.get("_colours"));

  const hear = (content, buffers) => {
    if (content?.kind !== "maps") return;
    const [count, rows, columns] = content.shape, codes = count ? bytesOf(buffers[0]) : [];
    while (row.children.length > count) row.lastElementChild.remove();
    while (row.children.length < count) {
      const figure = make("figure", "", row);
      make("canvas", "", figure).setAttribute("role", "img");
      make("figcaption", "", figure);
    }
    [...row.children].forEach((figure, map) => {
      const [canvas, caption] = figure.children, pixels = new ImageData(columns, rows);
      for (let k = 0; k < rows * columns; k++) {
        const code = 3 * codes[map * rows * columns + k];
        pixels.data.set(table.subarray(code, code + 3), 4 * k);
        pixels.data[4 * k + 3] = 255;
      }
      if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
      canvas.getContext("2d").putImageData(pixels, 0, 0);
      reword(caption, content.names[map]);
      if (canvas.ariaLabel !== content.names[map]) canvas.ariaLabel = content.names[map];
    });
    reword(note, content.note);
    root.dataset.maps = String(count);
  };
  model.on("msg:custom", hear);
  const fit = () => {
    row.setAttribute("aria-label", model.get("label"));
    row.dataset.mirrored = String(model.get("mirrored"));
  };
  const unwatch = watch(model, { label: fit, mirrored: fit });
  fit();
  return () => {
    model.off("msg:custom", hear);
    unwatch();
    root.remove();
  };
}

export default part(render);
