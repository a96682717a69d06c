"""What the stages of a model hold: activations, gradient flow, first filters, colours from principal
components, top photos.
"""
