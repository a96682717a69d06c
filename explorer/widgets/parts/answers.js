// The likeliest answers with bars. Each is a button: where in the photo does this answer come from?

function render({ model, el }) {
  const root = make("ol", "vx-predictions vx-answers", el);

  function draw() {
    const held = root.contains(document.activeElement) ? [...root.children].indexOf(document.activeElement.closest("li")) : -1;
    root.setAttribute("aria-label", model.get("label"));
    root.replaceChildren();
    (model.get("_rows") || []).forEach(({ name, value, share }, index) => {
      const item = make("li", "", root);
      const one = button(item, "", () => tell(model, { kind: "pick", index }), { className: "vx-answer" });
      one.title = model.get("hint");
      make("span", "vx-name", one, name);
      make("span", "vx-value", one, value);
      if (share === null) return;
      const bar = make("span", "vx-bar", make("span", "vx-track", one));
      bar.style.width = `${(100 * clamp(share || 0, 0, 1)).toFixed(2)}%`;
    });
    if (held >= 0) root.children[held]?.firstElementChild.focus({ preventScroll: true });
  }
  const unwatch = watch(model, { _rows: draw, label: draw, hint: draw });
  draw();
  return () => {
    unwatch();
    root.remove();
  };
}

export default part(render);
