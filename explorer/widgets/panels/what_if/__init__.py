"""Change the photo and look again: one experiment a file."""
