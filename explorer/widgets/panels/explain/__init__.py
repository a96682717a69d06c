"""The tab "Explain", and the first of its three panels: a heat map.
The other two stand in `what_if` and `inside`.
"""
