"""The Train tab: from which photos, what learns and how (`fields`, `previews`), and the run itself (`run_view`)."""
