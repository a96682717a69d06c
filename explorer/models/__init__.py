"""The model core: names in, models out. Knows nothing of data sets, training or notebooks."""

import re
from pathlib import Path

from explorer._lazy import lazy_names


def _families() -> dict[str, tuple[str, ...]]:
    """The class that each family's file defines and names in its line `MODEL = ...`; read, not imported."""
    classes = {}
    for path in sorted((Path(__file__).parent / "backbones").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        named = re.search(r"^MODEL = (\w+)$", text, re.MULTILINE)
        if named and f"\nclass {named[1]}(" in text:
            classes[f"backbones.{path.stem}"] = (named[1],)
    return classes


__getattr__, __dir__, __all__ = lazy_names(__name__, {
    "factory": ("create_model", "is_model", "list_families", "list_models", "list_pretrained"),
    "contract": ("FeatureInfo", "Stage", "VisionModel"),
    "config": ("ModelConfig",),
    "features": ("FeatureNet",),
    "weights": ("LoadReport", "WeightsError"),
    **_families(),
})
