// One picture from the reader: file dialog, drop, paste or camera. Large ones are scaled down here; small files
// in a format that Python reads go untouched. The bytes travel as a binary buffer.
const UNTOUCHED = 4e6;         // bytes: a file up to this size need not be encoded again
const LARGEST = 8e6;           // bytes: a message of 10 MB would end the kernel's connection
const QUALITY = 0.92;

// a sentence for the reader, as opposed to a mistake in this file
class Told extends Error {}

const shorten = (name) => (name.length > 60 ? `${name.slice(0, 36)}…${name.slice(-20)}` : name);

async function formatOf(file) {                         // by content: the ending of a name proves nothing
  const bytes = new Uint8Array(await file.slice(0, 12).arrayBuffer());
  const text = String.fromCharCode(...bytes);
  if (text.startsWith("\xff\xd8\xff")) return "jpeg";
  if (text.startsWith("\x89PNG")) return "png";
  if (text.startsWith("GIF8")) return "gif";
  if (text.startsWith("BM")) return "bmp";
  return text.startsWith("RIFF") && text.slice(8) === "WEBP" ? "webp" : "";
}

function encode(source, width, height, opaque) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(source, 0, 0, width, height);
  if (!opaque) {
    const { data } = pen.getImageData(0, 0, width, height);
    opaque = true;
    for (let k = 3; k < data.length && opaque; k += 4) opaque = data[k] === 255;
  }
  return new Promise((done, fail) => canvas.toBlob(
    (blob) => (blob ? done(blob) : fail(new Told("The picture is too large for this browser to scale down."))),
    opaque ? "image/jpeg" : "image/png", QUALITY));
}

async function scaled(source, width, height, longest, opaque) {
  for (let k = Math.min(1, longest / Math.max(width, height)); ; k *= 0.7) {
    const [w, h] = [width, height].map((side) => Math.max(1, Math.round(side * k)));
    const blob = await encode(source, w, h, opaque);
    if (blob.size <= LARGEST) return { blob, width: w, height: h };
  }
}

async function prepare(file, longest) {
  if (!file.size) throw new Told(`'${shorten(file.name)}' is empty; choose another picture.`);
  const format = await formatOf(file);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);             // upright, by the photo's EXIF data
  } catch {
    throw new Told(`'${shorten(file.name)}' is not a picture this browser can open; save it as JPEG or PNG.`);
  }
  try {
    const { width, height } = bitmap;
    if (format && file.size <= UNTOUCHED && Math.max(width, height) <= longest) return { blob: file, width, height };
    return { ...(await scaled(bitmap, width, height, longest, format === "jpeg")), from: [width, height] };
  } finally {
    bitmap.close();
  }
}

function render({ model, el }) {
  const undo = [];
  const on = (target, type, act) => {
    target.addEventListener(type, act);
    undo.push(() => target.removeEventListener(type, act));
  };
  const root = make("div", "vx-input", el);
  root.dataset.lmSuppressShortcuts = "true";            // or a key pressed here runs a notebook command
  const zone = make("div", "vx-input-zone", root);
  zone.tabIndex = 0;
  zone.setAttribute("role", "group");
  zone.setAttribute("aria-label", "Picture: choose, drop or paste one here");
  const choose = make("label", "vx-input-button vx-input-choose", zone, "Choose a picture");
  const file = make("input", "vx-input-file", choose);
  Object.assign(file, { type: "file", accept: "image/*" });
  const camera = button(zone, "Use camera", null, { className: "vx-input-button vx-input-camera" });
  make("span", "vx-input-hint", zone, "or drop one here, or click here and paste (Ctrl+V)");
  const live = make("div", "vx-input-live", zone);
  const video = make("video", "vx-input-video", live);
  const shoot = button(live, "Take the picture", null, { className: "vx-input-button vx-input-shoot" });
  const stop = button(live, "Stop the camera", null, { className: "vx-input-button vx-input-stop" });
  const note = make("div", "vx-input-note", root);
  Object.assign(video, { muted: true, playsInline: true });
  video.setAttribute("aria-label", "What the camera sees");
  note.setAttribute("role", "status");
  live.hidden = true;
  camera.hidden = !hasCameras();

  let stream = null, gone = false, turn = 0;
  const say = (state, text) => { root.dataset.state = state; note.textContent = text; };
  const complain = (error) => {
    if (!(error instanceof Told)) console.error("explorer: the picture could not be sent", error);
    say("error", error instanceof Told ? error.message : `The picture could not be sent (${error.message}). Try again, or save it as JPEG.`);
  };

  async function send(name, preparing) {
    const mine = ++turn;                                // the newest picture wins
    say("busy", `Reading ${shorten(name)} …`);
    try {
      const { blob, width, height, from } = await preparing();
      const data = await blob.arrayBuffer();
      if (mine !== turn || gone) return;
      // said first: Python's answer may arrive before `send` returns
      say("sent", `Sent ${shorten(name)}, ${width} × ${height} pixels${from && from[0] !== width ? ` (scaled down from ${from[0]} × ${from[1]})` : ""}.`);
      model.send({ kind: "image", name, width, height }, undefined, [data]);
    } catch (error) {
      if (mine === turn) complain(error);
    }
  }
  const take = (chosen) => send(chosen.name || "picture", () => prepare(chosen, model.get("max_side")));
  function takeFirst(files, otherwise) {
    if (!files?.length) return say("error", otherwise);
    return take([...files].find((one) => one.type.startsWith("image/")) || files[0]);
  }

  on(file, "change", () => {
    const [chosen] = file.files;
    if (chosen) take(chosen);
    file.value = "";                                    // so that the same file can be chosen again
  });
  const mark = (wanted) => zone.classList.toggle("vx-input-over", wanted);
  for (const type of ["dragenter", "dragover", "dragleave", "drop"])
    on(zone, type, (event) => {                         // or JupyterLab uploads the file to its own folder
      event.preventDefault();
      event.stopPropagation();
      mark(type === "dragenter" || type === "dragover");
      if (type === "drop") takeFirst(event.dataTransfer?.files, "That was not a file. Save the picture first, then drop the file here.");
    });
  on(root, "paste", (event) => {
    event.preventDefault();
    event.stopPropagation();
    takeFirst(event.clipboardData?.files, "There is no picture to paste. Copy a picture first, then paste it here.");
  });
  on(root, "keydown", (event) => event.stopPropagation());

  function off() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = video.srcObject = null;
    live.hidden = true;
    camera.disabled = false;
  }
  on(camera, "click", async () => {
    camera.disabled = true;
    try {
      const opened = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
      stream = opened;
      if (gone) return off();                           // the page has moved on while the reader was asked
      video.srcObject = stream;
      live.hidden = false;
      await video.play();
      say("idle", "The camera is on.");
      shoot.focus();
    } catch (error) {
      off();
      complain(new Told(whyNoCamera(error)));
    }
  });
  on(shoot, "click", async () => {
    const { videoWidth: w, videoHeight: h } = video;
    if (!w) return say("error", "The camera has not sent a picture yet; wait a moment and try again.");
    await send("camera.jpg", () => scaled(video, w, h, model.get("max_side"), true));
    off();
    camera.focus();
  });
  on(stop, "click", () => { off(); say("idle", "The camera is off."); camera.focus(); });

  const answered = () => {
    const { text, error } = model.get("_said") || {};
    if (text) say(error ? "error" : "sent", text);
  };
  undo.push(watch(model, { _said: answered }));
  say("idle", "");
  answered();
  return () => { gone = true; off(); undo.forEach((act) => act()); root.remove(); };
}

export default part(render);
