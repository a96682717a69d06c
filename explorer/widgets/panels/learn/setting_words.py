"""What a setting is called in the Train and Runs tabs, and sentences of `finetune` in these words.

The core names what somebody types in a cell; a reader of a panel sees controls.
"""

from __future__ import annotations

import re

#: setting -> what it is called in a sentence, the field's term first
WORDS = {"lr": "learning rate", "body_lr": "learning rate of the body", "batch_size": "batch size",
         "weight_decay": "weight decay", "label_smoothing": "label smoothing", "run_dir": "checkpoint folder",
         "class_weights": "class weights", "layer_decay": "layer decay", "swa_rate": "rate of the mean",
         "save_every": "save every", "input_size": "input size", "num_classes": "number of classes"}

# what a cell would be told to type -> what to do here
_DOING = {
    "add cache=False, or train='last_stage'":
        "take the tick at “cache” away, or let the last stage learn too",
    "train='head' with cache=True": "“head: the classifier” with the tick at “cache”",
    "train='head'": "“head: the classifier”",
    "train='last_stage'": "“last stage and classifier”",
    "train='all'": "“everything”",
    "cache=False": "no tick at “cache”",
    "with views=2 or more": "with 2 or more views",
    "finetune(..., resume=True) with what this one began with": "Start with the settings that it began with",
    "2 photos or more (accumulate= adds batches up)": "2 photos or more",
    "If the labels are numbers to be estimated, say so: outputs='numbers'.":
        "If the labels are numbers to be estimated, start the run in a cell, which can say so.",
}
_EACH = "|".join(sorted(WORDS, key=len, reverse=True))
_NAMES = re.compile(rf"(?<![\w'\"./\\-])({_EACH})(?![\w'\"/\\-]|\.\w)")


def in_words(text: str) -> str:
    """A sentence of the core for a reader of a panel: no argument, no call. Names of files stay."""
    for typed, said in _DOING.items():
        text = text.replace(typed, said)
    return _NAMES.sub(lambda found: WORDS[found[1]], text)


def name_of(setting: str) -> str:
    return WORDS.get(setting, setting.replace("_", " "))
