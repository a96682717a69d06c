"""How far an answer, a figure or a label can be trusted."""
