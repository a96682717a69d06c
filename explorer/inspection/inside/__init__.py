"""What a model holds: activations, gradient flow, first filters, colours from components, top photos."""
