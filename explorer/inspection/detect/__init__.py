"""Where things are in a photo: one pass of a detector, its boxes, and what they are called."""
