"""The Runs tab: the runs so far beside each other."""
