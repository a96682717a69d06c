"""The head over the vectors of several bodies: in a row, or weighed against each other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

#: how -> what it does, in words for a person
HOW = {
    "concat": "the vectors in a row, each brought to one scale, under one linear layer",
    "attend": "each vector becomes a token of one width, and a learnt query says how much each counts",
}
WIDTH = 256  # of a token
#: Where a row is wider, its numbers are made smaller, so that a step of the head changes a score no more
#: than one of a single body's does. Three bodies of 1,280 on flowers5, at finetune's own rate, three seeds:
#: without it 89.0 % right and an NLL of 0.84, with it 92.4 % and 0.20 (`tests/benchmarks/bench_many.py`).
#: Of "attend" a second layer reads the `WIDTH` numbers of a token, which move as well: there they are smaller
#: by the root of that. 21 photos a class, the same seeds: an NLL of 0.27, 0.67 without the root, 2.32 with
#: numbers as they are (of "concat" 0.26 and 0.97).
EASY = 320


class PartsHead(nn.Module):
    """A row of vectors [B, D1 + D2 + ...] -> logits [B, num_classes].

    Bodies give vectors of very different sizes of numbers, and the largest would drown the others: so each is
    normalised by itself (LayerNorm, without weights), and all of them scaled alike (`EASY`).

    how: "concat": one linear layer on the row. "attend": each vector goes through a linear layer of its own
         to one width; a query that is learnt attends to these tokens (softmax of the dot products, by the
         square root of the width, Vaswani et al., 2017), and the linear layer reads their weighted mean
    """

    def __init__(self, widths: Sequence[int], num_classes: int, how: str):
        super().__init__()
        self.widths, self.num_classes, self.how = tuple(widths), num_classes, how
        inside = sum(widths)
        easy = EASY / inside
        if how == "attend":
            inside, easy = WIDTH, easy / WIDTH**0.5
            self.tokens = nn.ModuleList(nn.Linear(width, WIDTH) for width in widths)
            self.query = nn.Parameter(torch.zeros(WIDTH))  # at first all count the same
        self.scale = min(1.0, easy)
        self.fc = nn.Linear(inside, num_classes) if num_classes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.scale * nn.functional.layer_norm(part, part.shape[-1:])
                 for part in x.split(self.widths, dim=-1)]
        if self.how != "attend":
            return self.fc(torch.cat(parts, dim=-1))
        tokens = torch.stack([layer(part) for layer, part in zip(self.tokens, parts)], dim=-2)  # [B, M, W]
        shares = (tokens @ self.query / WIDTH**0.5).softmax(-1)  # [B, M]
        return self.fc((shares[..., None] * tokens).sum(-2))
