function setUpHeat(app) {}
