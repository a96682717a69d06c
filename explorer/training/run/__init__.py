"""A run around the loop: its thread, its folder, its listeners, going on after a stop, saving and loading."""
