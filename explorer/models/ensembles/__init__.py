"""Several networks that answer together: how their answers are combined, and what they see of a photo."""
