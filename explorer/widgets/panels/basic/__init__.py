"""The dashboard where the views of its own can not be loaded: controls of ipywidgets, pictures made in Python."""
