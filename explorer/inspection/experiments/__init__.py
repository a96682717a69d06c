"""Change the photo and look again: mask a region, FGSM, turn and blur it until the answer flips."""
