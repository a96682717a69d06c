"""Photos as points: what is embedded, the map and its neighbours,
what the vectors know, stages of two models.
"""
