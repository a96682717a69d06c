"""Basic mode: the dashboard on core ipywidgets, where a page can't load explorer's own views."""
