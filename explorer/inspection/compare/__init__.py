"""Several models side by side: what they answer, where they look, how large and how fast they are."""
