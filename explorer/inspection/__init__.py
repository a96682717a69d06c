"""Looking into a model: what one pass shows (`look`), which pixels speak for an answer (`attribution`), what
changes it (`experiments`), what its stages hold (`inside`), photos as vectors (`features`), several models
side by side (`compare`).

What a user calls is offered by `explorer` itself: `explorer.look`, `explorer.explain`, `explorer.compare` ...
"""
