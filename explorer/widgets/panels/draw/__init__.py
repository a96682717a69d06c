"""Pictures drawn by optimisation: of a class or a channel, to fool a network, in another picture's style."""
