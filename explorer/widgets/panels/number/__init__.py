"""How is this number computed: what the page is told (`telling`), and the block below the maps (`block`)."""
