"""The second level of stacking: a small model that reads the members' answers, by scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.models.outputs import Outputs

LEAST = 1e-6  # a probability below which members are all as sure
LEARNERS = ("logistic", "mlp")
HIDDEN = 16


def features_of(answers: Tensor, outputs: Outputs) -> np.ndarray:
    """Members' answers [M, N, K] -> [N, M * K]: log-probabilities, of several classes at once log-odds, of
    numbers the numbers.
    """
    p = answers.double()
    if not outputs.numbers:
        p = p.clamp(LEAST, 1 - LEAST if outputs.several else 1.0)
        p = torch.logit(p) if outputs.several else p.log()
    return p.permute(1, 0, 2).reshape(p.shape[1], -1).numpy()


class Meta:
    """learner: "logistic" (of numbers ridge regression) or "mlp" (one hidden layer);  seed: draws its first
    weights
    """

    def __init__(self, learner: str, outputs: Outputs, seed: int):
        self.learner, self.outputs, self.seed = learner, outputs, seed
        self.estimator: Any = None
        self.inputs = 0

    def fit(self, features: np.ndarray, labels: Any) -> Meta:
        """features: [N, M * K];  labels: class indices [N], rows of 0 and 1 or of numbers [N, K]"""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from threadpoolctl import threadpool_limits

        self.inputs = features.shape[1]
        self.estimator = make_pipeline(StandardScaler(), self._last())
        truth = np.asarray(labels)
        with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", message="Label .* is present in all training examples")
            if self.outputs.numbers and truth.shape[1] == 1:
                truth = truth[:, 0]
            self.estimator.fit(features, truth)
        return self

    def _last(self) -> Any:
        from sklearn.linear_model import LogisticRegression, RidgeCV
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        if self.learner == "mlp":
            kind = MLPRegressor if self.outputs.numbers else MLPClassifier
            return kind(hidden_layer_sizes=(HIDDEN,), alpha=0.1, solver="lbfgs", max_iter=500,
                        random_state=self.seed % 2**32)
        if self.outputs.numbers:
            return RidgeCV(np.logspace(-3, 3, 13))
        one = LogisticRegression(C=1.0, max_iter=1000)
        return OneVsRestClassifier(one) if self.outputs.several else one

    def scores(self, features: np.ndarray) -> Tensor:
        """Raw scores [N, K] float64: log-probabilities, log-odds, or the numbers themselves."""
        if self.outputs.numbers:
            return torch.from_numpy(np.asarray(self.estimator.predict(features))).reshape(len(features), -1)
        found = torch.from_numpy(np.asarray(self.estimator.predict_proba(features), dtype=np.float64))
        if self.outputs.several:
            return torch.logit(found.clamp(LEAST, 1 - LEAST))
        p = torch.full((len(features), len(self.outputs)), LEAST**2, dtype=torch.float64)
        p[:, torch.as_tensor(self.estimator.classes_, dtype=torch.long)] = found.clamp(min=LEAST**2)
        return p.log()

    def shares(self, members: int) -> list[float] | None:
        """How much of the weight each member's answers have, [M], adding up to 1; None for an mlp."""
        if self.learner == "mlp":
            return None
        last = self.estimator[-1]
        rows = [one.coef_ for one in last.estimators_ if hasattr(one, "coef_")] if \
            hasattr(last, "estimators_") else [last.coef_]
        weight = np.abs(np.concatenate([np.atleast_2d(row) for row in rows])).sum(0)
        parts = weight.reshape(members, -1).sum(1)
        return (parts / max(parts.sum(), 1e-12)).tolist()
