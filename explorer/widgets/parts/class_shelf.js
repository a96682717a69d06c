function render({ model, el }) {
  const root = make("div", "vx-shelf", el);
  return () => root.remove();
}

export default part(render);
