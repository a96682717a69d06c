"""Which part of the photo a cell of a map is computed from: its receptive field."""
