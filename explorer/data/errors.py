"""What a picture that can't be opened raises."""

from __future__ import annotations


class ImageError(ValueError):
    """A picture could not be opened. The message is one sentence for a person, with what to do next."""
