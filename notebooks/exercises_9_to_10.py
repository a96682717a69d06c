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


# --- lesson 10: ensembles, stacking, distillation --------------------------------------------------------


def _mean(function: Any) -> str:
    import torch

    random = torch.Generator().manual_seed(10)
    several = [torch.randn(4, 5, generator=random).mul(3) for _ in range(3)]
    found = torch.as_tensor(called(function, [logits.clone() for logits in several]))
    stacked = torch.stack(several)
    if found.shape != (4, 5):
        return f"Of 3 networks, 4 photos and 5 classes it gives the shape {tuple(found.shape)}, not (4, 5)."

    def near(one: Any) -> bool:
        return torch.allclose(found.float(), one, atol=1e-4)

    if near(stacked.softmax(2).mean(0)):
        return ""
    if near(stacked.mean(0).softmax(1)):
        return "That is the mean of logits: a single network could forbid a class to all others."
    if near(stacked.mean(0)) or near(stacked.sum(0)):
        return "Those are still logits. Each network's answers become probabilities first."
    if near(stacked.softmax(2).sum(0)):
        return "The sum: of each photo it adds up to 3, the number of networks."
    if near(stacked.softmax(2).mean(0).log()):
        return "Its logarithm. Probabilities are meant."
    if near(stacked.softmax(2).mean(0).softmax(1)):
        return "Probabilities need no second softmax, which makes all of them alike."
    if near(stacked.softmax(0).mean(0)) or near(stacked.softmax(1).mean(0)):
        return "The softmax is taken the wrong way: the classes of one photo add up to 1."
    return "The numbers are not right. Section 1 has both ways, for one photo."


def _soft_loss(function: Any) -> str:
    import torch

    random = torch.Generator().manual_seed(10)
    student, teacher = (torch.randn(4, 5, generator=random).mul(3) for _ in range(2))
    warm = 2.5
    found = torch.as_tensor(called(function, student.clone(), teacher.clone(), warm))
    if found.numel() != 1:
        return f"One number is meant, and this has the shape {tuple(found.shape)}: the mean over the photos."

    def loss(own: Any, said: Any) -> Any:
        p, log_q = (said / warm).softmax(1), (own / warm).log_softmax(1)
        return (p * (p.log() - log_q)).sum(1)

    def near(one: Any) -> bool:
        return bool(torch.isclose(found.float().flatten()[0], one, rtol=1e-3))

    right = loss(student, teacher).mean()
    if near(right * warm ** 2):
        return ""
    if near(right) or near(right * warm):
        return "Nearly: times the temperature *squared*."
    if near(right * warm ** 2 / 5) or near(right / 5):
        return 'Divided by the classes, too: of F.kl_div the reduction "batchmean" is meant, not "mean".'
    if near(right * warm ** 2 * 4) or near(right * 4):
        return "The sum over the photos; the mean is meant."
    if near(loss(teacher, student).mean() * warm ** 2) or near(loss(teacher, student).mean()):
        return "The other way round: the teacher's probabilities weigh the differences."
    p, log_q = (teacher / warm).softmax(1), (student / warm).log_softmax(1)
    if near(-(p * log_q).sum(1).mean() * warm ** 2) or near(-(p * log_q).sum(1).mean()):
        return "That is the cross-entropy: where both agree, the divergence must be 0."
    if near((teacher.softmax(1) * (teacher.log_softmax(1) - student.log_softmax(1))).sum(1).mean() * warm ** 2):
        return "At temperature 1: divide the logits by the temperature first."
    return "The number is not right. Both are divided by T before the softmax, and all classes are added up."


# --- the answers, as hashes, and the trials ---------------------------------------------------------------

EXERCISES: dict[str, Any] = {
    "9.1": Number("b42d9e567162048e", slips={
        "c0888ccbc467d1ab": "Nearly: one token has no patch.",
        "f3ad376e2862562d": "That is how many tokens there are. A share says how much one takes from one.",
        "315ab9dd31864439": "That is how many patches there are. A share says how much one takes from one.",
    }, hint="Count the patches, then the tokens, then the pairs: each asks all, itself too."),
    "9.2": Tried(_head),
    "9.3": Tried(_rollout),
    "10.1": Number("fc8a231573ec0be1", digits=3, slips={
        "523a75c5d57b3d9b": "That is one voter. Can the other two outvote an error?",
        "a4a8ba0291727238": "That is all three at once. Two of them are a majority, too.",
        "1b20f99351391a95": "That is exactly two. Three right are a majority, too.",
        "c15f5e90d8852d6c": "That is at least one: a single one is no majority of three.",
        "3dc9fa1862e95536": "That is how often the majority is wrong.",
        "3ccec4c108532f70": "That is two certain voters, whatever the third says. Which two may it be?",
    }, hint="Add up: all three right, and three ways of exactly one being wrong."),
    "10.2": Tried(_mean),
    "10.3": Tried(_soft_loss),
}
