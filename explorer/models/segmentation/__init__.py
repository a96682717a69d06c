"""Networks that say of every pixel what it is a part of: a backbone's maps and a decoder, a file a family."""
