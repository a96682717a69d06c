// The graphics card (WebGPU), in pages that were written with gpu=True: each model is tried on it beside the processor,
// with the page's own photos, and goes over to it where it says what torch says, and is faster.

const ON_CARD = "on the graphics card", ON_PROCESSOR = "on the processor, one thread";
const FARTHEST = 0.01;         // of a map's numbers from the processor's, as a share of its largest
const PATIENCE = 60_000;       // ms that the card may take for one thing: the first pass also translates the network
const STAYS = `The model runs ${ON_PROCESSOR}`;

async function isCardOffered() {
  try { return Boolean(await navigator.gpu?.requestAdapter()); } catch { return false; }
}
async function withPatience(promise, most) {
  let clock;
  const late = new Promise((_, reject) => {
    clock = setTimeout(() => reject(new Error(`it gave no answer within ${Math.round(most / 1000)} seconds`)), most);
  });
  try { return await Promise.race([promise, late]); } finally { clearTimeout(clock); }
}

// How far the maps, the heat map and the embedding of two results are from each other, at most, as a share of the largest
// number of each; NaN where one is no number.
function farthestOf(found, wanted) {
  const parts = ({ maps, heat, embedding }) => [...Object.values(maps).map(({ data }) => data), heat?.data, embedding].filter(Boolean);
  const others = parts(wanted), shares = parts(found).map((values, part) => {
    let far = 0, largest = 0;
    for (let i = 0; i < values.length; i++) {
      far = Math.max(far, Math.abs(values[i] - others[part][i]));
      largest = Math.max(largest, Math.abs(others[part][i]));
    }
    return far / (largest || 1);
  });
  return Math.max(0, ...shares);
}
const medianMs = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const msText = (ms) => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;

// One model on the card, which is tried after the first pass. offered(): whether the browser has one; start(): a worker;
// load(worker): the model into it; onProcessor(wish): a pass there; compare: the check of one photo against torch.
//   card.run(wish) a result, with its `device`           card.use(whether)
//   card.said a sentence, card.passed, card.used         card.on(act) hears of every change
function makeCard(facts, index, { offered, start, load, photo, onProcessor, compare, patience = PATIENCE }) {
  let worker = null, trial = null;
  const heard = [], said = `${STAYS}, until the graphics card has been tried.`;
  const card = { said, passed: false, used: false, run, use, on: (act) => heard.push(act), end: () => worker?.end() };
  function tell(said, { passed = card.passed, used = card.used } = {}) {
    Object.assign(card, { said, passed, used });
    heard.forEach((act) => act());
  }
  function putAway(why) {
    worker?.end();
    worker = null;
    tell(`${STAYS}: ${why}`, { passed: false, used: false });
  }
  const failed = (error) => putAway(`the graphics card failed (${String(error.message).split("\n")[0].slice(0, 200).replace(/\.$/, "")}).`);
  const pass = (wish) => withPatience(worker.ask("run", wish), patience);

  async function tryOut() {
    if (!await offered()) return putAway("this browser offers the page no graphics card (WebGPU).");
    try {
      worker = await start();
      await withPatience(load(worker), patience);
      return judge(await comparedPhotos());
    } catch (error) {
      return failed(error);
    }
  }
  async function comparedPhotos() {
    const rows = [];
    for (const [at, { expected }] of facts.photos.entries()) {
      const source = await photo(at), wish = { index, source, maps: true }, wanted = await onProcessor(wish);
      if (!at) await pass(wish);                         // the first one is slower
      const found = await pass(wish);
      rows.push({ ...compare(expected[index], found, facts.models[index], facts.report, source), far: farthestOf(found, wanted),
                  card: found.ms, processor: wanted.ms });
    }
    return rows;
  }
  function judge(rows) {
    const { limit } = facts.report, most = (name) => Math.max(...rows.map((row) => row[name]));
    const difference = most("difference"), far = most("far"), others = rows.filter((row) => !row.same).length;
    if (others) return putAway(`the graphics card gives another answer than torch to ${others} of ${counting(rows.length, "photo")}.`);
    if (!(difference <= limit)) return putAway(`the graphics card's answers differ from torch's by ${plain(difference)}, and ${plain(limit)} is allowed.`);
    if (!(far <= FARTHEST)) return putAway(`the graphics card's maps differ from the processor's by ${percentOf(far)}.`);
    const [own, other] = ["card", "processor"].map((name) => medianMs(rows.map((row) => row[name])));
    const speed = `${msText(own)} a pass, where the processor, one thread, needs ${msText(other)}`;
    return tell(`The graphics card was tried, and is ${own < other ? "faster" : "no faster"}: ${speed}. It gives torch's answers to the ` +
                `page's ${counting(rows.length, "photo")}.`, { passed: true, used: own < other });
  }
  async function run(wish) {
    const tried = card.used ? worker : null;
    let trouble = null;
    if (tried) {
      try { return { ...await pass(wish), device: ON_CARD }; } catch (error) { trouble = error; }
    }
    const result = await onProcessor(wish);              // what is the photo's own fault fails here too, and is told
    if (trouble && worker === tried) failed(trouble);
    trial ??= tryOut();
    return { ...result, device: ON_PROCESSOR };
  }
  function use(whether) {
    tell(card.said, { used: whether && card.passed });
  }
  return card;
}

function setUpGraphics(app) {
  const { cards } = app.engine;
  if (!cards.length) return;
  const row = make("div", "vx-live-device", document.getElementById("vx-live-head")), words = make("span", "", row);
  words.setAttribute("role", "status");
  const facing = () => cards[app.model], change = button(row, "", () => facing().use(!facing().used));
  let filming = false, shown = null;
  function draw() {
    const { said, passed, used } = facing();
    reword(words, said);
    change.hidden = !passed;
    reword(change, used ? "Use the processor" : "Use the graphics card");
    const anew = shown !== null && shown !== used;
    shown = used;
    if (anew && !filming) app.again();                   // a camera's next frame comes anyhow
  }
  cards.forEach((card, index) => card.on(() => { if (index === app.model) draw(); }));
  app.on("camera", (state) => { filming = state === "live"; });
  app.on("model", () => { shown = null; draw(); });
  draw();
}
