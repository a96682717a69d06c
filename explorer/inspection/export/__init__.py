"""A network as one file for other programs (ONNX, torch.export), with its labels, and checked."""
