// The reader's camera: each frame is one pass, and the next frame is taken when that one is answered, so what is shown is
// always of the newest. The camera is off as soon as nobody looks at the page. No picture leaves the page.
const FREEZE_SIDE = 1280;      // of a frozen frame's longer side, at most
const COMING = "coming";        // in the place of a photo that the page has still to show
const FACTS_EVERY = 500;       // ms between two counts of frames a second
const NO_CAMERA_HERE = "This browser gives this page no camera. Chrome and Edge give one to a page that was opened from a file; or choose photos instead.";
const CAMERA_PRIVACY = "The camera is off. Its pictures stay in this page: they are sent nowhere.";

// A picture of the video, `side` pixels on its shorter side at most: { width, height, pixels }
function pictureOf(video, canvas, { shorter = Infinity, longer = Infinity }) {
  const { videoWidth: wide, videoHeight: high } = video;
  const share = Math.min(1, shorter / Math.min(wide, high), longer / Math.max(wide, high));
  const [width, height] = [wide, high].map((side) => Math.max(1, Math.round(side * share)));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(video, 0, 0, width, height);
  return { width, height, pixels: pen.getImageData(0, 0, width, height).data };
}
// The shorter side that a network's preprocessing makes of a photo.
const sideFor = ({ input_size: size, crop_pct: share }) => Math.round(Math.min(...size.slice(-2)) / (share || 1));

function cameraParts(app) {
  const root = make("div", "vx-cam", app.area("learn"));
  make("h2", "", root, "Camera");
  const view = make("div", "vx-cam-view", root), video = make("video", "", view), read = make("div", "vx-cam-read", view);
  Object.assign(video, { muted: true, playsInline: true });
  video.setAttribute("aria-label", "What the camera sees");
  read.title = "The network reads what is inside the frame";
  const bar = make("div", "vx-cam-bar", root), facts = make("p", "vx-cam-facts", root), note = make("p", "vx-cam-note", root);
  note.setAttribute("role", "status");
  return { root, view, video, read, bar, facts, note };
}

function setUpCamera(app) {
  const { root, view, video, read, bar, facts, note } = cameraParts(app), canvas = make("canvas");
  let stream = null, turn = 0, state = "off", last = null, answered = null, painted = [], told = 0, framed = "";

  const start = button(bar, "Start the camera", () => begin(), { className: "vx-main" });
  const freezing = button(bar, "Freeze", () => freeze(), { className: "vx-main", label: "Freeze this picture: it becomes the photo" });
  const stop = button(bar, "Stop", () => off(), { label: "Stop the camera" });
  const which = make("select", "", bar), mirroring = make("label", "", bar), mirror = make("input", "", mirroring);
  which.setAttribute("aria-label", "Which camera");
  which.onchange = () => begin(which.value);
  Object.assign(mirror, { type: "checkbox", checked: true });
  mirror.onchange = () => fit();
  make("span", "", mirroring, "mirror");

  function fit() {
    const on = state === "live";
    root.dataset.state = state;
    start.hidden = on;
    start.disabled = !hasCameras();
    start.setAttribute("aria-disabled", String(state === "asking"));
    view.hidden = freezing.hidden = stop.hidden = mirroring.hidden = facts.hidden = !on;
    which.hidden = !on || which.options.length < 2;
    const facing = stream?.getVideoTracks()[0]?.getSettings().facingMode;
    view.dataset.mirrored = String(mirror.checked && facing !== "environment");
  }
  function set(now) {
    const at = document.activeElement, held = bar.contains(at);
    state = now;
    fit();
    if (held && at.hidden) (state === "live" ? freezing : start).focus({ preventScroll: true });
    app.emit("camera", state);
  }
  function say(text, wrong = false) {
    reword(note, text);
    note.dataset.wrong = String(wrong);
  }
  function dark() {                                      // its light goes off
    turn++;
    stream?.getTracks().forEach((track) => { track.onended = null; track.stop(); });
    stream = video.srcObject = last = null;
  }
  function off(text = CAMERA_PRIVACY, wrong = false) {
    dark();
    say(text, wrong);
    set("off");
  }
  async function begin(device) {
    if (state === "asking") return;
    dark();
    say("");
    const mine = turn;
    answered = app.source ?? COMING;
    set("asking");
    try {
      const wanted = device ? { deviceId: { exact: device } } : { facingMode: { ideal: "user" } };
      const opened = await navigator.mediaDevices.getUserMedia({ audio: false, video: { ...wanted, width: { ideal: 640 }, frameRate: { ideal: 30 } } });
      if (mine !== turn) { opened.getTracks().forEach((track) => track.stop()); return; }  // the reader has moved on meanwhile
      stream = opened;
      for (const track of stream.getTracks()) track.onended = () => off("The camera has gone: it was unplugged, or another program took it.", true);
      video.srcObject = stream;
      await video.play();
      await listCameras(which, stream);
      if (mine !== turn) return;
      set("live");
      follow(mine);
    } catch (error) {
      if (mine === turn) off(whyNoCamera(error), true);
    }
  }

  // --- frames ---------------------------------------------------------------------------------------------------
  async function follow(mine) {
    while (mine === turn) {
      await new Promise(requestAnimationFrame);          // and what the last frame has changed is drawn
      if (mine !== turn || !video.videoWidth) continue;
      last = pictureOf(video, canvas, { shorter: sideFor(app.facing.preprocessing) });
      try {
        const result = await app.frame(last, "the camera");
        if (result && mine === turn) count(result);
      } catch (error) {
        if (mine === turn) off(error.message, true);
      }
    }
  }
  function count(result) {
    const now = performance.now(), { width, height } = app.source, { left, top, width: wide, height: high } = result.crop;
    painted = [...painted, now].filter((one) => one > now - 2000);
    root.dataset.frames = String(Number(root.dataset.frames || 0) + 1);
    const laid = [left / width, top / height, wide / width, high / height].map((share) => `${(100 * share).toFixed(2)}%`);
    if (framed !== laid.join()) Object.assign(read.style, { left: laid[0], top: laid[1], width: laid[2], height: laid[3] });
    framed = laid.join();
    read.hidden = (wide * high) / (width * height) > 0.999;
    if (now - told < FACTS_EVERY) return;
    told = now;
    const rate = painted.length > 1 ? (1000 * (painted.length - 1)) / (now - painted[0]) : 0;
    root.dataset.rate = rate.toFixed(2);
    reword(facts, `${rate ? `${rate.toFixed(1)} frames a second · ` : ""}${Math.round(result.ms)} ms a pass`);
  }
  function freeze() {
    if (state !== "live" || !video.videoWidth) return;
    const picture = pictureOf(video, canvas, { longer: FREEZE_SIDE });
    off("This frame is the photo now. The camera is off.");
    app.show(picture, "a frame of the camera");
  }

  // Another photo in front: the camera would take its place with the next frame. A frame that is asked about again is none.
  // Nor is the photo that lay in front when the camera was asked for, or is still on its way there.
  app.on("source", (source) => {
    if (answered === COMING) answered = source;
    if (state !== "off" && source !== last && source !== answered) off();
  });
  app.on("frame", () => { answered = app.source; });
  document.addEventListener("visibilitychange", () => { if (document.hidden && state !== "off") off("The camera was switched off: the page was out of sight."); });
  addEventListener("pagehide", () => off());
  app.camera = { get live() { return state === "live"; }, start: () => { if (state === "off" && hasCameras()) begin(); }, off };
  off(hasCameras() ? CAMERA_PRIVACY : NO_CAMERA_HERE);
}
