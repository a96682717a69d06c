// Who answers: the model's own classes, the nearest of the reader's photos, or the linear head that was learnt from them;
// learning, how often it is right, and what to do where it is wrong.

const AFTER_CHANGES = 200;     // ms without another one
const ANSWERERS = [["own", "the model’s own classes"], ["knn", "the nearest photos (kNN)"], ["linear", "the layer that was learnt"]];

function confusionTable(parent, { table }, labels) {
  parent.replaceChildren();
  const words = make("p", "vx-soft", parent, "Rows: what a photo shows. Columns: what it was taken for.");
  words.id = newId("mixed");
  const grid = make("table", "vx-mixed", make("div", "vx-mixed-box", parent)), body = make("tbody", "", grid);
  grid.setAttribute("aria-describedby", words.id);
  const top = make("tr", "", make("thead", "", grid));
  make("td", "", top);
  for (const label of labels) make("th", "", top, label).scope = "col";
  table.forEach((counts, k) => {
    const row = make("tr", "", body);
    make("th", "", row, labels[k]).scope = "row";
    counts.forEach((value, j) => { make("td", "", row, String(value)).dataset.kind = k === j ? "right" : value ? "wrong" : "none"; });
  });
}

function setUpTeaching(app) {
  const { lesson } = app, root = make("div", "vx-teach", app.area("learn"));
  const row = make("div", "vx-class-row", root), learn = button(row, "Learn", () => learning(), { className: "vx-main" });
  const note = make("p", "vx-teach-note", root), score = make("p", "vx-teach-score", root), mixed = make("div", "", root);
  note.setAttribute("role", "status");
  const choice = make("fieldset", "vx-teach-who", root), group = newId("who"), radios = new Map();
  make("legend", "", choice, "Answers come from");
  for (const [mode, words] of ANSWERERS) {
    const label = make("label", "", choice), radio = make("input", "", label);
    Object.assign(radio, { type: "radio", name: group, value: mode });
    radio.onchange = () => use(mode, true);
    make("span", "", label, words);
    radios.set(mode, radio);
  }
  const wrong = make("div", "vx-class-row vx-teach-wrong", root), asked = make("span", "", wrong, "Is the answer wrong? This picture shows");
  const fixes = make("span", "vx-class-row", wrong);
  let mode = "own", chosen = false, nearest = null, linear = null, busy = false, last = null, later = 0;
  const learnt = new Map();                              // model -> what was learnt on its embeddings

  // --- who answers ------------------------------------------------------------------------------------------------
  function nearestNow() {                                // null where fewer than two classes have photos
    const ready = lesson.ready;
    if (ready.length < 2) return null;
    const photos = ready.flatMap((one, k) => one.photos.map((photo) => [lesson.embeddingOf(photo), k]));
    return { ...nearestHead(ready.map(({ name }) => name), photos.map(([one]) => one), photos.map(([, k]) => k)), ids: ready.map(({ id }) => id) };
  }
  const headOf = (which) => ({ knn: nearest, linear })[which] ?? null;
  function use(wanted, byReader = false) {
    chosen ||= byReader;
    mode = wanted === "own" || headOf(wanted) ? wanted : "own";
    for (const [name, radio] of radios) radio.checked = name === mode;
    if (app.head !== headOf(mode)) app.useHead(headOf(mode));
    draw();
  }
  function renew() {                                     // classes or photos have changed
    const now = nearestNow(), same = now && nearest && now.ids.join() === nearest.ids.join();
    if (same) Object.assign(nearest, now);               // the same head, which has seen more
    else nearest = now;
    if (linear && !all(linear.ids)) {
      linear = lesson.head = null;
      reword(note, "A class of the learnt layer was deleted: learn again.");
      score.textContent = "";
      mixed.replaceChildren();
    }
    if (linear) linear.labels = linear.ids.map((id) => lesson.classes.find((one) => one.id === id).name);
    if (mode === "linear" && !linear) use("knn");
    else if (mode === "own" && nearest && !chosen) use(linear ? "linear" : "knn");
    else if (mode === "knn" && !same) use("knn");
    else draw();
    meter();
    clearTimeout(later);                                 // of the photo in front the answer may be another one now
    if (mode !== "own") later = setTimeout(() => app.camera.live || app.again(), AFTER_CHANGES);
  }

  // --- learning -----------------------------------------------------------------------------------------------------
  async function learning() {
    if (busy) return;
    busy = true;
    draw();
    try {
      await lesson.settled();
      await learnNow();
    } catch (error) {
      reword(note, `Nothing was learnt: ${error.message}`);
    } finally {
      busy = false;
      draw();
      root.dataset.learnt = String(Number(root.dataset.learnt || 0) + 1);
    }
  }
  const all = (ids) => ids.every((id) => lesson.classes.some((one) => one.id === id));
  async function learnNow() {
    const ready = lesson.ready, { model } = app, { version } = lesson;
    if (ready.length < 2) return;
    const embeddings = ready.flatMap(({ photos }) => photos.map(lesson.embeddingOf)), targets = ready.flatMap(({ photos }, k) => photos.map(() => k));
    const labels = ready.map(({ name }) => name), ids = ready.map(({ id }) => id), stopped = () => app.model !== model || !all(ids);
    const what = `${counted(embeddings.length, "photo")} of ${labels.length} classes`;
    reword(note, `Learning from ${what} …`);
    const started = performance.now(), found = await trainHead(embeddings, targets, labels.length, { stopped });
    if (!found) return;
    const seconds = (performance.now() - started) / 1000;
    linear = lesson.head = Object.assign(linearHead(labels, found), { ids, model, version, said: "", table: null });
    learnt.set(model, linear);
    reword(note, `Learnt from ${what} in ${seconds < 0.1 ? "less than 0.1" : seconds.toFixed(1)} s.`);
    use("linear");
    const made = linear, split = splitByBursts(ready), judgement = split.parts ? await judged(embeddings, targets, labels.length, split, { stopped }) : null;
    if (linear !== made) return;                         // another model, or a class is gone
    Object.assign(linear, judgement ? { said: judgedWords(judgement, labels), table: judgement.table } : { said: split.why });
    showScore();
  }
  function showScore() {
    reword(score, linear?.said ?? "");
    if (linear?.table) confusionTable(mixed, linear, linear.labels);
    else mixed.replaceChildren();
  }
  function meter() {
    const head = mode === "own" ? null : headOf(mode);
    if (!head || !last?.embedding) return app.emit("meter", null);
    const shares = head.shares(last.embedding);
    return app.emit("meter", new Map(head.ids.map((id, k) => [id, shares[k]])));
  }

  function draw() {
    root.hidden = !lesson.classes.length || !(app.facing.embedding > 0);
    const ready = lesson.ready.length > 1, older = linear && linear.version !== lesson.version;
    learn.disabled = !ready || busy;
    reword(learn, linear ? "Learn again" : "Learn");
    learn.title = ready ? "Learn a linear layer on the embeddings" : "Two classes need a photo each";
    root.dataset.older = String(Boolean(older));
    choice.hidden = !nearest && !linear;
    for (const [name, radio] of radios) radio.disabled = name !== "own" && !headOf(name);
    wrong.hidden = mode === "own" || !app.source;
    reword(asked, older ? "Photos or classes have changed since it has learnt: learn again. Is the answer wrong? This picture shows" : "Is the answer wrong? This picture shows");
    const names = lesson.classes.map(({ name }) => name);
    if (fixes.dataset.names !== names.join("\n")) {
      fixes.dataset.names = names.join("\n");
      fixes.replaceChildren();
      for (const one of lesson.classes) button(fixes, one.name, () => lesson.acts.addFront(one), { label: `Add this picture to ${one.name}` });
    }
  }
  for (const event of ["result", "frame"]) app.on(event, (result) => { last = result; wrong.hidden = mode === "own"; meter(); });
  app.on("head", (head) => { if (!head && mode !== "own") use("own"); else meter(); });
  app.on("model", () => {
    [mode, chosen, nearest, last] = ["own", false, null, null];
    linear = lesson.head = learnt.get(app.model) ?? null;
    reword(note, "");
    showScore();
    renew();
  });
  app.on("lesson", renew);
  // A head that a saved page holds: of the classes with these names, for the model that it was learnt on.
  lesson.takeHead = (head) => {
    const ids = head.labels.map((label) => lesson.classes.find((one) => one.name === label)?.id);
    const size = app.facts.models[head.model]?.embedding;
    if (ids.includes(undefined) || head.weights.some(({ length }) => length !== size)) return;
    const kept = Object.assign(linearHead(head.labels, head), { ids, model: head.model, version: lesson.version, said: head.said, table: head.table });
    learnt.set(head.model, kept);
    if (head.model !== app.model) return;                // it answers as soon as its model is in front
    linear = lesson.head = kept;
    reword(note, "This page was saved with what was learnt in it.");
    use("linear");
    showScore();
  };
  use("own");
}
