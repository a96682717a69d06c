"""The graph of a network: its blocks, what flows from one to another, and how they are drawn."""
