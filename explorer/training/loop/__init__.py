"""The training loop and what it is made of: state, batches, recipe, objective, schedules, augmentation, team.
"""
