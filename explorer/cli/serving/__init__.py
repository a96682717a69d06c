"""The app in a browser: Voilà with explorer's own rules. Needs the extra `[app]`; see `cli/app.py`."""
