"""The Evaluate tab: judging a model by photos whose classes, or numbers, are known."""
