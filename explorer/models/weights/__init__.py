"""Pretrained weights: the table of published ones, where they come from, how they are read, how they fit."""
