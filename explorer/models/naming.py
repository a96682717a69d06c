"""What a model is called, where nobody says."""

from __future__ import annotations

from torch import nn

from explorer.models.config import ModelConfig


def model_name(model: nn.Module) -> str:
    """What to call a model: the full name of the weights it has, "resnet18 (mine.pth)" for a file's, else its
    architecture.
    """
    config, report = getattr(model, "config", None), getattr(model, "load_report", None)
    if not isinstance(config, ModelConfig) or not config.architecture:
        return type(model).__name__
    if report is None:
        return config.architecture
    return config.name if config.tag else report.name or config.architecture
