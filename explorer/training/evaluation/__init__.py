"""How good a model is and where it errs: the figures, their charts, their page."""
