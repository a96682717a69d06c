// The bar on top of a panel: title, "Show code", "Export figure", (i). Everything but our own guide is written as text.

const TEXTS = { code: "Show code", figure: "Export figure", page: "Live page", guide: "i" };
const LABELS = { code: "the code behind", figure: "a figure to keep of", page: "one file that runs in any browser:", guide: "a guide to" };
const WAITS = { figure: "Drawing …", page: "Writing and checking the page: half a minute …" };
const MIMES = { html: "text/html", png: "image/png", svg: "image/svg+xml", pdf: "application/pdf" };

function render({ model, el }) {
  const id = newId("tools"), label = model.get("label");
  const root = make("div", "vx-tools", el);
  root.dataset.lmSuppressShortcuts = "true";
  const bar = make("div", "vx-tools-bar", root);
  if (model.get("title")) make("h3", "", bar, model.get("title"));
  const group = make("div", "vx-tools-buttons", bar);
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", `Code, figure and guide: ${label}`);
  const fold = make("div", "vx-tools-fold", root);
  fold.id = id;
  fold.hidden = true;
  fold.setAttribute("role", "region");
  const buttons = {};
  let open = "", url = "", live = null;

  const send = (message) => tell(model, message, (text) => { fold.textContent = text; });
  const ask = (what) => send({ kind: "ask", what });
  const say = (text) => { live.textContent = text; };
  function forget() {                                   // the picture that the page holds
    if (url) URL.revokeObjectURL(url);
    url = "";
  }
  function show(what) {
    const before = open;
    open = open === what ? "" : what;
    forget();
    for (const [name, node] of Object.entries(buttons)) node.setAttribute("aria-expanded", String(name === open));
    fold.hidden = !open;
    fold.replaceChildren();
    if (!open) return ask("shut");
    if (before) ask("shut");
    fold.className = `vx-tools-fold vx-tools-${open}`;
    fold.setAttribute("aria-label", `${TEXTS[open] === "i" ? "Guide" : TEXTS[open]}: ${label}`);
    live = make("span", "vx-tools-live", fold, WAITS[open] ?? "Asking Python …");
    live.setAttribute("role", "status");
    ask(open);
  }
  function foot() {                                     // a row of buttons, and what became of them
    const row = make("div", "vx-tools-row", fold);
    live = make("span", "vx-tools-live");
    live.setAttribute("role", "status");
    queueMicrotask(() => row.append(live));             // behind the buttons
    return row;
  }

  // --- what is folded out -----------------------------------------------------------------------------
  function showCode(text, otherwise) {
    let box = fold.querySelector("pre");
    if (box && text) {                                  // it follows what is shown
      box.textContent = text;
      if (live) live.textContent = "";
      return;
    }
    fold.replaceChildren();
    if (!text) return void make("span", "vx-tools-live", fold, otherwise);
    box = make("pre", "", fold, text);
    box.tabIndex = 0;
    box.setAttribute("aria-label", "Python code");
    box.onpointerenter = box.onfocus = () => ask("code");
    const row = foot();
    button(row, "Copy", () => copyText(box.textContent, {
      done: "Copied: paste it into a cell.", say, selected: "The lines are selected",
      select: () => getSelection().selectAllChildren(box),
    }), { className: "vx-tools-copy" });
  }
  function save(data, { name, format }) {
    saveFile(root, data, { name, mime: MIMES[format] });
    if (live) say(`Saved as ${name}.`);
  }
  function showFigure(content, data) {
    forget();
    fold.replaceChildren();
    url = urlOf(data, MIMES.png);
    const picture = make("img", "", fold);
    picture.src = url;
    picture.alt = content.caption;
    const row = foot();
    for (const format of content.formats) {
      button(row, `Save ${format.toUpperCase()}`, () => {
        if (format === "png") return save(data, content);
        say("Drawing …");
        send({ kind: "save", format });
      }, { className: `vx-tools-${format}` });
    }
    button(row, "Draw again", () => { say("Drawing …"); ask("figure"); });
  }
  function showPage({ text, name, size }, data) {       // the file stays here until the fold is shut
    fold.replaceChildren();
    make("div", "vx-tools-text", fold, text).setAttribute("role", "status");
    if (data) button(foot(), `Save ${name} (${size})`, () => save(bytesOf(data), { name, format: "html" }));
  }
  function showGuide(html) {                            // explorer's own words
    fold.replaceChildren();
    const text = make("div", "vx-tools-text", fold);
    text.innerHTML = html;
    for (const link of text.querySelectorAll("a")) Object.assign(link, { target: "_blank", rel: "noopener noreferrer" });
  }
  function receive(content, buffers) {
    const data = buffers?.[0];
    if (content.kind === "code" && open === "code") showCode(content.text, content.otherwise);
    else if (content.kind === "guide" && open === "guide") showGuide(content.html);
    else if (content.kind === "page" && open === "page") showPage(content, data);
    else if (content.kind === "unfold") {
      if (open === content.what) show(open);            // anew, for something else
      show(content.what);
    }
    else if (content.kind === "figure" && open === "figure") showFigure(content, data);
    else if (content.kind === "file" && open === "figure") save(data, content);
    else if (content.kind === "problem" && open === "figure" && live) say(content.text);
  }

  for (const what of model.get("offers")) {
    const className = `vx-tools-ask-${what}`;
    const node = buttons[what] = button(group, TEXTS[what], () => show(what), { className });
    node.setAttribute("aria-expanded", "false");
    node.setAttribute("aria-controls", id);
    if (what === "guide") node.setAttribute("aria-label", `Guide: ${label}`);
    node.title = `${what === "guide" ? "What you see, what it does not prove:" : "See"} ${LABELS[what]} ${label}`;
  }
  root.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key !== "Escape" || !open) return;
    const from = buttons[open];
    show(open);
    from.focus();
  });
  model.on("msg:custom", receive);
  return () => {
    model.off("msg:custom", receive);
    forget();
    root.remove();
  };
}

export default part(render);
