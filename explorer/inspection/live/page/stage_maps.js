function setUpStage(app) {}
