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
    "inspection.look.looking": ("look",),
    "inspection.look.result": ("Look",),
    "inspection.look.answers": ("Prediction",),
    "inspection.look.predicting": ("PredictionTable", "predict"),
    "inspection.look.modules": ("ModuleNode", "module_tree"),
    "inspection.detect.detecting": ("detect",),
    "inspection.detect.result": ("Detections",),
    "inspection.detect.table": ("DetectionTable",),
    "inspection.segment.segmenting": ("segment",),
    "inspection.segment.result": ("Segmentation",),
    "inspection.segment.table": ("SegmentationTable",),
    "inspection.compare.comparing": ("compare",),
    "inspection.compare.comparison": ("Comparison",),
    "inspection.compare.difference": ("Difference",),
    "inspection.compare.place_comparison": ("BoxComparison", "MaskComparison"),
    "inspection.compare.speed": ("Speed", "measure_speed"),
    "inspection.attribution.attention": ("attention_maps",),
    "inspection.attribution.explaining": ("explain",),
    "inspection.attribution.result": ("Attribution",),
    "inspection.experiments.masking": ("mask_region",),
    "inspection.experiments.adversarial": ("fgsm",),
    "inspection.experiments.robustness_curves": ("robustness",),
    "inspection.experiments.flips": ("find_flip",),
    "inspection.inside.components": ("pca_rgb",),
    "inspection.inside.filters": ("first_filters",),
    "inspection.inside.statistics": ("activations",),
    "inspection.inside.flow": ("gradient_flow",),
    "inspection.inside.channel_photos": ("top_photos",),
    "inspection.graph.asking": ("graph",),
    "inspection.graph.result": ("Graph",),
    "inspection.number.asking": ("explain_number",),
    "inspection.number.explained": ("ExplainedNumber",),
    "inspection.receptive.asking": ("receptive_field",),
    "inspection.receptive.field": ("ReceptiveField",),
    "inspection.drawing.asking": ("visualize",),
    "inspection.drawing.drawn": ("DrawnPicture",),
    "inspection.export.asking": ("export",),
    "inspection.live.page": ("live_page",),
    "inspection.features.folders": ("run_folder",),
    "inspection.features.result": ("Features",),
    "inspection.features.embeddings": ("Embeddings", "embed"),
    "inspection.features.probes": ("linear_probe",),
    "inspection.features.votes": ("knn_accuracy",),
    "inspection.features.similarity": ("cka", "compare_stages"),
    # models
    "models.create": ("create_model",),
    "models.names": ("is_model", "list_families", "list_models", "list_pretrained"),
    "models.doors.wrapping": ("wrap",),
    "models.contract": ("VisionModel",),
    "models.surgery.freezing": ("freeze", "unfreeze"),
    "models.surgery.rates": ("parameter_groups",),
    "models.surgery.optimized": ("optimize",),
    "models.attention": ("AttentionMap",),
    "models.ensembles.opening": ("Ensemble",),
    "models.ensembles.fusing": ("fuse_features",),
    "inspection.weighing.fitting": ("WeightFit", "fit_weights"),
    "inspection.weighing.soups": ("soup",),
    "models.weights.report": ("WeightsError",),
    # learning
    "training.run.finetuning": ("finetune",),
    "training.run.distilling": ("distill",),
    "training.run.run": ("Run",),
    "training.run.lr_finder": ("find_lr",),
    "training.run.loading": ("load_run",),
    "training.evaluation.evaluating": ("evaluate",),
    "training.evaluation.evaluation": ("Evaluation",),
    "training.evaluation.numbers": ("NumberEvaluation",),
    "training.evaluation.box_evaluation": ("DetectionEvaluation",),
    "training.evaluation.mask_evaluation": ("MaskEvaluation",),
    # how sure that is, and choosing between models
    "training.doubt.difference": ("differ",),
    "training.doubt.temperature": ("Calibrated", "calibrate"),
    "training.doubt.uncertainty": ("Uncertainty", "uncertain"),
    "training.doubt.label_issues": ("LabelErrors", "label_errors"),
    "training.choosing.validating": ("cross_validate",),
    "training.choosing.cross_validation": ("CrossValidation",),
    "training.choosing.stacking": ("blend", "stack"),
    "training.choosing.stacked": ("Stacked",),
    "training.choosing.searching": ("search",),
    "training.choosing.search_result": ("SearchResult",),
    # the app, and the computer that it runs on
    "widgets.dashboard": ("Dashboard",),
    "machine": ("doctor",),
})
