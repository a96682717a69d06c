"""Several models and the same photos: what is chosen, what is drawn of it, and what the tables say."""
