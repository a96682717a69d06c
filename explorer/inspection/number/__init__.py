"""How one number of a map is computed: the terms that it is the sum of, and what is done to the sum."""
