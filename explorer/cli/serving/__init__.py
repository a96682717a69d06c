"""The app in a browser: Voilà with explorer's own rules. Needs the extra `[app]`; see `explorer/cli/app.py`."""
