"""explorer: see what a vision model does.

    import explorer
    explorer.Dashboard()                                        # the app, in a notebook
    explorer.look("tf_efficientnet_lite0", "cat.jpg")           # one photo, one pass, everything to see
    explorer.create_model("resnet50", num_classes=5)            # a model to train

Every name below is imported on first use: `import explorer` loads no torch.
"""

import logging

from explorer._lazy import lazy_names

__version__ = "0.1.0"

# A library stays quiet until the application asks: without this, Python would print a background thread's
# tracebacks into the notebook.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__getattr__, __dir__, __all__ = lazy_names(__name__, {
    # looking
    "data.images": ("ImageError", "load_image"),
    "data.samples": ("sample_photos",),
    "inspection.look": ("Look", "Prediction", "look"),
    "inspection.predict": ("PredictionTable", "predict"),
    "inspection.modules": ("ModuleNode", "module_tree"),
    "inspection.compare": ("compare",),
    "inspection.comparison": ("Comparison",),
    "inspection.speed": ("Speed", "measure_speed"),
    "inspection.attribution": ("Attribution", "explain"),
    "inspection.perturb": ("fgsm", "mask_region"),
    "inspection.robustness": ("find_flip", "robustness"),
    "inspection.components": ("pca_rgb",),
    "inspection.filters": ("first_filters",),
    "inspection.activations": ("activations", "gradient_flow", "top_photos"),
    "inspection.store": ("Features", "run_folder"),
    "inspection.embeddings": ("Embeddings", "embed"),
    "inspection.probe": ("knn_accuracy", "linear_probe"),
    "inspection.similarity": ("cka", "compare_stages"),
    # models
    "models.factory": ("create_model", "is_model", "list_families", "list_models", "list_pretrained"),
    "models.adapters": ("wrap",),
    "models.contract": ("VisionModel",),
    "models.surgery": ("freeze", "parameter_groups", "unfreeze"),
    "models.optimize": ("optimize",),
    "models.attention": ("AttentionMap", "attention_maps"),
    "models.weights": ("WeightsError",),
    # learning
    "training.finetune": ("finetune",),
    "training.run": ("Run",),
    "training.lr_finder": ("find_lr",),
    "training.loading": ("load_run",),
    "training.evaluate": ("evaluate",),
    "training.evaluation": ("Evaluation",),
    "training.number_evaluation": ("NumberEvaluation",),
    # the app
    "widgets.dashboard": ("Dashboard",),
})
