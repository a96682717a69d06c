"""How much each member of an ensemble should count, told by photos whose classes are known."""
