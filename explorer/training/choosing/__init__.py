"""Choosing between models and settings: cross-validation, search, stacking and blending."""
