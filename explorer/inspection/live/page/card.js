function setUpCard(app) {}
