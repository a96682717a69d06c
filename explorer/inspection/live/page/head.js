function setUpHead(app) {}
