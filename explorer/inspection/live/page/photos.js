// The photos: the page's own in a strip, and the reader's, dropped, pasted or chosen.

const MOST_PIXELS = 2048;                                // a side; a larger photo is scaled down first
const MOST_OWN = 12;                                     // of the reader's photos that stay in the strip
const THUMB = 96;

// A file that somebody has given, as { width, height, pixels }, upright, `was`: [width, height] where it was larger; throws an
// Error with a sentence.
async function sourceOfFile(file) {
  const name = file.name ? `“${file.name}”` : "What was pasted";
  try {
    const picture = await createImageBitmap(file), { width, height } = picture, most = Math.max(width, height);
    if (most <= MOST_PIXELS) {
      picture.close();
      return await pixelsOf(file);
    }
    const canvas = document.createElement("canvas"), scale = MOST_PIXELS / most;
    Object.assign(canvas, { width: Math.max(1, Math.round(scale * width)), height: Math.max(1, Math.round(scale * height)) });
    const pen = canvas.getContext("2d");
    Object.assign(pen, { fillStyle: "white", imageSmoothingQuality: "high" });
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    picture.close();
    return { width: canvas.width, height: canvas.height, pixels: pen.getImageData(0, 0, canvas.width, canvas.height).data, was: [width, height] };
  } catch {                                              // Safari opens HEIC
    if (/\.hei[cf]$/i.test(file.name ?? "") || /hei[cf]$/.test(file.type))
      throw new Error(`${name} is a HEIC photo, which most browsers can't open: save it as JPEG first.`);
    throw new Error(file.size ? `${name} is no picture that this browser can open: give a JPEG, PNG or WebP.`
      : `${name} is empty: give a JPEG, PNG or WebP.`);
  }
}

function setUpPhotos(app) {
  const root = app.area("photos"), row = make("div", "vx-live-photos", root), strip = make("div", "vx-live-strip", row);
  const own = make("div", "vx-live-own", row), field = make("input", "", own);
  const choose = button(own, "+ choose, drop or paste", () => field.click(),
    { label: "Choose photos of your own; you can also drop them on this page, or paste one" });
  const credit = make("p", "vx-live-credit vx-soft", root);
  Object.assign(field, { type: "file", accept: "image/*", multiple: true, hidden: true });
  strip.setAttribute("role", "group");
  strip.setAttribute("aria-label", "Photos");
  let chosen = null;

  function add({ title, said, open, url }, first = false) {
    const one = button(undefined, "", () => pick(one), { className: "vx-live-photo", label: title });
    const image = make("img", "", one);
    image.alt = "";                                      // the button has the words
    Object.assign(image, { draggable: false, src: url });
    one.photo = { title, said, open, url };
    one.setAttribute("aria-pressed", "false");
    first ? strip.prepend(one) : strip.append(one);
    return one;
  }
  function mark(one) {
    chosen?.setAttribute("aria-pressed", "false");
    one?.setAttribute("aria-pressed", "true");
    chosen = one;
  }
  async function pick(one) {
    mark(one);
    one.scrollIntoView({ block: "nearest", inline: "nearest" });
    const { title, said, open } = one.photo;
    reword(credit, said);
    try {
      const source = await open();
      if (chosen !== one) return;
      app.wanted = null;                                 // another photo: its own likeliest answer
      await app.show(source, title);
    } catch (error) {
      app.say(error.message);
    }
  }
  async function take(files) {
    let first = null;
    const all = [...files], sorry = [];
    if (all.length > MOST_OWN) sorry.push(`Of ${all.length} files the first ${MOST_OWN} were taken: more do not fit here.`);
    for (const file of all.slice(0, MOST_OWN)) {
      try {
        const source = await sourceOfFile(file), title = file.name || "pasted picture";
        const less = source.was ? ` It was made smaller first: ${source.width} × ${source.height} pixels of ${source.was.join(" × ")}.` : "";
        const one = add({ title, said: `${title}, your own photo: it stays on this computer.${less}`, open: async () => source,
          url: urlOf(thumbnail(source), "image/bmp") }, true);
        one.dataset.own = "true";
        first ??= one;
      } catch (error) {
        sorry.push(error.message);
      }
    }
    const mine = [...strip.querySelectorAll("[data-own]")];
    for (const old of mine.slice(MOST_OWN)) {
      URL.revokeObjectURL(old.photo.url);
      old.remove();
    }
    app.say(sorry.join(" "));
    if (first) await pick(first);
  }
  function thumbnail(source) {                           // the middle of it, as the strip shows it
    const side = Math.min(source.width, source.height), canvas = document.createElement("canvas");
    Object.assign(canvas, { width: THUMB, height: THUMB });
    const pen = canvas.getContext("2d");
    pen.drawImage(canvasOfSource(source), (source.width - side) / 2, (source.height - side) / 2, side, side, 0, 0, THUMB, THUMB);
    return pictureOfPixels(pen.getImageData(0, 0, THUMB, THUMB));
  }

  field.onchange = () => { take(field.files); field.value = ""; };
  const carries = (event) => [...event.dataTransfer?.types ?? []].includes("Files");
  addEventListener("dragover", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    root.dataset.over = "true";
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) delete root.dataset.over; });
  addEventListener("drop", (event) => {                  // a part of the page may have taken it already
    delete root.dataset.over;
    if (event.defaultPrevented || !carries(event)) return;
    event.preventDefault();
    take(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => {
    const files = [...event.clipboardData?.files ?? []];
    if (files.length) take(files);
  });
  strip.onkeydown = (event) => {
    const all = [...strip.children], index = all.indexOf(event.target.closest("button"));
    const to = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: all.length - 1 }[event.key];
    if (index < 0 || to === undefined) return;
    event.preventDefault();
    all[clamp(to, 0, all.length - 1)].focus();
  };
  app.on("frame", () => { mark(null); reword(credit, ""); });

  const begun = app.facts.photos.map((photo, index) => photoFile(index).then((file) => add({
    title: photo.title || photo.name, said: creditOf(photo), open: () => photoSource(index), url: URL.createObjectURL(file) })));
  Promise.all(begun).then((all) => {
    all.forEach((one) => strip.append(one));             // in their order, whichever was unpacked first
    root.dataset.photos = String(all.length);
    if (all.length && !app.source) pick(all[0]);
  }).catch((error) => app.say(error.message));
}

const creditOf = ({ title, name, credit, licence }) =>
  [title || name, credit && `photo: ${credit}`, licence].filter(Boolean).join(" · ");
