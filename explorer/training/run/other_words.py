"""What other libraries call an argument, so that who types it hears explorer's word."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.display.words import did_you_mean, meant

ELSEWHERE = {**dict.fromkeys(("cv", "k", "n_splits", "n_folds", "fold"), "folds"),
             **dict.fromkeys(("n_trials", "n_iter", "max_trials", "num_samples"), "trials"),
             **dict.fromkeys(("learning_rate", "rate"), "lr"),
             **dict.fromkeys(("val_share", "test_size", "holdout", "val_size"), "share"),
             **dict.fromkeys(("final_estimator", "meta_learner", "meta_model"), "meta"),
             **dict.fromkeys(("n_repeats", "repeat"), "repeats"),
             **dict.fromkeys(("metric", "scoring", "monitor"), "by"),
             **dict.fromkeys(("backbone", "arch", "architecture"), "model"),
             **dict.fromkeys(("T", "temp", "tau", "kd_temperature"), "temperature"),
             "random_state": "seed", "bs": "batch_size", "sampler": "method"}


def hint_for(word: str, known: Sequence[str]) -> str:
    """" Did you mean 'folds'?" for "cv" or "fold", where folds is known; "" where nothing is near."""
    there = ELSEWHERE.get(word)
    return meant([there]) if there in known else did_you_mean(word, known)
