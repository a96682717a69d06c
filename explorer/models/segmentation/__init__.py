"""Networks that say of every pixel what it is a part of: a backbone's maps, and a decoder, one file a family."""
