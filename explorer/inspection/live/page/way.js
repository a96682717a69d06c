function setUpWay(app) {}
