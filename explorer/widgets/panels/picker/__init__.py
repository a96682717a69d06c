"""The model picker: what fits the filters, what is written of a model, and the panel that shows both."""

from explorer._lazy import lazy_names

# what "Show code" imports from here
__getattr__, __dir__, __all__ = lazy_names(__name__, {"finding": ("Filters", "find_cards")})
