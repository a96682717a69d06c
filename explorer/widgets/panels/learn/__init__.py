"""The Train tab: from which photos, what learns and how (`fields`, `previews`), and the run (`run_view`)."""
