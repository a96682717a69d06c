"""What is done to a finished model: freezing, layer-wise rates, checkpointing, a faster copy."""
