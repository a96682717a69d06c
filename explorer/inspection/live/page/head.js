// The first line: which model, what it is in one sentence, how long a pass takes, and light or dark.

const counting = (number, thing, many = `${thing}s`) => `${number.toLocaleString("en")} ${number === 1 ? thing : many}`;

// What a model is, in one sentence for somebody who opens the page for the first time.
function whatItIs({ task, labels, outputs }) {
  const names = labels.length <= 4 ? `: ${labels.join(", ")}` : "";
  if (task === "detect") return `It draws boxes around what it knows: ${counting(labels.length, "class", "classes")}${names}.`;
  if (task === "segment") return `It says of every pixel what it belongs to: ${counting(labels.length, "class", "classes")}${names}.`;
  if (!labels.length) return "It turns a photo into feature maps and a vector, and has no classes of its own.";
  if (outputs.kind === "numbers") return `It works out ${counting(labels.length, "number")} from a photo${names}.`;
  if (outputs.kind === "yes/no") return `It answers one question about a photo with yes or no${names}.`;
  const many = outputs.kind === "several" ? "which of them a photo shows" : "which one a photo most likely shows";
  return `It knows ${counting(labels.length, "class", "classes")} and says ${many}${names}.`;
}

function setUpHead(app) {
  const head = document.getElementById("vx-live-head"), line = make("div", "vx-live-title", head);
  const title = make("h1", "", line), status = make("span", "vx-live-status", line);
  const theme = button(line, "", () => show(!dark()), { className: "vx-live-theme" });
  const said = make("p", "vx-live-lead", head), notes = make("div", "", head);
  const night = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;                                     // what the reader asked for; null: as the system
  const dark = () => chosen ?? night.matches;
  function show(asked = chosen) {
    chosen = asked;
    document.body.dataset.jpThemeLight = String(!dark());
    document.documentElement.style.colorScheme = dark() ? "dark" : "light";
    theme.textContent = dark() ? "☀ light" : "☾ dark";
    theme.setAttribute("aria-label", dark() ? "Light page" : "Dark page");
  }
  night.addEventListener("change", () => show());
  show();

  function name() {
    const { title: own, name: model } = app.facing;
    title.textContent = own || model;
    said.textContent = `A neural network that runs in this page. ${whatItIs(app.facing)} ` +
      "Your photos stay on this computer: the page can reach no network.";
    notes.replaceChildren(...app.facing.notes.map((note) => make("p", "vx-live-note", null, note)));
  }
  const time = ({ ms, device }) => reword(status, Number.isFinite(ms) ? [`${Math.round(ms)} ms a pass`, device].filter(Boolean).join(" ") : "");
  app.on("model", name);
  app.on("result", time);
  app.on("frame", time);
  name();
}
