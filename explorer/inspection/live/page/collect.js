// Classes of the reader's own, and photos for them: from the camera while a class's button or digit is held, from files,
// or the photo in front. Each photo keeps the embedding that the network gave it; learning needs nothing else.

const MOST_PHOTOS = 500;       // of one class
const MOST_CLASSES = 20;
const BETWEEN_FRAMES = 120;    // ms between two collected frames: faster ones are the same picture
const THUMB_SIDE = 72, THUMB_QUALITY = 0.8, PHOTO_QUALITY = 0.9;

// --- pictures ---------------------------------------------------------------------------------------------------
// Coded beside the page's own work: a canvas of the page would wait until nothing else is to be drawn.
const jpegBytes = async (canvas, quality) => new Uint8Array(await (await canvas.convertToBlob({ type: "image/jpeg", quality })).arrayBuffer());
function redrawn(canvas, width, height, [left, top, wide, high]) {
  const small = new OffscreenCanvas(width, height), pen = small.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(canvas, left, top, wide, high, 0, 0, width, height);
  return small;
}
function scaled(canvas, shorter) {
  const { width, height } = canvas, share = Math.min(1, shorter / Math.min(width, height));
  return redrawn(canvas, Math.max(1, Math.round(width * share)), Math.max(1, Math.round(height * share)), [0, 0, width, height]);
}
function squared(canvas, side) {      // the middle of it
  const { width, height } = canvas, edge = Math.min(width, height);
  return redrawn(canvas, side, side, [(width - edge) / 2, (height - edge) / 2, edge, edge]);
}

// --- what was collected ----------------------------------------------------------------------------------------------
// app.lesson: { classes: [{ id, name, photos }], version, head }; "lesson" is emitted where it has changed.
function makeLesson(app) {
  const lesson = {
    classes: [], version: 0, bursts: 0, ids: 0, head: null,
    changed() { lesson.version += 1; app.emit("lesson", lesson); },
    add(name = "") {
      const one = { id: ++lesson.ids, name: name || lesson.freeName(), photos: [], held: false, due: 0, burst: 0, last: -Infinity };
      lesson.classes.push(one);
      return one;
    },
    freeName() {
      for (let number = lesson.classes.length + 1; ; number++)
        if (!lesson.classes.some((one) => one.name === `class ${number}`)) return `class ${number}`;
    },
    newBurst: () => ++lesson.bursts,
    embeddingOf: (photo) => photo.embeddings[app.model],
    // classes that have photos with an embedding of the model in front, as what is learnt from
    get ready() { return lesson.classes.map((one) => ({ ...one, photos: one.photos.filter(lesson.embeddingOf) })).filter((one) => one.photos.length); },
    async photo(source, { name, burst, embedding = null }) {
      const canvas = canvasOfSource(source), kept = scaled(canvas, sideFor(app.facing.preprocessing)), of = app.model;
      const [jpeg, thumb] = await Promise.all([jpegBytes(kept, PHOTO_QUALITY), jpegBytes(squared(kept, THUMB_SIDE), THUMB_QUALITY)]);
      const found = embedding ?? (await app.engine.run(of, source, { maps: false })).embedding;
      return { name, burst, greys: greysOf(source), jpeg, thumb, embeddings: { [of]: Float32Array.from(found) } };
    },
    coming: new Set(),                                   // photos that are being looked at and encoded
    settled: () => Promise.allSettled([...lesson.coming]),
    async addTo(one, source, facts) {
      if (one.photos.length >= MOST_PHOTOS) return lesson.say(`“${one.name}” has ${MOST_PHOTOS} photos: enough.`);
      const coming = lesson.photo(source, facts);
      lesson.coming.add(coming);
      try {
        one.photos.push(await coming);                   // also of a class that was deleted meanwhile: it may come back
      } finally {
        lesson.coming.delete(coming);
      }
      return lesson.changed();
    },
    say() {},
  };
  return lesson;
}
// Embeddings that the model in front has not given yet: photos of another model, or of a page that was saved before.
async function embedMissing(app) {
  const { lesson, model } = app, missing = lesson.classes.flatMap(({ photos }) => photos.filter((one) => !one.embeddings[model]));
  for (const [k, photo] of missing.entries()) {
    lesson.say(`${app.facing.title} looks at the photos: ${k + 1} of ${missing.length} …`);
    const source = await sourceOfFile(new Blob([photo.jpeg], { type: "image/jpeg" }));
    if (app.model !== model) return;
    photo.embeddings[model] = (await app.engine.run(model, source, { maps: false })).embedding;
  }
  if (!missing.length) return;
  lesson.say("");
  app.emit("lesson", lesson);                            // the photos are the same ones: nothing learnt is older now
}

// --- on the page ---------------------------------------------------------------------------------------------------
function setUpCollect(app) {
  const lesson = app.lesson = makeLesson(app), root = make("div", "vx-collect", app.area("learn")), cards = new Map();
  make("h2", "", root, "Classes of your own");
  const about = make("p", "vx-soft", root), body = make("div", "", root);
  const list = make("ol", "vx-class-list", body), row = make("div", "vx-class-row", body);
  const name = make("input", "", row), adding = button(row, "Add a class", () => addClass());
  Object.assign(name, { placeholder: "name of a class", maxLength: 80, autocomplete: "off", spellcheck: false });
  name.setAttribute("aria-label", "Name of a new class");
  name.onkeydown = (event) => { if (event.key === "Enter") addClass(); };
  const noteRow = make("div", "vx-class-row", body), note = make("p", "vx-collect-note", noteRow), undo = button(noteRow, "Undo", () => takeBack());
  note.setAttribute("role", "status");
  const warning = make("div", "", body), warnings = make("ul", "vx-collect-warnings", warning);
  warning.setAttribute("role", "status");
  let back = null, seen = {};                            // seen: the last picture that was answered

  const say = lesson.say = (text, undoing = null) => { reword(note, text); back = undoing; undo.hidden = !back; };
  const numberOf = (one) => lesson.classes.indexOf(one) + 1;
  function takeBack() {
    const act = back;
    say("");
    act?.();
    lesson.changed();
  }
  function addClass() {
    if (lesson.classes.length >= MOST_CLASSES) return say(`${MOST_CLASSES} classes are the most that this page takes.`);
    const wanted = name.value.trim();
    if (lesson.classes.some((one) => one.name === wanted)) return say(`There is a class “${wanted}” already.`);
    const one = lesson.add(wanted);
    name.value = "";
    say(`“${one.name}” was added: hold its button, or the key ${numberOf(one)}, to collect photos with the camera.`);
    return lesson.changed();
  }
  const acts = {
    rename(one, field) {
      const wanted = field.value.trim(), other = lesson.classes.find((each) => each !== one && each.name === wanted);
      if (other) say(`There is a class “${wanted}” already.`);
      if (wanted && !other) one.name = wanted;
      field.value = one.name;
      lesson.changed();
    },
    remove(one) {
      const at = lesson.classes.indexOf(one);
      lesson.classes.splice(at, 1);
      say(`“${one.name}” and its ${counted(one.photos.length, "photo")} were deleted.`, () => lesson.classes.splice(at, 0, one));
      lesson.changed();
      (cards.get(lesson.classes[Math.max(0, at - 1)])?.name ?? name).focus({ preventScroll: true });
    },
    removePhoto(one, index) {
      const held = cards.get(one).thumbs.contains(document.activeElement), [photo] = one.photos.splice(index, 1);
      say(`Photo ${index + 1} of “${one.name}” was removed.`, () => one.photos.splice(index, 0, photo));
      lesson.changed();
      if (held) cards.get(one).thumbs.children[Math.min(index, one.photos.length - 1)]?.focus({ preventScroll: true });
    },
    begin(one) {
      Object.assign(one, { held: true, due: 1, burst: lesson.newBurst(), had: one.photos.length });
      cards.get(one).item.dataset.collecting = "true";
      if (app.camera.live) return;
      say("The camera starts: keep holding.");
      app.camera.start();
    },
    end(one) {
      one.held = false;
      if (!cards.has(one)) return;                       // deleted meanwhile
      cards.get(one).item.dataset.collecting = "false";
      if (app.camera.live) say(`“${one.name}”: ${counted(one.photos.length, "photo")}.`);
      draw();
    },
    async addFront(one) {
      if (!app.source) return say("No photo is in front: choose one, or start the camera.");
      const embedding = seen.source === app.source && seen.model === app.model ? seen.embedding : null;
      await lesson.addTo(one, app.source, { name: app.title, burst: lesson.newBurst(), embedding });
      return say(`“${one.name}”: ${counted(one.photos.length, "photo")}.`);
    },
    async addFiles(one, files) {
      let added = 0, failed = [];
      for (const file of files) {
        say(`Photo ${added + failed.length + 1} of ${files.length} …`);
        try {
          await lesson.addTo(one, await sourceOfFile(file), { name: file.name, burst: file.burst ?? lesson.newBurst() });
          added += 1;
        } catch (error) {
          failed.push(error.message);
        }
      }
      const more = failed.length > 2 ? ` ${failed.length - 2} more could not be opened.` : "";
      say(`${counted(added, "photo")} came to “${one.name}”. ${failed.slice(0, 2).join(" ")}${more}`);
    },
  };
  lesson.acts = acts;

  // --- camera frames: a frame's own pass gives the embedding -------------------------------------------------------
  for (const event of ["result", "frame"]) app.on(event, ({ embedding }) => { seen = { source: app.source, model: app.model, embedding }; });
  app.on("frame", (result) => {
    const now = performance.now(), { source } = app;
    for (const one of lesson.classes) {
      if (!one.due && !(one.held && now - one.last >= BETWEEN_FRAMES)) continue;
      Object.assign(one, { due: 0, last: now });
      if (!result.embedding) continue;
      lesson.addTo(one, source, { name: "camera", burst: one.burst, embedding: result.embedding })
        .then(() => one.held || acts.end(one), (error) => say(error.message));  // the last one may come after the end
    }
  });
  app.on("camera", (state) => { if (state === "off") for (const one of lesson.classes) Object.assign(one, { held: false, due: 0 }); });
  const typing = (node) => node.closest?.("input:not([type=checkbox], [type=radio], [type=range]), select, textarea, [contenteditable]");
  const pressed = new Map();                             // key -> class, while it is down
  addEventListener("keydown", (event) => {
    if (!/^[1-9]$/.test(event.key) || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const one = lesson.classes[Number(event.key) - 1];
    if (!one || pressed.has(event.key)) return;
    pressed.set(event.key, one);
    acts.begin(one);
  });
  const release = (key) => { const one = pressed.get(key); pressed.delete(key); if (one) acts.end(one); };
  addEventListener("keyup", (event) => release(event.key));
  addEventListener("blur", () => [...pressed.keys()].forEach(release));

  function draw() {
    const able = app.facing.embedding > 0;
    reword(about, able ? "Give each class some photos: the network stays as it is, and only its embeddings (the numbers before its last layer) are compared. "
      + "The nearest photos answer as soon as two classes have one; Learn makes a linear layer of them. Hold each class’s button several times, with the thing moved or turned: "
      + "the frames of one hold (a burst) are nearly the same picture, so bursts are kept whole when it is judged."
      : `${app.facing.title} gives no embedding, so no classes can be learnt on it in this page.`);
    body.hidden = !able;
    for (const [one, card] of cards) if (!lesson.classes.includes(one)) { card.close(); cards.delete(one); }
    lesson.classes.forEach((one, k) => {
      if (!cards.has(one)) { cards.set(one, classCard(app, list, one, acts)); cards.get(one).meter(null); }
      const card = cards.get(one);
      if (list.children[k] !== card.item) list.insertBefore(card.item, list.children[k] ?? null);
      card.draw(k + 1);
    });
    adding.disabled = lesson.classes.length >= MOST_CLASSES;
    if (lesson.classes.some((one) => one.held)) return;  // warnings wait for the end of a hold
    const said = warningsOf(lesson.classes), now = [...warnings.children].map((item) => item.textContent);
    if (said.join("\n") !== now.join("\n")) { warnings.replaceChildren(); for (const text of said) make("li", "", warnings, text); }
    warning.hidden = !said.length;
  }
  app.on("lesson", draw);
  app.on("meter", (shares) => { for (const [one, card] of cards) card.meter(shares?.get(one.id) ?? (shares ? 0 : null)); });
  app.on("model", () => { draw(); embedMissing(app).catch((error) => say(error.message)); });
  say("");
  draw();
}
