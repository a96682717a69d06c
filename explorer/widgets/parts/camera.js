// The reader's camera with a heat map over it. One small frame is under way to Python at a time: the next one goes when
// the answer to the last has been painted, or when none came. Nobody looks: nothing is sent, and later the camera goes off.
const WAIT = 5000;             // ms without an answer after which a frame counts as lost
const LOST = 3;                // so many lost ones in a row, or with a problem, end it
const REST = 20000;            // ms out of sight after which the camera goes off
const QUALITY = 0.8, FROZEN_QUALITY = 0.92;
const STRENGTH = 0.66;         // how much of the picture the hottest place hides
const COOLEST = 60, HOTTEST = 205;  // of 256 colours
const HERE = ["localhost", "127.0.0.1", "[::1]"];

const PLAIN = "The camera is off. Pictures go to the Python that runs this notebook, and nowhere else";
const privacy = () => `${PLAIN}${HERE.includes(location.hostname) ? ": on this computer" : ` (${location.hostname})`}. None is kept until you freeze one.`;
const NO_SECURE = "This page may not use a camera: browsers give one to https pages and to localhost only. Choose a picture above instead.";

// --- pictures ------------------------------------------------------------------------------------------------
function drawn(source, width, height, canvas, quality) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingQuality = quality;
  pen.drawImage(source, 0, 0, width, height);
  return canvas;
}
const scaledTo = (share, ...sides) => sides.map((side) => Math.max(1, Math.round(side * Math.min(1, share))));
function jpegOf(canvas, quality) {
  if (canvas.convertToBlob) return canvas.convertToBlob({ type: "image/jpeg", quality }).then((blob) => blob.arrayBuffer());
  return new Promise((done, fail) => canvas.toBlob(
    (blob) => (blob ? blob.arrayBuffer().then(done, fail) : fail(new Error("the picture could not be encoded"))), "image/jpeg", quality));
}

// 256 colours as bytes of an ImageData: the cooler, the more of the picture they let through. The darkest and the palest of
// the palette are left out, which would be seen neither on dark nor on bright things.
function heatTable(bytes) {
  const table = new Uint8ClampedArray(1024);
  for (let k = 0; k < 256; k++) {
    const from = 3 * Math.round(COOLEST + (HOTTEST - COOLEST) * k / 255);
    table.set(bytes.subarray(from, from + 3), 4 * k);
    table[4 * k + 3] = 255 * STRENGTH * (k / 255) ** 0.75;
  }
  return table;
}
function paint(canvas, table, codes, rows, columns) {
  if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
  const pixels = new ImageData(columns, rows);
  codes.forEach((code, k) => pixels.data.set(table.subarray(4 * code, 4 * code + 4), 4 * k));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function parts(el) {
  const root = make("div", "vx-camera", el);
  root.dataset.lmSuppressShortcuts = "true";            // or a key pressed here runs a notebook command
  const place = make("div", "vx-camera-place", root), view = make("div", "vx-camera-view", place);
  const video = make("video", "", view), still = make("canvas", "", view), heat = make("canvas", "vx-camera-heat", view);
  const read = make("div", "vx-camera-read", view);
  Object.assign(video, { muted: true, playsInline: true });
  video.setAttribute("aria-label", "What the camera sees");
  for (const [canvas, name] of [[still, "The frozen picture"], [heat, "Heat map over the picture"]]) {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", name);
  }
  read.title = "The network reads what is inside the frame";
  const begin = make("div", "vx-camera-begin", place), hint = make("p", "", begin);
  const bar = make("div", "vx-camera-bar", root);
  const key = make("div", "vx-camera-key", root), title = make("b", "", key), scale = make("span", "vx-camera-scale", key);
  make("span", "", scale, "0");
  const colours = make("canvas", "", scale);
  colours.setAttribute("aria-hidden", "true");
  make("span", "", scale, "the most in this frame");
  const facts = make("div", "vx-camera-facts", root), note = make("div", "vx-camera-note", root);
  note.setAttribute("role", "status");
  return { root, view, video, still, heat, read, begin, hint, bar, key, title, colours, facts, note };
}
function ticked(parent, text, checked, act) {
  const label = make("label", "", parent), box = make("input", "", label);
  Object.assign(box, { type: "checkbox", checked });
  box.onchange = () => act(box.checked);
  make("span", "", label, text);
  return box;
}

function render({ model, el }) {
  const dom = parts(el), { root, video, still, heat, note } = dom;
  let stream = null, gone = false, turn = 0, state = "off", inSight = true, away = null;
  // the frames of each view have numbers of their own: Python's answers go to all views, and may be of a page before
  let number = Math.floor(Math.random() * 2 ** 40), floor = number, awaiting = 0, shown = 0, timer = null, sentAt = 0, lost = 0, failed = 0, coding = false;
  let painted = [], bytes = 0, told = 0, towards = "", said = "", drawnAs = "";
  const scratch = window.OffscreenCanvas ? new OffscreenCanvas(1, 1) : make("canvas");   // coded beside the page's own work
  const table = heatTable(bytesOf(model.get("_colours")));

  const start = button(dom.begin, "Start the camera", () => state !== "asking" && begin(), { className: "vx-camera-main" });
  dom.begin.append(dom.hint);
  const freezing = button(dom.bar, "Freeze", () => freeze(), { className: "vx-camera-main", label: "Freeze this picture and make it the photo" });
  const again = button(dom.bar, "Start again", () => begin(), { className: "vx-camera-main" });
  const stop = button(dom.bar, "Stop", () => off(), { label: "Switch the camera off" });
  const which = make("select", "", dom.bar);
  which.setAttribute("aria-label", "Which camera");
  which.onchange = () => begin(which.value);
  const mirror = ticked(dom.bar, "mirror", model.get("mirrored"), (value) => { choose(model, "mirrored", value); fit(); });
  const heated = ticked(dom.bar, "heat map", true, () => fit());
  paint(dom.colours, table, Uint8Array.from({ length: 256 }, (_, k) => k), 1, 256);

  const say = (text, wrong = false) => { note.textContent = text; note.dataset.wrong = String(wrong); };
  function fit() {                                      // what is shown, by the state
    root.dataset.state = state;
    const on = state === "live" || state === "paused", pictured = on || state === "frozen";
    dom.begin.hidden = pictured;
    start.disabled = !hasCameras();
    start.setAttribute("aria-disabled", String(state === "asking"));   // and keeps the focus meanwhile
    reword(dom.hint, hasCameras() ? model.get("hint") || privacy() : NO_SECURE);
    stop.hidden = !on;
    freezing.hidden = !on || !model.get("freezes");
    again.hidden = state !== "frozen";
    which.hidden = !on || which.options.length < 2;
    dom.bar.hidden = dom.view.hidden = !pictured;
    video.hidden = !on;
    still.hidden = state !== "frozen";
    const hot = pictured && shown > 0 && heat.width > 1;
    heated.parentNode.hidden = !hot;
    heat.hidden = dom.key.hidden = !hot || !heated.checked;
    dom.read.hidden = !pictured || !dom.read.dataset.crops;
    dom.facts.hidden = !pictured || !dom.facts.textContent;
    const facing = stream?.getVideoTracks()[0]?.getSettings().facingMode ?? "";
    if (on) towards = facing;                           // a frozen picture is shown as it was before
    const mirrored = model.get("mirrored") && towards !== "environment";
    dom.view.dataset.mirrored = String(mirrored);
    mirror.checked = model.get("mirrored");
    if (said === `${state} ${mirrored}`) return;
    said = `${state} ${mirrored}`;
    tell(model, { kind: "state", state, mirrored });
  }
  function set(now) {
    const at = document.activeElement, held = root.contains(at);
    state = now;
    fit();
    if (held && !at.getClientRects().length) (state === "live" ? (freezing.hidden ? stop : freezing) : state === "frozen" ? again : start).focus({ preventScroll: true });
  }
  function unheat() {
    [shown, awaiting, painted, floor] = [0, 0, [], number];
    drawnAs = "";
    heat.width = heat.height = 1;
    delete dom.read.dataset.crops;
    dom.title.textContent = dom.facts.textContent = "";
  }

  // --- the camera -------------------------------------------------------------------------------------------
  function dark() {                                     // its light goes off
    turn++;
    clearTimeout(timer);
    clearTimeout(away);
    stream?.getTracks().forEach((track) => { track.onended = null; track.stop(); });
    stream = video.srcObject = null;
  }
  function off(text = "", wrong = false) {
    dark();
    unheat();
    say(text, wrong);
    if (!gone) set("off");
  }
  async function begin(device) {
    dark();
    unheat();
    say("");
    set("asking");
    const mine = ++turn;
    try {
      const wanted = device ? { deviceId: { exact: device } } : { facingMode: { ideal: model.get("facing") } };
      const opened = await navigator.mediaDevices.getUserMedia({ audio: false, video: { ...wanted, width: { ideal: 1024 }, frameRate: { ideal: 15, max: 30 } } });
      if (gone || mine !== turn) return opened.getTracks().forEach((track) => track.stop());  // the reader has moved on meanwhile
      stream = opened;
      for (const track of stream.getTracks()) track.onended = () => off("The camera has gone: it was unplugged, or another program took it.", true);
      video.srcObject = stream;
      await video.play();
      if (mine !== turn) return undefined;
      await listCameras(which, stream);
      if (mine !== turn) return undefined;              // closed, or switched off by Python, meanwhile
      [lost, failed] = [0, 0];
      set("live");
      root.scrollIntoView({ block: "nearest" });
      look();
    } catch (error) {
      if (mine === turn) off(whyNoCamera(error), true);
    }
    return undefined;
  }
  function look() {                                     // whether anybody does
    clearTimeout(away);
    const seen = inSight && !document.hidden;
    if (state === "live" && !seen) {
      set("paused");
      clearTimeout(timer);
      away = setTimeout(() => off("The camera was switched off: nobody was looking."), REST);
    } else if (state === "paused" && !seen) {
      away = setTimeout(() => off("The camera was switched off: nobody was looking."), REST);
    } else if (state === "paused") {
      [awaiting, painted] = [0, []];
      set("live");
    }
    if (state === "live" && !awaiting) next();
  }

  // --- frames -----------------------------------------------------------------------------------------------
  function next() {
    clearTimeout(timer);
    if (state !== "live" || !model.get("live") || coding) return;
    const rest = sentAt + 1000 / model.get("pace") - performance.now();
    if (rest > 1 || !video.videoWidth) timer = setTimeout(next, Math.max(rest, 20));
    else send(video, video.videoWidth, video.videoHeight);
  }
  async function send(source, width, height) {
    const mine = awaiting = ++number, during = turn;
    coding = true;
    sentAt = performance.now();
    try {
      const size = scaledTo(model.get("side") / Math.min(width, height), width, height);
      const data = await jpegOf(drawn(source, ...size, scratch, "medium"), QUALITY);
      if (gone || mine !== awaiting || during !== turn) return;
      bytes = data.byteLength;
      timer = setTimeout(missed, WAIT);
      tell(model, { kind: "frame", number: mine }, (text) => off(text, true), [data]);
    } catch (error) {
      if (!gone && during === turn) failing(error);
    } finally {
      coding = false;
      if (state === "live" && !awaiting) next();        // the answer is no longer waited for
    }
  }
  function failing(error) {
    console.error("explorer: a picture of the camera could not be encoded", error);
    off(`This browser could not encode the picture (${error.message}).`, true);
  }
  function missed() {
    if (state === "frozen") return say("Waiting for Python …");   // the camera is off already, and its picture stays
    if (++lost >= LOST) return off("Python gives no answer, so the camera was switched off. Is the kernel running, and is no cell busy?", true);
    say("Waiting for Python …");
    if (state === "live") next();
    else timer = setTimeout(missed, WAIT);
    return undefined;
  }
  function heard(content, buffers) {
    if (content.number <= floor || content.number > number) return;  // of another view, or of a time before
    if (content.number < shown) return;                 // the same one again: of another class
    lost = 0;
    failed = content.problem ? failed + 1 : 0;
    if (content.problem && failed >= LOST && state === "live") return void off(content.problem, true);
    if (content.problem) say(content.problem, true);
    else if (note.textContent === "Waiting for Python …" || note.dataset.wrong === "true") say("");
    shown = content.number;
    if (content.shape) paint(heat, table, bytesOf(buffers[0]), ...content.shape);
    else heat.width = heat.height = 1;
    reword(dom.title, content.title);
    const laid = content.box.map((share) => `${(100 * share).toFixed(2)}%`), [left, top, right, bottom] = content.box;
    if (drawnAs !== `${laid} ${content.shape}`) {       // as good as never: not for each frame
      drawnAs = `${laid} ${content.shape}`;
      Object.assign(dom.read.style, { left: laid[0], top: laid[1], width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%` });
      if ((right - left) * (bottom - top) < 0.999) dom.read.dataset.crops = "true";
      else delete dom.read.dataset.crops;
      fit();
    }
    if (content.number !== awaiting) return;
    clearTimeout(timer);
    const during = turn;
    requestAnimationFrame(() => {                       // its callbacks run before the frame is drawn ...
      setTimeout(() => {                                // ... and this after
        if (gone || during !== turn || content.number !== awaiting) return;
        awaiting = 0;
        count(content.facts, content.shape ? buffers[0].byteLength : 0);
        next();
      });
    });
  }
  function count(text, back) {
    const now = performance.now();
    painted = [...painted, now].filter((one) => one > now - 2000);
    root.dataset.answers = String(Number(root.dataset.answers || 0) + 1);
    if (now - told < 500 && state === "live") return;
    told = now;
    const rate = painted.length > 1 ? 1000 * (painted.length - 1) / (now - painted[0]) : 0;
    root.dataset.rate = rate.toFixed(2);
    root.dataset.bytes = String(bytes + back);
    const took = `${Math.round(now - sentAt)} ms a frame${text ? `, ${text}` : ""}`, speed = rate && state === "live" ? `${rate.toFixed(1)} frames a second` : "";
    reword(dom.facts, [speed, took].filter(Boolean).join(" · "));
    dom.facts.title = `${Math.round(bytes / 1000)} kB a frame go to Python`;
    fit();
  }

  // --- the photo --------------------------------------------------------------------------------------------
  async function freeze() {
    if (!["live", "paused"].includes(state)) return;
    const [width, height] = [video.videoWidth, video.videoHeight];
    if (!width) return say("The camera has not sent a picture yet; wait a moment and try again.", true);
    const size = scaledTo(model.get("largest") / Math.max(width, height), width, height);
    drawn(video, ...size, still, "high");
    dark();
    [awaiting, floor] = [0, number];                    // what is under way is of another moment
    say("");
    set("frozen");
    const during = turn;
    try {
      const data = await jpegOf(still, FROZEN_QUALITY);
      if (gone || during !== turn) return;
      tell(model, { kind: "picture" }, (text) => say(text, true), [data]);
      if (model.get("live")) send(still, ...size);
    } catch (error) {
      failing(error);
    }
  }

  const hear = (content, buffers) => {
    if (content?.kind === "answer") heard(content, buffers);
    else if (content?.kind === "clear") { drawnAs = ""; heat.width = heat.height = 1; fit(); }
    else if (content?.kind === "say") say(content.text, content.error);
    else if (content?.kind === "freeze") freeze();
    else if (content?.kind === "off" && state !== "off") off();
  };
  model.on("msg:custom", hear);
  const observer = new IntersectionObserver((seen) => { inSight = seen.at(-1).isIntersecting; look(); });
  observer.observe(root);
  document.addEventListener("visibilitychange", look);
  const asks = () => {
    if (!model.get("live")) unheat();
    fit();
    if (state === "live") next();
  };
  const unwatch = watch(model, { live: asks, mirrored: fit, hint: fit });
  fit();
  return () => {
    gone = true;
    dark();
    observer.disconnect();
    document.removeEventListener("visibilitychange", look);
    model.off("msg:custom", hear);
    unwatch();
    root.remove();
  };
}

export default part(render);
