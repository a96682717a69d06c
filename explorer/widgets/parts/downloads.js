// A row of buttons; what Python sends for one is saved as a file. Everything is written as text.

function make(tag, className, parent, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}

function render({ model, el }) {
  const root = make("div", "vx-downloads", el);
  root.dataset.lmSuppressShortcuts = "true";
  root.setAttribute("role", "group");
  const row = make("span", "vx-downloads-row", root);
  const live = make("span", "vx-downloads-live", root);
  live.setAttribute("role", "status");
  let asked = false;                                    // two views of one widget: only the one that was pressed saves

  function draw() {
    root.setAttribute("aria-label", model.get("label"));
    row.replaceChildren(...model.get("offers").map((offer) => {
      const button = make("button", "", null, offer);
      button.type = "button";
      button.onclick = () => {
        asked = true;
        live.textContent = "Writing …";
        try { model.send({ kind: "ask", offer }); } catch (error) {
          console.warn("explorer: no kernel", error);
          live.textContent = "No kernel is running: run the notebook's cells first.";
        }
      };
      return button;
    }));
  }
  function receive(content, buffers) {
    if (!asked) return;
    asked = false;
    if (content.kind === "problem") { live.textContent = content.text; return; }
    const link = make("a", "", root);
    link.href = URL.createObjectURL(new Blob([buffers[0]], { type: content.mime }));
    link.download = content.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    link.remove();
    live.textContent = `Saved as ${content.name}.`;
  }
  model.on("change:offers", draw);
  model.on("msg:custom", receive);
  draw();
  return () => {
    model.off("change:offers", draw);
    model.off("msg:custom", receive);
    root.remove();
  };
}

export default {
  initialize({ model }) { model.send({ kind: "ready" }); },
  render,
};
