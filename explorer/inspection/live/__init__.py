"""A model, its maps and its photos as one HTML file that runs in any browser, without a network."""
