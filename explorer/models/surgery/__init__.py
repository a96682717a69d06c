"""Surgery on any backbone, whatever its family.

    freezing         what training leaves alone (`matching`: parameters by pattern)
    rates            groups of parameters, with rates by layer (`layer_order`, told by a `clock`)
    checkpointing    less memory while training
    optimized        the same answers, sooner
    inside           what torch's wrappers hold
    staged           what all of these ask of a network
"""
