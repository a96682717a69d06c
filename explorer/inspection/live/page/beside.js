// A second model in the same file: its answers beside those of the first, its own flow below, and a button that changes
// places.

const BESIDE_ROWS = 5;

// What two models say of one photo, in a sentence. answers: of each the likeliest first
function agreementOf([first, second], [one, other]) {
  if (!one?.label || !other?.label) return "";
  if (one.share === null || other.share === null) return `${first.name}: ${one.label} ${one.value}; ${second.name}: ${other.label} ${other.value}.`;
  if (one.label === other.label) return `Both say “${one.label}”: ${one.value} and ${other.value}.`;
  const known = first.labels.includes(other.label) || second.labels.includes(one.label);
  return `${known ? "They disagree: " : ""}${first.name} says “${one.label}” (${one.value}), ${second.name} “${other.label}” (${other.value}).`;
}
const asBar = ({ label, value, share }) => ({ name: label, value, share });

// Of an ensemble: what each member says, beside what they say together.
function setUpMembers(app) {
  const root = make("div", "", app.area("beside")), row = make("div", "vx-live-beside", root);
  row.before(make("h2", "", root, "What the members say"));
  let lists = [];
  function draw() {
    const { facing, result, head } = app, { members = [] } = facing;
    root.hidden = !members.length || Boolean(head);
    if (root.hidden || !result?.members) return;
    if (lists.length !== members.length) {
      row.replaceChildren();
      lists = members.map((name) => {
        const column = make("div", "vx-live-area", row);
        make("h3", "", column, name);
        return hostView(AnswersView, make("div", "", column), { _rows: [], label: `Answers of the member ${name}`, hint: "" });
      });
    }
    result.members.forEach((one, at) => lists[at].set("_rows", answersOf(facing, null, one).slice(0, BESIDE_ROWS).map(asBar)));
  }
  app.on("model", () => { lists = []; draw(); });
  for (const event of ["result", "frame", "head"]) app.on(event, draw);
  root.hidden = true;
}

function setUpBeside(app) {
  const { models } = app.facts;
  if (models.length < 2) return;
  const root = make("div", "", app.area("beside"));
  const head = make("div", "vx-live-bar", root), title = make("h2", "", head);
  const swap = button(head, "⇄ change places", () => app.useModel(1 - app.model), { label: "Put the second model in front" });
  const words = make("p", "vx-live-words", root), both = make("div", "vx-live-beside", root);
  const columns = [0, 1].map(() => {
    const column = make("div", "vx-live-area", both), name = make("h3", "", column), time = make("p", "vx-soft", column);
    const list = hostView(AnswersView, make("div", "", column), { _rows: [], label: "", hint: "" });
    const found = make("p", "", column), place = make("div", "", column);
    return { column, name, time, list, found, draw: overlayFor(place), place };
  });
  const flow = flowInto(make("div", "", root));
  words.setAttribute("role", "status");
  let turn = 0, shown = -1, busy = false;

  function tell(at, facing, result) {
    const { name, time, list, found, place, draw } = columns[at], classes = facing.task === "classify";
    reword(name, facing.title || facing.name);
    reword(time, `${Math.round(result.ms)} ms a pass`);
    place.hidden = classes || at === 0;                  // the first one's is above, larger
    const answers = classes ? answersOf(facing, at === 0 ? app.head : null, result) : [];
    list.set("label", `Answers of ${facing.name}`);
    list.set("_rows", answers.slice(0, BESIDE_ROWS).map(asBar));
    const read = classes ? null : at === 0 ? readPlaces(result, app.source, facing) : draw(result, app.source, app.title, facing);
    reword(found, read?.words ?? "");
    return answers[0];
  }
  async function look(run, aloud) {
    const mine = ++turn, first = app.result, source = app.source, other = 1 - app.model, facing = [app.facing, models[other]];
    reword(title, `Beside it: ${facing[1].title || facing[1].name}`);
    if (shown < 0) reword(words, "It is being unpacked: its answers follow in a moment.");
    try {
      const second = await run(other, source, { maps: true });
      if (!second || mine !== turn) return;
      const best = [first, second].map((result, at) => tell(at, facing[at], result));
      words.setAttribute("aria-live", aloud ? "polite" : "off");  // what changes with every frame is not read out
      reword(words, agreementOf(facing, best));
      if (shown !== other) flow.face(facing[1]);
      shown = other;
      flow.draw(facing[1], second, source, app.title);
      root.dataset.turn = String(mine);
    } catch (error) {
      if (mine === turn) reword(words, error.message);
    }
  }
  app.on("result", () => look(app.engine.run, true));
  app.on("frame", async () => {                           // of a camera those frames that there is time for
    if (busy) return;
    busy = true;
    await look(app.engine.run, false);
    busy = false;
  });
  app.on("model", () => { turn++; reword(words, ""); });
}
