"""Where two places stand to each other, as a number that attention adds to how well they fit.

Attention sees a set, not a picture: shuffled places give shuffled answers. A bias for each offset (so many
rows up, so many columns to the left) tells it the picture again, and the same offset has the same bias
everywhere in the window, as a convolution has the same weight.

All: forward() -> [1, heads, N, N], for the N = h * w places of a window, row by row: what is added for a
place that asks (row) and a place that answers (column).
    window_size    (h, w), rows and columns of the window
    num_heads      each head of attention has biases of its own

Shaw et al., "Self-Attention with Relative Position Representations", 2018, https://arxiv.org/abs/1803.02155.
Parameter names are timm's.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from explorer.models.layers.transformer import Mlp
from explorer.models.layers.windows import relative_position_index


class RelPosBias(nn.Module):
    """A learnt number for each offset and head: the table has a row for each offset, (2h-1) * (2w-1) of them.
    """

    def __init__(self, window_size: tuple[int, int], num_heads: int):
        super().__init__()
        self.window_size = window_size
        h, w = window_size
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * h - 1) * (2 * w - 1), num_heads))
        self.register_buffer("relative_position_index", relative_position_index(window_size),
                             persistent=False)
        self.init_weights()

    def init_weights(self) -> None:
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self) -> Tensor:
        table = self.relative_position_bias_table
        bias = table[self.relative_position_index.to(table.device)]  # [N, N, heads]
        return bias.permute(2, 0, 1)[None]


class RelPosBiasTf(nn.Module):
    """The same table laid out as a picture, [heads, 2h-1, 2w-1], as the TensorFlow weights of MaxViT have it.

    They count an offset the other way round: from the place that asks to the one that answers.
    """

    def __init__(self, window_size: tuple[int, int], num_heads: int):
        super().__init__()
        self.window_size = window_size
        h, w = window_size
        self.relative_position_bias_table = nn.Parameter(torch.zeros(num_heads, 2 * h - 1, 2 * w - 1))
        index = relative_position_index(window_size).transpose(0, 1).contiguous()
        self.register_buffer("relative_position_index", index, persistent=False)
        self.init_weights()

    def init_weights(self) -> None:
        nn.init.normal_(self.relative_position_bias_table, std=0.02)

    def forward(self) -> Tensor:
        table = self.relative_position_bias_table.flatten(1)  # [heads, offsets]
        return table[:, self.relative_position_index.to(table.device)][None]


class RelPosMlp(nn.Module):
    """A small network computes the bias from the offset, on a logarithmic scale, so that it can answer for
    any window.

    Liu et al., "Swin Transformer V2", 2021, section 3.3, without the bounds that paper puts on the answer.
    hidden: width of its middle; some of it is dropped while training, for the network sees few different
            offsets.
    """

    def __init__(self, window_size: tuple[int, int], num_heads: int, *, hidden: int = 512):
        super().__init__()
        self.window_size = window_size
        self.mlp = Mlp(2, hidden, num_heads, act_layer="relu")
        self.mlp.drop1.p = 0.125
        self.register_buffer("relative_position_index", relative_position_index(window_size),
                             persistent=False)
        self.register_buffer("rel_coords_log", log_offsets(window_size), persistent=False)

    def forward(self) -> Tensor:
        weight = self.mlp.fc1.weight
        table = self.mlp(self.rel_coords_log.to(weight)).flatten(0, 1)  # [2h-1, 2w-1, 2] -> [offsets, heads]
        bias = table[self.relative_position_index.to(weight.device)]  # [N, N, heads]
        return bias.permute(2, 0, 1)[None]


def log_offsets(window_size: tuple[int, int]) -> Tensor:
    """Every offset in a window as sign * log(1 + length), [2h-1, 2w-1, (rows, columns)]; on the CPU always.
    """
    rows, columns = (torch.arange(1 - side, side, device="cpu", dtype=torch.float32) for side in window_size)
    offsets = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)
    return offsets.sign() * offsets.abs().log1p()


RELATIVE_POSITIONS = {"bias": RelPosBias, "bias_tf": RelPosBiasTf, "mlp": RelPosMlp}


def create_rel_pos(kind: str, window_size: tuple[int, int], num_heads: int, *,
                   hidden: int = 512) -> nn.Module:
    """A relative position by name: "bias", "bias_tf" or "mlp"; `hidden` is for the last.

    Raises ValueError with the known names.
    """
    if kind not in RELATIVE_POSITIONS:
        raise ValueError(f"Unknown relative position {kind!r}. Known: {', '.join(RELATIVE_POSITIONS)}.")
    options = {"hidden": hidden} if kind == "mlp" else {}
    return RELATIVE_POSITIONS[kind](window_size, num_heads, **options)


def resize_bias_table(table: Tensor, window_size: tuple[int, int]) -> Tensor:
    """Biases [(2s - 1)^2, heads] of square windows for windows of another size.

    A patch is as large as before, so what was learnt about near offsets holds, and only the far ones are
    spread: see `stretched_offsets`. Between them it is interpolated linearly. Raises ValueError where the old
    windows are no squares.
    """
    side = math.isqrt(len(table))
    if side * side != len(table):
        raise ValueError(
            f"their {len(table)} position biases form no square, so the shape of their windows is unknown. "
            "Load them with the img_size and window_size that they were trained for."
        )
    rows, columns = (interpolation_matrix(stretched_offsets(side, 2 * n - 1), 2 * n - 1) for n in window_size)
    picture = table.float().reshape(side, side, -1)  # [2s - 1, 2s - 1, heads]
    return torch.einsum("yi,xj,ijh->yxh", rows, columns, picture).flatten(0, 1).to(table.dtype)


def stretched_offsets(old: int, new: int) -> Tensor:
    """Where `old` offsets, an odd number around 0, lie among `new` ones: steps that grow from the middle
    outwards.

    The first step is 1; each further one is `ratio` times as long, so that the outermost reach new // 2.
    As BEiT does it: Bao et al., "BEiT: BERT Pre-Training of Image Transformers", 2021.
    """
    low, high, reach = 1.01, 1.5, new // 2
    while high - low > 1e-6:
        ratio = (low + high) / 2
        low, high = (low, ratio) if sum(ratio**i for i in range(old // 2)) > reach else (ratio, high)
    steps = torch.tensor([ratio**i for i in range(old // 2)], dtype=torch.float64).cumsum(0)
    return torch.cat((-steps.flip(0), torch.zeros(1, dtype=torch.float64), steps))


def interpolation_matrix(known: Tensor, new: int) -> Tensor:
    """Linear interpolation from the rising places `known` to `new` whole offsets around 0: [new, known]."""
    if len(known) == 1:  # windows of one patch know one offset
        return torch.ones(new, 1)
    wanted = torch.arange(new, dtype=torch.float64) - new // 2
    right = torch.searchsorted(known, wanted).clamp(1, len(known) - 1)
    share = ((wanted - known[right - 1]) / (known[right] - known[right - 1])).clamp(0, 1)
    places, right, share = torch.arange(len(known)), right[:, None], share[:, None]
    return ((places == right) * share + (places == right - 1) * (1 - share)).float()
