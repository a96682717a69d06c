// What is known of the model, whose work it is, and how the page was checked against torch.

function setUpCard(app) {
  const root = app.area("card"), about = make("div", "vx-live-about", root), proof = make("div", "vx-live-about", root);
  const { facts } = app;

  function draw() {
    const { card, title, name } = app.facing;
    about.replaceChildren();
    make("h2", "", about, `About ${title || name}`);
    const list = make("dl", "", about);
    for (const [label, text] of card) {
      make("dt", "", list, label);
      make("dd", "", list, text);
    }
  }
  function drawProof() {
    const { report, runtime, photos, written, version, precision } = facts;
    make("h2", "", proof, "Is it the same network?");
    for (const sentence of report.said) make("p", "", proof, sentence);
    const row = make("p", "vx-live-check", proof), check = button(row, "Check in this browser", act), told = make("span", "vx-soft", row);
    told.setAttribute("role", "status");
    check.disabled = true;
    row.hidden = !facts.models.some(({ labels }) => labels.length);  // nothing is answered that could be compared
    app.on("ready", () => { check.disabled = !photos.length; });
    async function act() {
      check.disabled = true;
      try {
        const found = await app.engine.check((share) => reword(told, `${Math.round(100 * share)} % checked`));
        reword(told, saidOfCheck(found));
      } catch (error) {
        reword(told, error.message);
      }
      check.disabled = false;
    }
    const list = make("dl", "", proof);
    const entry = (label, text) => { if (text) { make("dt", "", list, label); make("dd", "", list, text); } };
    entry("written", `${written}, by explorer ${version}, weights in ${precision}`);
    entry("runtime", [runtime.name, runtime.version, runtime.licence].filter(Boolean).join(", "));
    entry("network", "none: the page forbids itself every request, and a photo never leaves this computer");
    if (!photos.length) return;
    const whose = make("details", "", proof);
    make("summary", "", whose, `Whose photos these are (${photos.length})`);
    const people = make("ul", "", whose);
    for (const photo of photos) make("li", "", people, creditOf(photo));
  }
  app.on("model", draw);
  draw();
  drawProof();
}

function saidOfCheck({ rows, photos, same_top: same, largest_difference: largest, limit, passed }) {
  const mean = rows.reduce((sum, { ms }) => sum + ms, 0) / rows.length;
  const all = rows.length === photos ? counting(photos, "photo") : `${rows.length} answers (${counting(photos, "photo")}, two models)`;
  const others = same === rows.length ? "" : `, ${rows.length - same} another`;
  const where = rows[0]?.device ? `, ${rows[0].device}` : "";
  return `${passed ? "✓" : "✗"} In this browser${where}: ${same} of ${all} the same answer as torch${others}; the largest difference of a ` +
    `share is ${plain(largest)} (${plain(limit)} is allowed). ${Math.round(mean)} ms a pass.`;
}
