"""The training loop and what it is made of: batches, recipe, objective, schedules, augmentation, the team of processes."""
