"""Two small pictures with two things each, for detectors to learn in some seconds."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.ops import box_iou


def two_pictures():
    """A picture of two things and its mirror image: photos, and where the things are."""
    photo = torch.zeros(3, 128, 128)
    photo[0, 20:60, 16:56] = photo[1, 70:120, 60:124] = 1.0
    boxes, labels = torch.tensor([[16.0, 20, 56, 60], [60, 70, 124, 120]]), torch.tensor([1, 0])
    left, top, right, bottom = boxes.unbind(1)
    mirrored = torch.stack((128 - right, top, 128 - left, bottom), dim=1)
    return [photo, photo.flip(2)], [{"boxes": each, "labels": labels} for each in (boxes, mirrored)]


def learn(model: nn.Module, steps: int, rate: float) -> None:
    """Let a detector of 2 classes learn both pictures, and see that it finds all four things in them."""
    images, targets = two_pictures()
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=rate)
    for _ in range(steps):
        loss = model.loss(images, targets)
        optimizer.zero_grad()
        sum(loss.values()).backward()
        optimizer.step()
    with torch.no_grad():
        for found, truth in zip(model.eval()(images), targets):
            best = torch.stack([found["boxes"][found["labels"] == label][0] for label in (1, 0)])
            assert box_iou(best, truth["boxes"]).diag().min() > 0.6, (best, truth["boxes"])
