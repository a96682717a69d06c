"""The second level of stacking: a small model that reads the members' answers, by scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.models.ensembles.stacked_model import LEAST, NEVER, MetaHead, answers_in_a_row
from explorer.models.outputs import Outputs

LEARNERS = ("logistic", "mlp")
HIDDEN = 16


def features_of(answers: Tensor, outputs: Outputs) -> np.ndarray:
    """Members' answers [M, N, K] -> [N, M * K]: log-probabilities, of several classes at once log-odds, of
    numbers the numbers.
    """
    p = answers.double()
    said = p if outputs.numbers else torch.logit(p) if outputs.several else p.log()
    return answers_in_a_row(list(said), outputs).numpy()


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
        p = torch.full((len(features), len(self.outputs)), NEVER, dtype=torch.float64)
        p[:, torch.as_tensor(self.estimator.classes_, dtype=torch.long)] = found.clamp(min=NEVER)
        return p.log()

    def head(self) -> MetaHead:
        """The same as layers of torch, to be a part of a network; it gives what `scores` gives."""
        scaler, last = self.estimator[0], self.estimator[-1]
        if self.learner == "mlp":
            layers = [(weight.T, bias) for weight, bias in zip(last.coefs_, last.intercepts_)]
        elif self.outputs.several:
            layers = [tuple(map(np.stack, zip(*(_yes_or_no(one, self.inputs) for one in last.estimators_))))]
        else:
            layers = [(np.atleast_2d(last.coef_), np.atleast_1d(last.intercept_))]
        seen = self.estimator.classes_ if self.outputs.kind == "one" else range(len(self.outputs))
        sizes = (self.inputs, *(len(bias) for _, bias in layers))
        made = MetaHead(self.outputs.kind, len(self.outputs), sizes, len(seen))
        state = {"mean": scaler.mean_, "deviation": scaler.scale_, "seen": np.asarray(seen)}
        for number, (weight, bias) in enumerate(layers):
            state |= {f"layers.{number}.weight": weight, f"layers.{number}.bias": bias}
        made.load_state_dict({name: torch.as_tensor(np.asarray(value)) for name, value in state.items()})
        return made.eval().requires_grad_(False)

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


def _yes_or_no(estimator: Any, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """(weights [inputs], bias) of one of several yes-or-no learners; of one that saw the same answer only,
    that answer.
    """
    if hasattr(estimator, "coef_"):
        return estimator.coef_[0], estimator.intercept_[0]
    always = float(np.ravel(estimator.predict(np.zeros((1, inputs))))[0])
    return np.zeros(inputs), np.asarray(1e3 if always else -1e3)
