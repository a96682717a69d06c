// While the page unpacks itself: a bar; where it can't, a sentence.

function setUpOpening() {
  return () => {};
}
function sayThatItFailed(app, error) {
  app.say(error.message);
}
