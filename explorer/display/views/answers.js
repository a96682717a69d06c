// The likeliest answers with bars. Each is a button: where in the photo does this answer come from?
// Rows stay and change: answers may follow a camera, and a click counts only where its button is still there.

function row(root, pick) {
  const item = make("li", "", root), one = button(item, "", pick, { className: "vx-answer" });
  const name = make("span", "vx-name", one), value = make("span", "vx-value", one), track = make("span", "vx-track");
  return { item, one, name, value, track, bar: make("span", "vx-bar", track) };
}

function render({ model, el }) {
  const root = make("ol", "vx-predictions vx-answers", el), rows = [];

  function draw() {
    const answers = model.get("_rows") || [];
    root.setAttribute("aria-label", model.get("label"));
    while (rows.length > answers.length) rows.pop().item.remove();
    answers.forEach(({ name, value, share, pressed }, index) => {
      const now = rows[index] ??= row(root, () => tell(model, { kind: "pick", index, name: rows[index].name.textContent }));
      now.one.title = model.get("hint");
      if (pressed !== undefined) now.one.setAttribute("aria-pressed", String(pressed));
      reword(now.name, name);
      reword(now.value, value);
      if (share === null) return now.track.remove();
      now.bar.style.width = `${(100 * clamp(share || 0, 0, 1)).toFixed(2)}%`;
      if (!now.track.parentNode) now.one.append(now.track);
      return undefined;
    });
  }
  const unwatch = watch(model, { _rows: draw, label: draw, hint: draw });
  draw();
  return () => {
    unwatch();
    root.remove();
  };
}

export default part(render);
