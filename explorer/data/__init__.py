"""Pixels in: opening photos safely, timm's preprocessing, class names, bundled photos.

Every name is imported on first use, so `import explorer.data` costs nothing and pulls in no torch.
"""

from __future__ import annotations

from .._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {
    "collection": ["FolderDescription", "describe"],
    "images": ["ImageError", "load_image"],
    "transforms": ["Step", "create_transform", "crop_box", "network_view", "preprocessing_steps",
                   "resolve_data_config", "resolve_model_data_config"],
    "photo_tables": ["PhotoTable", "read_table"],
    "labels": ["imagenet_labels", "labels_for"],
    "samples": ["SamplePhoto", "assets_dir", "notebooks_dir", "sample_photos"],
})
