// A row of buttons; what Python sends for one is saved as a file. Everything is written as text.

function render({ model, el }) {
  const root = make("div", "vx-downloads", el);
  root.dataset.lmSuppressShortcuts = "true";
  root.setAttribute("role", "group");
  const row = make("span", "vx-downloads-row", root);
  const live = make("span", "vx-downloads-live", root);
  live.setAttribute("role", "status");
  const say = (text) => { live.textContent = text; };
  let asked = false;                                    // two views of one widget: only the one that was pressed saves

  function draw() {
    root.setAttribute("aria-label", model.get("label"));
    row.replaceChildren(...model.get("offers").map((offer) => button(null, offer, () => {
      asked = true;
      say("Writing …");
      tell(model, { kind: "ask", offer }, say);
    })));
  }
  function receive(content, buffers) {
    if (!asked) return;
    asked = false;
    if (content.kind === "problem") { say(content.text); return; }
    saveFile(root, buffers[0], content);
    say(`Saved as ${content.name}.`);
  }
  const unwatch = watch(model, { offers: draw });
  model.on("msg:custom", receive);
  draw();
  return () => {
    unwatch();
    model.off("msg:custom", receive);
    root.remove();
  };
}

export default part(render);
