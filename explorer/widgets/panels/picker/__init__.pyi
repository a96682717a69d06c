# Written by: python -m tests.style
from explorer.widgets.panels.picker.finding import Filters as Filters
from explorer.widgets.panels.picker.finding import find_cards as find_cards
