"""The picture that a class, or a channel of a map, answers to most, drawn by optimisation."""
