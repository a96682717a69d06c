"""Pretrained weights: the table of published ones, where they come from, how they are read, how they get in.

    table       the facts about every published set, without torch
    places      a Python package, the hub's cache, the hub (`packaged`, `downloading`); `shipped/` holds what
                explorer itself brings, and beside each file how it was made
    reading     what a file holds, whoever wrote it (`kinds`, `pickled`)
    choosing    which of its tensors are a model's own (`key_maps`), and what `shapes` tell of their network
    loading     the tensors into the model, with a `report`
"""

from explorer._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {
    "table": ("config_for", "known_to_timm", "mac_count", "old_names", "parameter_count", "stage_rows",
              "tags"),
    "packaged": ("PACKAGED", "PackagedWeights", "names_here"),
    "places": ("fetch", "in_cache", "is_here"),
    "reading": ("Checkpoint", "read_checkpoint"),
    "choosing": ("choose", "read_state_dict"),
    "key_maps": ("convert", "recognise"),
    "loading": ("load_into",),
    "report": ("LoadReport", "WeightsError"),
})
