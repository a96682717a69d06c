// The browser's own search field: Escape and the × empty it, Enter is a message of its own, the arrow down leads on.

function render({ model, el }) {
  const root = make("label", "vx-find-field", el);
  root.dataset.lmSuppressShortcuts = "true";            // or JupyterLab takes the arrow keys
  const label = make("span", "vx-find-label", root);
  const field = make("input", "vx-find-input", root);
  Object.assign(field, { type: "search", spellcheck: false, autocomplete: "off", maxLength: 200 });

  function draw() {
    label.textContent = model.get("label");
    field.placeholder = model.get("placeholder");
    if (field.value !== model.get("value")) field.value = model.get("value");
  }
  field.addEventListener("input", () => choose(model, "value", field.value));
  field.addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter") {
      event.preventDefault();
      tell(model, { kind: "enter", text: field.value });
    } else if (event.key === "ArrowDown" && model.get("down")) {
      const next = root.closest(".vx-panel")?.querySelector(model.get("down"));
      if (next) { event.preventDefault(); next.focus(); }
    }
  });
  const onMessage = (content) => {                      // unless the reader is elsewhere by now
    const at = document.activeElement;
    const free = !at || at === document.body || at.matches(".vx-model-line");
    if (content?.kind === "focus" && free) field.focus({ preventScroll: true });
  };
  model.on("msg:custom", onMessage);
  const unwatch = watch(model, { value: draw, label: draw, placeholder: draw });
  draw();
  return () => { unwatch(); model.off("msg:custom", onMessage); root.remove(); };  // the listeners go with the element
}

export default part(render);
