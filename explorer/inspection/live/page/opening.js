// While the page unpacks itself: a bar; where it can't, a sentence.

// The bar; returns what moves it, onProgress(share, words).
function setUpOpening() {
  const place = document.getElementById("vx-live-opening");
  Object.assign(place, { hidden: false }).replaceChildren();
  const words = make("p", "vx-live-opening-words", place, "Opening"), bar = make("progress", "", place);
  Object.assign(bar, { max: 1, value: 0 });
  bar.setAttribute("aria-label", "How much of the model is unpacked");
  return (share, text) => {
    bar.value = share;
    reword(words, text);
    if (share >= 1) Object.assign(place, { hidden: true }).replaceChildren();
  };
}
function sayThatItFailed(error) {
  Object.assign(document.getElementById("vx-live-opening"), { hidden: true }).replaceChildren();
  const sorry = make("p", "vx-live-sorry", undefined, error.message);
  sorry.setAttribute("role", "alert");
  document.getElementById("vx-live-head").after(sorry);
}
