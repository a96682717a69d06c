"""What all plain transformers share: tokens in, the same width from first block to last, a vector out.

A plain transformer cuts the photo into patches, puts a few extra tokens in front of them, and sends all of
them through one block after another. Families differ in how they say where a patch was, and in their blocks.
The rest is here: the maps on the way, pooling, the classifier, and weights that were trained for photos of
another size.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel, parameter_place, resolve_indices
from explorer.models.layers.init import init_linear
from explorer.models.layers.transformer import resample_abs_pos_embed, resample_patch_embed


class TokenModel(VisionModel):
    """Base class of plain transformers: photo [B, in_chans, H, W] -> logits [B, num_classes].

    A family sets, in its `__init__` and in the order of its checkpoints:
        patch_embed              the patches (`layers.PatchEmbed`)
        cls_token, reg_token     tokens [1, n, C] without a patch, or None; see `extra_tokens`
        pos_embed                positions [1, n, C], or None where another layer knows where a patch was
        pos_drop, norm_pre       dropout and norm in front of the blocks
        blocks                   each [B, N, C] -> [B, N, C]; `walk_blocks` says what else they are given
        norm, attn_pool, fc_norm, head_drop, head   what comes behind; attn_pool: attention that pools, or
        None
    and the facts: embed_dim, has_class_token, num_prefix_tokens, num_prefix_positions, no_embed_class,
    pool_include_prefix, global_pool, stages (see `block_stages`).

    Tokens come in this order: class token, registers, patches row by row; so the first `num_prefix_tokens`
    are no patches.
    """

    classifier_path = "head"
    pyramid = False
    fixed_image_size = True
    #: The parameters that hold tokens without a patch, in the order in which they stand in front of the
    #: patches.
    extra_tokens: tuple[str, ...] = ("cls_token", "reg_token")
    #: The poolings that it knows; "map" is attention that pools.
    pools: tuple[str, ...] = ("token", "avg", "max", "avgmax", "")
    #: Whether attention that pools looks at class token and registers too, where the other poolings don't.
    map_sees_prefix = False
    attn_pool: nn.Module | None
    feature_names = "model."

    def _check_pool(self, global_pool: str) -> str:
        if global_pool not in self.pools:
            raise ValueError(f"Unknown pooling {global_pool!r}. "
                             f"Use one of {', '.join(map(repr, self.pools))}.")
        if global_pool == "token" and not self.has_class_token:
            raise ValueError(
                'This model has no class token, so global_pool="token" finds none: use "avg", '
                '"max" or "avgmax".'
            )
        if global_pool == "map" and getattr(self, "blocks", None) and self.attn_pool is None:
            raise ValueError(
                'This model was built without attention that pools, so global_pool="map" finds none: '
                'create it with global_pool="map", or use "avg", "max", "avgmax".'
            )
        return global_pool

    def _new_head(self) -> nn.Module:
        if self.num_classes < 0:
            raise ValueError(f"num_classes is {self.num_classes}: give 0 (no classifier) or more.")
        if not self.num_classes:
            return nn.Identity()
        return nn.Linear(self.embed_dim, self.num_classes, **parameter_place(self))

    def block_stages(self) -> tuple[Stage, ...]:
        """The stage table: every block is one."""
        reduction = max(self.patch_embed.patch_size)
        return tuple(Stage(f"block{i}", f"blocks.{i}", self.embed_dim, reduction)
                     for i in range(len(self.blocks)))

    # --- forward ------------------------------------------------------------------------------------------

    def embed(self, x: Tensor) -> Tensor:
        """Photo [B, in_chans, H, W] -> tokens with positions [B, prefix + N, C]: what the first block reads.
        """
        grid = self.patch_embed.grid(*x.shape[-2:])
        x = self.patch_embed(x)  # [B, N, C]
        extra = [getattr(self, name) for name in self.extra_tokens]
        prefix = [token.expand(x.shape[0], -1, -1) for token in extra if token is not None]
        if self.pos_embed is None:
            x = torch.cat((*prefix, x), dim=1)
        elif self.no_embed_class:
            x = torch.cat((*prefix, x + self.positions(grid)), dim=1)
        else:
            x = torch.cat((*prefix, x), dim=1) + self.positions(grid)
        return self.norm_pre(self.pos_drop(x))

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Position embeddings for a grid of patches, resized where the model was built for another one."""
        if grid == self.patch_embed.grid_size:
            return self.pos_embed
        return resample_abs_pos_embed(self.pos_embed, grid, old_size=self.patch_embed.grid_size,
                                      num_prefix_tokens=self.num_prefix_positions)

    def to_map(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """The patch tokens of [B, prefix + N, C] as a map [B, C, H/p, W/p]."""
        return tokens[:, self.num_prefix_tokens:].transpose(1, 2).unflatten(2, grid)

    def walk_blocks(self, tokens: Tensor, grid: tuple[int, int]) -> Iterator[Tensor]:
        """The tokens [B, prefix + N, C] behind each block; `grid`: rows and columns of patches.

        A family whose blocks are given more than the tokens overrides this.
        """
        for block in self.blocks:
            tokens = block(tokens)
            yield tokens

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        grid = self.patch_embed.grid(*x.shape[-2:])
        walk = self.walk_blocks(self.embed(x), grid)
        for tokens in walk:
            yield self.to_map(tokens, grid)  # block0 ... [B, C, H/p, W/p]
        return self.finish(tokens)  # [B, prefix + N, C]

    def finish(self, tokens: Tensor) -> Tensor:
        """What the last block gives -> what `forward_features` returns.

        A family with more behind its blocks than a norm overrides this.
        """
        return self.norm(tokens)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        *,
        return_prefix_tokens: bool = False,
        norm: bool = False,
        output_fmt: str = "NCHW",
        stop_early: bool = False,
        intermediates_only: bool = False,
    ):
        """One pass that keeps what the blocks in `indices` give; see `VisionModel.forward_intermediates`.

        return_prefix_tokens: pairs (patches, class token and registers [B, prefix, C]) in place of patches
        norm:                 each through the model's last norm, as the last block's output is
        output_fmt:           "NCHW", maps [B, C, H/p, W/p], or "NLC", tokens [B, N, C]
        """
        if output_fmt not in ("NCHW", "NLC"):
            raise ValueError(f"Unknown output_fmt {output_fmt!r}. Use 'NCHW' for maps or 'NLC' for tokens.")
        wanted = resolve_indices(indices, len(self.stages))
        grid = self.patch_embed.grid(*x.shape[-2:])
        walk, kept = self.walk_blocks(self.embed(x), grid), {}
        for index, tokens in enumerate(walk):
            if index in wanted:
                found = self.norm(tokens) if norm else tokens
                prefix, patches = found[:, :self.num_prefix_tokens], found[:, self.num_prefix_tokens:]
                if output_fmt == "NCHW":
                    patches = self.to_map(found, grid)
                kept[index] = (patches, prefix) if return_prefix_tokens else patches
            if stop_early and intermediates_only and index == max(wanted):
                break
        intermediates = [kept[index] for index in wanted]
        return intermediates if intermediates_only else (self.finish(tokens), intermediates)

    def pool(self, tokens: Tensor) -> Tensor:
        """Tokens [B, prefix + N, C] -> one vector [B, C] for each photo; all tokens with global_pool ""."""
        if not self.global_pool:
            return tokens
        if self.global_pool == "token":
            return tokens[:, 0]
        if self.global_pool == "map":
            seen = self.pool_include_prefix or self.map_sees_prefix
            return self.attn_pool(tokens if seen else tokens[:, self.num_prefix_tokens:])
        if not self.pool_include_prefix:
            tokens = tokens[:, self.num_prefix_tokens:]
        if self.global_pool == "avg":
            return tokens.mean(dim=1)
        if self.global_pool == "max":
            return tokens.amax(dim=1)
        return 0.5 * (tokens.amax(dim=1) + tokens.mean(dim=1))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.head_drop(self.fc_norm(self.pool(x)))  # [B, C]
        return x if pre_logits else self.head(x)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A fresh classifier, and another pooling where `global_pool` is given.

        The norms stay where they are, so that trained weights keep their meaning.
        """
        if global_pool is not None:
            self.global_pool = self._check_pool(global_pool)
            if global_pool != "map":
                self.attn_pool = None
        self.num_classes = num_classes
        self.head = self._new_head()
        if num_classes:
            init_linear(self.head)

    def remove_head(self) -> None:
        self.reset_classifier(0, "" if self.global_pool == "map" else None)

    # --- weights that were trained with other options -------------------------------------------------------

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """Trained tensors with our names -> those that fit this model's image size, patch size and extra
        tokens.

        What was changed is added to `report.adapted`, what was left out to `report.skipped`.
        Raises ValueError where nobody can know how to.
        """
        state = dict(state)
        if state.pop("mask_token", None) is not None:
            report.skipped.append("mask_token: used only while DINOv2 learns")
        patches, size = state.get("patch_embed.proj.weight"), self.patch_embed.patch_size
        if patches is not None and patches.ndim == 4 and tuple(patches.shape[-2:]) != size:
            state["patch_embed.proj.weight"] = resample_patch_embed(patches, size)
            trained = _by(patches.shape[-2:])
            report.adapted.append(f"patch_embed: from patches of {trained} pixels to {_by(size)}")
        if self.pos_embed is not None and "pos_embed" in state and state["pos_embed"].ndim == 3:
            self._adapt_positions(state, report)
        for old, new in (("norm", "fc_norm"), ("fc_norm", "norm")):
            weight = getattr(getattr(self, new), "weight", None)
            if weight is not None and f"{old}.weight" in state and f"{new}.weight" not in state:
                for part in [key for key in state if key.startswith(f"{old}.")]:
                    state[new + part.removeprefix(old)] = state.pop(part)
                place = "behind" if new == "fc_norm" else "in front of"
                report.adapted.append(f"{old}: used as {new}, {place} the pooling")
        return state

    def _adapt_positions(self, state: dict[str, Tensor], report: Any) -> None:
        """Positions for our grid of patches, and for those extra tokens that have one here; changes `state`.
        """
        positions, grid = state["pos_embed"], self.patch_embed.grid_size
        trained = {name: state[name].shape[1] for name in self.extra_tokens if name in state}
        own = {name: getattr(self, name) is not None for name in self.extra_tokens}
        if "cls_token" in trained and not self.has_class_token:
            del state["cls_token"]
            report.skipped.append("cls_token: this model has no class token")
        if positions.shape == self.pos_embed.shape:
            prefix = self.num_prefix_positions
        else:
            prefix = _prefix_positions(positions.shape[1], trained, self.patch_embed.num_patches)

        patches = positions[:, prefix:]
        side = math.isqrt(patches.shape[1])
        is_square = side * side == patches.shape[1]
        if patches.shape[1] == self.patch_embed.num_patches:  # as many patches: taken for the same grid
            if is_square and grid != (side, side):
                report.adapted.append(
                    f"pos_embed: read as a grid of {_by(grid)} patches, though {side} x {side} fits too"
                )
        elif is_square:
            patches = resample_abs_pos_embed(patches, grid, num_prefix_tokens=0)
            report.adapted.append(f"pos_embed: from a grid of {side} x {side} patches to {_by(grid)}")
        else:
            raise ValueError(
                f"their position embeddings ({positions.shape[1]}) form no square, so the grid of patches is "
                "unknown. Load them with the img_size that they were trained for."
            )
        if prefix == self.num_prefix_positions:
            state["pos_embed"] = torch.cat((positions[:, :prefix], patches), dim=1)
            return

        # Each extra token's own position; one that was trained without gets zeros, which changes nothing.
        zeros = positions.new_zeros(1, sum(trained.values()) - prefix, positions.shape[2])
        each = torch.cat((positions[:, :prefix], zeros), dim=1).split(list(trained.values()), dim=1)
        parts = {name: part for name, part in zip(trained, each) if own[name]}
        if not self.no_embed_class:
            state["pos_embed"] = torch.cat((*parts.values(), patches), dim=1)
            return
        state["pos_embed"] = patches
        for name, part in parts.items():
            if part.any():  # a position that is always added is a part of the token itself
                state[name] = state[name] + part
                report.adapted.append(f"{name}: its position embedding was added to it")


class TwoTokens(VisionModel):
    """A network that can be `distilled`: then it ends in a class token and a distillation token, each with a
    classifier.

    The one, `head`, learnt from labels, the other, `head_dist`, from a teacher, and the answer is the mean of
    both. Touvron et al., "Training data-efficient image transformers & distillation through attention", 2020.
    Where it is not distilled, the head is the family's own.
    """

    distilled: bool
    #: Whether training gives both answers, for a loss with a teacher.
    distilled_training: bool

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        if not self.distilled:
            return super().forward_head(x, pre_logits)
        label, teacher = x[:, 0], x[:, 1]  # [B, C] each
        if pre_logits:
            return (label + teacher) / 2
        label, teacher = self.head(self.head_drop(label)), self.head_dist(self.head_drop(teacher))
        if self.training and self.distilled_training:
            return label, teacher
        return (label + teacher) / 2

    def forward_vector_and_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not self.distilled:
            return super().forward_vector_and_logits(x)
        return self.forward_head(x, pre_logits=True), self.forward_head(x)

    def forward_classifier(self, pre_logits: Tensor) -> Tensor:
        if self.distilled:
            raise ValueError(
                "A distilled model has two classifiers for two tokens, "
                "whose mean is not enough to tell the logits: use forward_head, "
                "or forward_vector_and_logits for both."
            )
        return super().forward_classifier(pre_logits)

    def get_classifier(self) -> nn.Module:
        """The last layer; both classifiers, as a ModuleList, where there are two."""
        return nn.ModuleList((self.head, self.head_dist)) if self.distilled else super().get_classifier()


def _by(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"


def _prefix_positions(length: int, tokens: dict[str, int], num_patches: int) -> int:
    """How many of `length` positions belong to the extra `tokens` of a checkpoint.

    Either all of them have positions, or only the class token (DINOv2's own files), or none: whichever leaves
    as many patches as the model has, or else a square.
    """
    choices = [n for n in (sum(tokens.values()), tokens.get("cls_token", 0), 0) if n < length]
    for fits in (lambda rest: rest == num_patches, lambda rest: math.isqrt(rest) ** 2 == rest):
        for count in choices:
            if fits(length - count):
                return count
    return choices[0]
