"""One pass through a model, and all that it shows: the `Look`, the prediction table, the module tree."""

from explorer._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {
    "looking": ("look",),
    "result": ("Look",),
    "answers": ("Prediction",),
    "model": ("model_name",),
    "predicting": ("PredictionTable", "predict"),
    "modules": ("ModuleNode", "module_tree"),
})
