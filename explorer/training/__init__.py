"""Learning: short fine-tuning runs as streams of events, and honest evaluation."""

from explorer._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {
    "finetune": ("finetune", "load_run"),
    "run": ("Run", "TrainingError"),
    "recipe": ("Recipe",),
    "evaluate": ("Evaluation", "evaluate"),
})
