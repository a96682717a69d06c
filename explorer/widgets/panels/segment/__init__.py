"""Masks: what a network says of every pixel, and the mask that is known to be right."""
