"""Photos whose numbers are known: how bright, and how many dots. Made here, so that nothing else can be meant
by them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn

import explorer
from explorer.data.datasets import PhotoSet, Splits
from explorer.training.run.plan import make_plan


def bright(count: int, seed: int = 0, side: int = 32) -> list[tuple[Image.Image, float]]:
    """Grey noise with a tint, and the level around which it lies: 20 to 235."""
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        level = draw.uniform(20, 235)
        pixels = level + draw.uniform(-15, 15, 3) + draw.normal(0, 25, (side, side, 3))
        rows.append((Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), float(level)))
    return rows


def dots(count: int, seed: int = 0, side: int = 96) -> list[tuple[Image.Image, int]]:
    """Dark dots on a bright ground, and how many: 1 to 12, each in a field of its own."""
    draw = np.random.default_rng(seed)
    field, rows = side // 4, []
    for _ in range(count):
        photo = Image.new("RGB", (side, side), tuple(draw.integers(150, 255, 3).tolist()))
        places = draw.choice(16, draw.integers(1, 13), replace=False)
        for place in places:
            x, y = (place % 4 + 0.5) * field, (place // 4 + 0.5) * field
            box = [x - field / 4, y - field / 4, x + field / 4, y + field / 4]
            ImageDraw.Draw(photo).ellipse(box, fill=tuple(draw.integers(0, 100, 3).tolist()))
        rows.append((photo, len(places)))
    return rows


def photo_set(rows: list[tuple[Image.Image, float]], *more: str) -> PhotoSet:
    """The rows as a PhotoSet of the number "level". more: names of further numbers, the level times 10, 20,
    ...
    """
    labels = tuple((float(level), *(10.0 * i * level for i in range(1, len(more) + 1))) for _, level in rows)
    return PhotoSet(("level", *more), labels, tuple(f"photo {i}" for i in range(len(rows))),
                    lambda i: rows[i][0], numbers=True)


def splits(*more: str, train: int = 24, val: int = 12) -> Splits:
    return Splits("levels", photo_set(bright(train), *more), photo_set(bright(val, seed=1), *more))


def table(folder: Path, rows: list[tuple[Image.Image, float]], head: str = "file,level") -> Path:
    """A folder with the photos, and a CSV file beside them."""
    folder.mkdir(exist_ok=True)
    lines = [head]
    for i, (photo, number) in enumerate(rows):
        photo.save(folder / f"{i}.png")
        lines.append(f"{i}.png,{number}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "table.csv"


class Tiny(nn.Module):
    """A network of one convolution, fast enough to be trained in every test."""

    def __init__(self, width: int):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, width)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).relu().mean((2, 3)))


def tiny(width: int = 1, seed: int = 0, **told) -> explorer.VisionModel:
    torch.manual_seed(seed)
    return explorer.wrap(Tiny(width), input_size=(3, 32, 32), **told)


def prepared_for(model: explorer.VisionModel, data: Splits) -> explorer.VisionModel:
    """The model as a run would begin to teach it; nobody does."""
    plan = make_plan(model, data, batch_size=8)
    plan.claim.release()
    return plan.net
