function setUpPhotos(app) {}
