// ipywidgets' sliders have a handle without a name: a screen reader says a number, and nobody knows of what. The
// words beside a slider become its handle's name, for every slider of the dashboard this view stands in.

function render({ el }) {
  el.classList.add("vx-slider-names");
  let queued = 0, observer = null;
  const name = (root) => root.querySelectorAll(".widget-slider").forEach((slider) => {
    const words = slider.querySelector(".widget-label")?.textContent.trim() || slider.title || "Slider";
    slider.querySelectorAll(".noUi-handle").forEach((handle) => {
      if (handle.getAttribute("aria-label") !== words) handle.setAttribute("aria-label", words);
    });
  });
  const later = (act) => { queued ||= requestAnimationFrame(() => { queued = 0; act(); }); };
  function start() {                                     // a view is drawn before it stands in the page
    const root = el.closest(".vx-dashboard");
    if (!root) return el.isConnected || later(start);
    name(root);
    observer = new MutationObserver(() => later(() => name(root)));
    observer.observe(root, { childList: true, subtree: true });
  }
  start();
  return () => {
    cancelAnimationFrame(queued);
    observer?.disconnect();
  };
}

export default part(render);
