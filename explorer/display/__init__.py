"""Words and pictures: what everybody says and draws in the same way. Knows no model and no notebook."""
