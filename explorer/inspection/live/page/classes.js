function setUpAnswers(app) {}
