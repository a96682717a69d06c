"""Which pixels speak for an answer: `explain` and its methods."""
