"""Learning: fine-tuning runs as streams of events (`loop`, `run`), and honest evaluation (`evaluation`).

Every name is imported on first use.
"""

from explorer._lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {
    "loop.errors": ("TrainingError",),
    "loop.events": ("Batch", "Epoch"),
    "loop.recipe": ("Recipe",),
    "run.finetuning": ("finetune",),
    "run.loading": ("LoadedRun", "load_run"),
    "run.run": ("Run",),
    "run.listeners": ("TensorBoardListener", "print_progress"),
    "evaluation.evaluating": ("evaluate",),
    "evaluation.evaluation": ("Evaluation",),
    "evaluation.numbers": ("NumberEvaluation",),
})
