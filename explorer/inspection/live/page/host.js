// A view of the notebook without a notebook: what it asks of its widget's model (get, set, on, off, send), kept in
// this page. `said(message)` hears what the view would have told Python.

function hostModel(values, said = () => {}) {
  const kept = { ...values }, heard = {};
  return {
    get: (key) => kept[key],
    set(key, value) {
      if (kept[key] === value) return;
      kept[key] = value;
      for (const act of heard[`change:${key}`] ?? []) act();
    },
    on(name, act) { (heard[name] ??= []).push(act); },
    off(name, act) { heard[name] = (heard[name] ?? []).filter((one) => one !== act); },
    send: said,
    save_changes() {},
  };
}

// Draws a view into `el`: { set(key, value), close() }.
function hostView(view, el, values, said) {
  const model = hostModel(values, said), close = view.render({ model, el });
  return { set: model.set, get: model.get, close };
}

// What the reader has asked for, where it would appear below the window's edge, as it does on a phone.
function bringInView(node) {
  if (!node.hidden && node.getBoundingClientRect().top > innerHeight - 160) node.scrollIntoView({ block: "start" });
}
