// The answers with bars, each a button: where in the photo does it come from? And a field that finds any class.

const MEANINGS = {                                       // as explorer.models.outputs says it
  several: () => "Each class has a share of its own (sigmoid): several may be there at once, so the shares don't add up to 100 %.",
  "yes/no": ({ labels: [no, yes] }) => `One score, made the share of “${yes}” by a sigmoid; the rest is that of “${no}”.`,
  numbers: ({ outputs: { number_std: std } }) => `Numbers that the model works out, not shares of classes${std?.length ? ", in their own unit" : ""}.`,
};
const FOUND = 6;                                         // classes that the field shows, at most

function setUpAnswers(app) {
  const root = app.area("answers"), head = make("div", "vx-live-bar", root), title = make("h2", "", head, "Answers");
  const count = pickList(head, "Show", { 3: "top 3", 5: "top 5", 10: "top 10" }, "5");
  const list = make("div", "", root), meaning = make("p", "vx-soft", root);
  const field = make("label", "vx-live-find", root, "Find a class"), input = make("input", "", field);
  const matches = make("div", "", root), none = make("p", "vx-soft", root), aloud = make("p", "vx-live-aloud", root);
  aloud.setAttribute("role", "status");                  // a new photo's answer, for whoever does not see the list
  Object.assign(input, { type: "search", autocomplete: "off", spellcheck: false });
  const hint = "Where in the photo is this? Draws the heat map for it";
  const rows = { list: [], matches: [] };
  const host = (place, key, label) => hostView(AnswersView, place, { _rows: [], label, hint }, (message) => {
    if (message.kind === "pick") pick(rows[key].find(({ label: name, index }, at) => at === message.index && name === message.name)
      ?? rows[key].find(({ label: name }) => name === message.name));
  });
  const shown = host(list, "list", "Answers"), found = host(matches, "matches", "Classes with this in their name");
  const asRow = ({ label, value, share, index }) => ({ name: label, value, share, pressed: app.wanted === index });
  let all = [];

  function pick(answer) {
    if (!answer) return;
    app.ask(app.wanted === answer.index ? null : answer.index);
    bringInView(app.area("heat"));
  }
  function draw() {
    const { facing, head: learnt } = app, classes = learnt?.labels ?? facing.labels;
    root.hidden = facing.task !== "classify" || !classes.length;
    if (root.hidden || !app.result) return;
    all = app.answers(app.result);
    const few = all.length <= 3 || (!learnt && facing.outputs.kind === "numbers");
    count.field.hidden = few;
    rows.list = few ? all : all.slice(0, Number(count.select.value));
    shown.set("label", learnt ? "What the classes of your own get, likeliest first" : facing.outputs.kind === "numbers"
      ? `Numbers that ${facing.name} gives` : `Predictions of ${facing.name}, most likely first`);
    shown.set("_rows", rows.list.map(asRow));
    reword(title, learnt ? "Your classes" : "Answers");
    reword(meaning, learnt ? "" : MEANINGS[facing.outputs.kind]?.(facing) ?? "");
    field.hidden = all.length <= rows.list.length;
    find();
  }
  function find() {
    const word = field.hidden ? "" : input.value.trim().toLowerCase();
    const fits = word ? all.filter(({ label }) => label.toLowerCase().includes(word)) : [];
    rows.matches = fits.slice(0, FOUND);
    found.set("_rows", rows.matches.map(asRow));
    reword(none, !word ? "" : !fits.length ? "No class has this in its name." : fits.length > FOUND
      ? `${fits.length - FOUND} more have this in their name.` : "");
  }
  input.oninput = find;
  input.onkeydown = (event) => { if (event.key === "Enter" && rows.matches.length) pick(rows.matches[0]); };
  count.select.onchange = draw;
  for (const event of ["result", "frame", "class", "head", "model"]) app.on(event, draw);
  app.on("result", () => reword(aloud, !root.hidden && all.length ? `${all[0].label}, ${all[0].value}` : ""));
  app.on("frame", () => reword(aloud, ""));              // not each frame of a camera
}

// A labelled list to choose from: { field, select }.
function pickList(parent, text, choices, value) {
  const field = make("label", "vx-live-field", parent, `${text} `), select = make("select", "", field);
  for (const [choice, words] of Object.entries(choices)) make("option", "", select, words).value = choice;
  select.value = value;
  return { field, select };
}
