"""Pixels in: opening photos safely, timm's preprocessing, class names, bundled photos.

Every name is imported on first use, so `import explorer.data` costs nothing and pulls in no torch.
"""

from __future__ import annotations

from explorer._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {
    "collection": ["describe"],
    "folder_description": ["FolderDescription"],
    "errors": ["ImageError"],
    "images": ["load_image"],
    "transforms": ["create_transform", "crop_box",
                   "resolve_data_config", "resolve_model_data_config"],
    "shown_steps": ["Step", "network_view", "preprocessing_steps"],
    "photo_tables": ["read_table"],
    "table_columns": ["PhotoTable"],
    "places.opening": ["open_places"],
    "places.place_set": ["Boxes", "PlaceSet", "PlaceSplits"],
    "labels": ["imagenet_labels", "labels_for"],
    "samples": ["SamplePhoto", "assets_dir", "labelled_photos", "notebooks_dir", "sample_photos",
                "sample_places"],
})
