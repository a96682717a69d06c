"""Boxes: what is drawn of a detector's answers, what stands behind them, and what is known to be there."""
