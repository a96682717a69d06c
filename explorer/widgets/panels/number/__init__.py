"""How is this number computed: what the page is told of a number (`telling`), and the block below the maps."""
