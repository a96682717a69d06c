"""Masks: which part of a photo is what, as a network for masks says it."""
