"""The Search tab: which settings are tried, on which photos (`fields`), and the trials (`trials_view`)."""
