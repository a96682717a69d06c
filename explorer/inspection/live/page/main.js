// The page: what is shown, who hears of it, and in which order its parts are set up.
//
//   app.show(source, title)    a photo in front: one pass, then the event "result"
//   app.frame(source, title)   a camera frame: the newest wins; "frame", or null where another one overtook it
//   app.ask(index)             the class that the heat map is about; null: the likeliest
//   app.useModel(index)        the model in front;  app.useHead(head) what was learnt in the page, null: the model's own
//   app.area(name)             the empty <section> of a part;  app.say(sentence) a line that is read out
//   app.answers(result)        [{ index, label, share, value }] the likeliest first; numbers as they come
//
// Events: "source", "result", "frame", "class", "stage", "head", "model". At "result" and "frame" app.source, app.title
// and app.result belong together.

function makeApp(facts) {
  const heard = {}, live = document.getElementById("vx-live-say");
  let turn = 0, top = null, sorry = "";                  // top: the likeliest class of a learnt head, as last seen

  const app = {
    facts, engine: null, model: 0, source: null, title: "", result: null, wanted: null, head: null, stage: "",
    area: (name) => document.getElementById(`vx-area-${name}`),
    on(event, act) { (heard[event] ??= []).push(act); },
    emit(event, data) { for (const act of heard[event] ?? []) act(data); },
    say(sentence) { reword(live, sentence); },
    get facing() { return facts.models[app.model]; },

    // What a pass is asked for: the class of the heat map.
    wish() {
      const { facing, head, wanted } = app;
      if (head) {
        const index = wanted ?? top;
        return { maps: true, direction: index === null ? null : head.weights?.[index] ?? null };
      }
      return { maps: true, classWeights: wanted === null ? null : weightsFor(facing, wanted) };
    },
    async look(run, source, title, event) {
      const result = await run(source, app.wish());
      if (!result) return null;
      if (app.head) {                                    // whose heat map it is shows only after a pass
        const best = app.answers(result)[0]?.index ?? null, other = best !== top;
        top = best;
        if (other && app.wanted === null && app.head.weights) return app.look(run, source, title, event);
      }
      Object.assign(app, { source, title, result });
      app.emit(event, result);
      return result;
    },
    async show(source, title) {
      const mine = ++turn, run = async (what, wish) => {
        const result = await app.engine.run(app.model, what, wish);
        return mine === turn ? result : null;
      };
      Object.assign(app, { source, title });
      app.emit("source", source);
      try {
        const result = await app.look(run, source, title, "result");
        if (result && sorry && live.textContent === sorry) app.say("");  // it was about another photo
        return result;
      } catch (error) {
        if (mine === turn) app.say(sorry = error.message);
        return null;
      }
    },
    async frame(source, title = "the camera") {
      turn++;
      return app.look((what, wish) => app.engine.latest(app.model, what, wish), source, title, "frame");
    },
    again: () => (app.source ? app.show(app.source, app.title) : null),
    ask(index) {
      app.wanted = index;
      app.emit("class", index);
      return app.again();
    },
    open(name) {
      app.stage = name;
      app.emit("stage", name);
    },
    useModel(index) {
      Object.assign(app, { model: index, wanted: null, head: null, result: null });  // it is the other model's
      app.emit("model", index);
      return app.again();
    },
    useHead(head) {
      Object.assign(app, { head, wanted: null });
      top = null;
      app.emit("head", head);
      return app.again();
    },
    answers: (result) => answersOf(app.facing, app.head, result),
  };
  return app;
}

async function startPage() {
  const app = makeApp(factsIn("vx-facts"));
  for (const setUp of [setUpHead, setUpCard]) setUp(app);          // these need no engine
  try {
    app.engine = await openEngine(app.facts, { onProgress: setUpOpening() });
  } catch (error) {
    return sayThatItFailed(error);
  }
  for (const setUp of [setUpGraphics, setUpPhotos, setUpAnswers, setUpWay, setUpHeat, setUpStage, setUpPlaces, setUpMembers, setUpBeside, setUpCamera,
    setUpCollect, setUpTeaching, setUpSaving]) setUp(app);
  document.body.dataset.ready = "true";
  return app.emit("ready");
}

startPage();
