"""Teach: classes of the reader's own, by camera or from files, and what a network learns of them."""
