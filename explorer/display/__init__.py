"""Words and pictures: what everybody says and draws in the same way. Knows nothing of models, data or notebooks."""
