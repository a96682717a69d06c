"""`features_only`: a backbone without its head, whose forward gives the maps of chosen stages."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from explorer.models.contract import FeatureInfo, VisionModel, resolve_indices


class FeatureNet(nn.Module):
    """Photo [B, C, H, W] -> list of maps, one for each stage in `out_indices`, in that order.

    Nothing is pruned, rewritten or hooked: it walks the model's own `forward_stages` and stops
    behind the deepest stage that is wanted.
    """

    def __init__(self, model: VisionModel, out_indices: int | Sequence[int] | None = None):
        """out_indices: non-negative or negative, in any order; an int n means the last n stages."""
        super().__init__()
        if out_indices is None:
            out_indices = model.default_out_indices
        indices = resolve_indices(out_indices, len(model.stage_table))
        model.remove_head()
        self.model = model
        self.feature_info = FeatureInfo(model.stage_table, indices)

    @property
    def out_indices(self) -> tuple[int, ...]:
        return self.feature_info.out_indices

    @property
    def config(self):
        return self.model.config

    @property
    def pretrained_cfg(self):
        return self.model.pretrained_cfg

    @property
    def load_report(self):
        return self.model.load_report

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.model.forward_intermediates(
            x, self.out_indices, intermediates_only=True, stop_early=True
        )
