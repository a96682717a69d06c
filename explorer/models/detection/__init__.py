"""Networks that say where things are: a backbone's maps, a pyramid of them, and boxes, one file a family."""
