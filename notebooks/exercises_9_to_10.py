"""What is asked in lessons 9 and 10: see `exercises.py`."""

from __future__ import annotations

from typing import Any

from checking import Number, Tried, called

# --- lesson 9: transformers ------------------------------------------------------------------------------


def _head(function: Any) -> str:
    import torch

    random = torch.Generator().manual_seed(9)
    queries, keys, values = (torch.randn(5, 4, generator=random) for _ in range(3))
    found = torch.as_tensor(called(function, queries.clone(), keys.clone(), values.clone()))
    fit = queries @ keys.T
    if found.shape == fit.shape:
        return ("Of 5 tokens with 4 numbers each it gives 5 × 5 numbers: those are shares. Each token "
                "receives the mean of all values by its shares, which has 4 numbers.")
    if found.shape != values.shape:
        return f"Of 5 tokens with 4 numbers each it gives the shape {tuple(found.shape)}, not (5, 4)."
    scaled = fit / 2  # the root of 4

    def near(shares: Any) -> bool:
        return torch.allclose(found.float(), shares @ values, atol=1e-4)

    if near(scaled.softmax(1)):
        return ""
    if near(fit.softmax(1)) or near((fit / 4).softmax(1)) or near((fit / 5 ** 0.5).softmax(1)):
        return "Nearly: by what are products of queries and keys divided, so that they don't grow with D?"
    if near(scaled.softmax(0)) or near(fit.softmax(0)):
        return "The softmax is taken the wrong way: what one token (a row) takes from all adds up to 1."
    if near(scaled.T.softmax(1)) or near(fit.T.softmax(1)):
        return "Who asks, and who is asked? Row i belongs to the query of token i."
    if near(scaled) or near(fit):
        return "Products of queries and keys are no shares yet: they must be positive, and add up to 1."
    return "The numbers are not right. Section 4 has all the steps, for two heads at once."


def _rollout(function: Any) -> str:
    import torch

    random = torch.Generator().manual_seed(9)
    layers = [torch.randn(2, 4, 4, generator=random).mul(2).softmax(-1) for _ in range(3)]
    found = torch.as_tensor(called(function, [layer.clone() for layer in layers]))
    if found.shape != (4, 4):
        return f"Of 2 heads and 4 tokens it gives the shape {tuple(found.shape)}, not (4, 4)."
    one = torch.eye(4)
    means = [layer.mean(0) for layer in layers]
    halves = [0.5 * mean + 0.5 * one for mean in means]

    def near(parts: list[Any]) -> bool:
        return torch.allclose(found.float(), parts[2] @ parts[1] @ parts[0], atol=1e-4)

    if near(halves):
        return ""
    if near(halves[::-1]):
        return "The other way round: the last block reads what the blocks before have mixed."
    if near(means):
        return "Half of each token stays where it is, on the way past the layer: the identity is missing."
    if near([mean + one for mean in means]):
        return "Nearly: rows must add up to 1. Half of the one, half of the other."
    if torch.allclose(found.float(), halves[2], atol=1e-4):
        return "That is the last block alone."
    if torch.allclose(found.float(), halves[2] * halves[1] * halves[0], atol=1e-4):
        return "Shares of shares: that is a product of matrices, @, not of their numbers one by one."
    return "The numbers are not right. Section 6 has the steps, of which a head is the first."


# --- the answers, as hashes, and the trials ---------------------------------------------------------------

EXERCISES: dict[str, Any] = {
    "9.1": Number("b42d9e567162048e", slips={
        "c0888ccbc467d1ab": "Nearly: one token has no patch.",
        "f3ad376e2862562d": "That is how many tokens there are. A share says how much one takes from one.",
        "315ab9dd31864439": "That is how many patches there are. A share says how much one takes from one.",
    }, hint="Count the patches, then the tokens, then the pairs: each asks all, itself too."),
    "9.2": Tried(_head),
    "9.3": Tried(_rollout),
}
