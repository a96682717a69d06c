"""The model core: names in, models out. Knows nothing of data sets, training or notebooks.

Every family's class is here too, to subclass: `explorer.models.ResNet`.
"""

from explorer._lazy import lazy_names


def _family_classes() -> dict[str, tuple[str, ...]]:
    from explorer.models.catalog import family_classes  # it reads 65 files

    return family_classes()


__getattr__, __dir__, _ = lazy_names(__name__, {
    "create": ("create_model",),
    "names": ("is_model", "list_families", "list_models", "list_pretrained"),
    "contract": ("VisionModel",),
    "stages": ("FeatureInfo", "Stage"),
    "config": ("ModelConfig",),
    "features": ("FeatureNet",),
    "weights.report": ("LoadReport", "WeightsError"),
}, _family_classes)
