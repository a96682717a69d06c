"""What students answer in lessons 9 to 14: wrong, with what they are told, and right, in unusual ways."""

from __future__ import annotations

import math
from statistics import mean, median

import numpy as np
import torch


def together(several, *, softmax=2, logits=False, after=lambda shares: shares):
    """An answer to 10.2: `softmax` is the direction it is taken in, or None."""
    stacked = torch.stack(several)
    if logits:
        return after(stacked.mean(0))
    return after(stacked.softmax(softmax).mean(0))


def soft_loss(student, teacher, warm, *, reduction="batchmean", power=2):
    """An answer to 10.3."""
    own, said = (student / warm).log_softmax(1), (teacher / warm).softmax(1)
    return torch.nn.functional.kl_div(own, said, reduction=reduction) * warm ** power


def cross_entropy(student, teacher, warm):
    own, said = (student / warm).log_softmax(1), (teacher / warm).softmax(1)
    return -(said * own).sum(1).mean() * warm ** 2


def overlap(a, b):
    wide, high = (max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return wide * high / (areas - wide * high)


def suppressed(*, same=lambda a, b: a == b, order=lambda score: -score, stays=lambda kept: kept):
    """An answer to 11.2: `same` says whether a box of one class may throw out one of another."""
    def nms_by_class(boxes, scores, labels, most):
        kept = []
        for box in sorted(range(len(boxes)), key=lambda box: order(scores[box])):
            if all(not same(labels[box], labels[better]) or overlap(boxes[box], boxes[better]) <= most
                   for better in kept):
                kept.append(box)
        return stays(kept)

    return nms_by_class


def all_thrown(boxes, scores, labels, most):
    """11.2, but for boxes that were thrown out throwing out others."""
    return [box for box in sorted(range(len(boxes)), key=lambda box: -scores[box])
            if all(scores[other] <= scores[box] or labels[other] != labels[box]
                   or overlap(boxes[box], boxes[other]) <= most for other in range(len(boxes)))]


def mean_precision(right, things, *, by=lambda right, things: things):
    found = [sum(right[:shown]) / shown for shown in range(1, len(right) + 1) if right[shown - 1]]
    return sum(found) / max(1, by(right, things))


def shared(said, truth, index, *, counts=lambda truth: truth != 255, under=torch.logical_or):
    """An answer to 12.1: `counts` says which pixels count, `under` what is divided by."""
    one, other = ((mask == index) & counts(truth) for mask in (said, truth))
    return (one & other).sum() / under(one, other).sum().clamp(min=1)


def large(*, near=((0, 1), (1, 0), (1, 1), (1, -1)), enough=lambda size, smallest: size >= smallest, more=0):
    """An answer to 12.2: `near` are the steps to half of the neighbours, `more` is added at the end."""
    def count_large(mask, smallest):
        todo, count = {tuple(place) for place in mask.nonzero().tolist()}, more
        while todo:
            size, edge = 0, [todo.pop()]
            while edge:
                row, column = edge.pop()
                size += 1
                for down, across in near:
                    for place in ((row + down, column + across), (row - down, column - across)):
                        if place in todo:
                            todo.remove(place)
                            edge.append(place)
            count += enough(size, smallest)
        return count

    return count_large


def front_by(rows, cost):
    """The front for one of the costs alone."""
    front, best = [], 0
    for row in sorted(rows, key=lambda row: (row[cost], -row[3])):
        if row[3] > best:
            best = row[3]
            front.append(row[0])
    return front


class Block(torch.nn.Module):
    """A residual block; without its skip connection, or with a convolution in it in any case."""

    def __init__(self, before, after, stride, *, skip=True, always=False):
        super().__init__()
        self.one = torch.nn.Conv2d(before, after, 3, stride, 1)
        self.two = torch.nn.Conv2d(after, after, 3, 1, 1)
        self.skip = skip
        fits = before == after and stride == 1 and not always
        self.short = torch.nn.Identity() if fits or not skip else torch.nn.Conv2d(before, after, 1, stride)

    def forward(self, x):
        y = self.two(torch.relu(self.one(x)))
        return torch.relu(y + self.short(x)) if self.skip else y


def flat(side, strides, channels, divided):
    for stride in strides:
        side = divided(side, stride)
    return side * side * channels


def rolled(layers, stays=0.5, mixes=None, product=torch.matmul):
    mixes = 1 - stays if mixes is None else mixes
    parts = [mixes * layer.mean(0) + stays * torch.eye(layer.shape[-1]) for layer in layers]
    flow = parts[0]
    for part in parts[1:]:
        flow = product(part, flow)
    return flow


WRONG = [
    ("9.1", 331776, "no patch"), ("9.1", 577, "how many tokens"), ("9.1", 576, "how many patches"),
    ("9.1", 5, "then the pairs"),
    ("9.2", lambda q, k, v: (q @ k.T).softmax(1) @ v, "divided"),
    ("9.2", lambda q, k, v: (q @ k.T / 2).softmax(0) @ v, "wrong way"),
    ("9.2", lambda q, k, v: (k @ q.T / 2).softmax(1) @ v, "Who asks"),
    ("9.2", lambda q, k, v: (q @ k.T / 2) @ v, "no shares yet"),
    ("9.2", lambda q, k, v: (q @ k.T / 2).softmax(1), "those are shares"),
    ("9.2", lambda q, k, v: v, "not right"), ("9.2", lambda q, k, v: v[0], r"not \(5, 4\)"),
    ("9.3", lambda layers: rolled(layers[::-1]), "other way round"),
    ("9.3", lambda layers: rolled(layers, stays=0), "identity is missing"),
    ("9.3", lambda layers: rolled(layers, stays=1, mixes=1), "Half of the one"),
    ("9.3", lambda layers: rolled(layers[-1:]), "last block alone"),
    ("9.3", lambda layers: rolled(layers, product=torch.mul), "product of matrices"),
    ("9.3", lambda layers: layers[0], r"not \(4, 4\)"), ("9.3", lambda layers: torch.eye(4), "not right"),
    ("10.1", 0.8, "one voter"), ("10.1", 0.512, "all three"), ("10.1", 0.384, "exactly two"),
    ("10.1", 0.992, "at least one"), ("10.1", 0.104, "is wrong"), ("10.1", 0.64, "two certain voters"),
    ("10.1", 0.9, "Add up"),
    ("10.2", lambda several: together(several, logits=True, after=lambda mean: mean.softmax(1)), "forbid"),
    ("10.2", lambda several: together(several, logits=True), "still logits"),
    ("10.2", lambda several: together(several) * 3, "adds up to 3"),
    ("10.2", lambda several: together(several, after=torch.log), "logarithm"),
    ("10.2", lambda several: together(several, after=lambda mean: mean.softmax(1)), "second softmax"),
    ("10.2", lambda several: together(several, softmax=1), "wrong way"),
    ("10.2", lambda several: together(several, softmax=0), "wrong way"),
    ("10.2", lambda several: several[0].softmax(1), "not right"),
    ("10.2", lambda several: together(several)[0], r"not \(4, 5\)"),
    ("10.3", lambda *given: soft_loss(*given, power=0), "squared"),
    ("10.3", lambda *given: soft_loss(*given, power=1), "squared"),
    ("10.3", lambda *given: soft_loss(*given) / 5, "batchmean"),
    ("10.3", lambda *given: soft_loss(*given, reduction="sum"), "sum over the photos"),
    ("10.3", lambda *given: soft_loss(*given, reduction="none"), "One number"),
    ("10.3", lambda student, teacher, warm: soft_loss(teacher, student, warm), "other way round"),
    ("10.3", cross_entropy, "cross-entropy"),
    ("10.3", lambda student, teacher, warm: soft_loss(student, teacher, 1) * warm ** 2, "At temperature 1"),
    ("10.3", lambda *given: 0.5, "not right"),
    ("11.1", 6 / 32, "counted twice"), ("11.1", 0.375, "both together"), ("11.1", 6, "cover together"),
    ("11.1", 26, "do they share"), ("11.1", 0.5, "squared paper"), ("11.1", "6/26", "A number is meant"),
    ("11.2", suppressed(same=lambda a, b: True), "two classes"),
    ("11.2", suppressed(order=lambda score: score), "surer one"), ("11.2", all_thrown, "throws out no other"),
    ("11.2", suppressed(stays=sorted), "comes first"),
    ("11.2", lambda boxes, scores, labels, most: range(len(boxes)), "surer one"),
    ("11.3", lambda right, things: mean_precision(right, things, by=lambda r, t: sum(r)), "have no box"),
    ("11.3", lambda right, things: sum(right) / things, "2/3"),
    ("11.3", lambda right, things: sum(right) / len(right), "must give 0.833"),
    ("12.1", lambda *given: shared(*given, counts=lambda truth: truth >= 0), "255"),
    ("12.1", lambda *given: shared(*given, under=lambda one, other: other), "by one of them"),
    ("12.1", lambda said, truth, index: shared(said, truth, 1), "another class"),
    ("12.1", lambda *given: shared(*given) or math.nan, "must give 0.000"),
    ("12.2", large(enough=lambda size, smallest: True), "smaller"), ("12.2", large(more=1), "no piece"),
    ("12.2", large(enough=lambda size, smallest: size > smallest), "just so many"),
    ("12.2", large(near=((0, 1), (1, 0))), "corner"),
    ("12.3", 327680, "from below alone"), ("12.3", 122880, "across the bridge alone"),
    ("12.3", 112640, "Which size"), ("12.3", 204800, "doubled"), ("12.3", 360448, "wider"),
    ("12.3", 1802240, "too far"), ("12.3", 88, "Channels times"),
    ("13.1", lambda rows: front_by(rows, 1), "one cost alone"),
    ("13.1", lambda rows: [row[0] for row in rows], "As good and dearer"),
    ("13.1", lambda rows: front_by(rows[::-1], 1), "list of names"),
    ("13.1", lambda rows: {row[0] for row in rows}, "^What is meant is a list of names, and it gives {"),
    ("13.1", lambda rows: rows, "^What is meant is a list of names, each the first of its row"),
    ("13.1", ("a", "b"), "without brackets"), (13.3, 0.5, "A alone"),
    ("13.2", lambda seconds, batch, warm_up: 1 / median(seconds[warm_up:]), "whole batch"),
    ("13.2", lambda seconds, batch, warm_up: batch / median(seconds), "don't count"),
    ("13.2", lambda seconds, batch, warm_up: median(batch / one for one in seconds[warm_up:]),
     "median of the seconds"),
    ("13.2", lambda seconds, batch, warm_up: batch * median(seconds[warm_up:]), "two such passes fit"),
    ("13.2", 2.0, "without brackets"),
    ("13.2", lambda seconds, batch, warm_up: batch / mean(seconds[warm_up:]), "disturbed"),
    ("13.2", lambda seconds, batch, warm_up: batch / seconds[(warm_up + len(seconds)) // 2], "sorted"),
    ("13.3", 0.038, "one side"), ("13.3", 0.0801, "chi-squared"), ("13.3", 0.694, "both are right"),
    ("13.3", 0.5, "A alone"),
    ("14.1", 18432, "norm behind it"), ("14.1", 9280, "one of the two"), ("14.1", 18688, "Running averages"),
    ("14.1", 5, "3 x 3"),
    ("14.2", Block(6, 6, 1), "without brackets. This is a network"),
    ("14.2", lambda *given: 3, "object of a class"), ("14.2", lambda *given: Block, "object of a class"),
    ("14.2", lambda before, after, stride: torch.nn.Conv2d(before, after, 3, stride, 1), "two are meant"),
    ("14.2", lambda before, after, stride: torch.nn.Conv2d(before, after, 3), r"meant is \[2, 6, 9, 5\]"),
    ("14.2", lambda *given: Block(*given, skip=False), "Is the input added"),
    ("14.2", lambda *given: Block(*given, always=True), "equal shapes don't need"),
    ("14.2", lambda before, after, stride: Block(before, after, stride, skip=before == after and stride == 1),
     "go around"),
    ("14.2", lambda before, after, stride: Block(before, before, 1), "makes"),
    ("14.3", lambda side, strides, channels: side * side * channels, "8 x 8"),
    ("14.3", lambda *given: flat(*given, lambda a, b: a // b), "rounded up"),
    ("14.3", lambda *given: flat(*given, lambda a, b: a / b), "whole number"),
]

RIGHT = [
    ("9.2", lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v)), ("9.3", rolled),
    ("10.1", 0.896), ("10.1", 0.8 ** 3 + 3 * 0.8 ** 2 * 0.2), ("10.2", together), ("10.3", soft_loss),
    ("10.3", lambda *given: soft_loss(*given).item()),
    ("11.1", 0.23), ("11.1", 3 / 13), ("11.2", suppressed(stays=torch.tensor)),
    ("11.3", mean_precision), ("11.3", lambda *given: torch.tensor(mean_precision(*given))),
    ("14.3", lambda *given: np.int64(flat(*given, lambda side, stride: -(-side // stride)))),
    ("12.1", shared), ("12.1", lambda *given: float(shared(*given))), ("12.2", large()), ("12.3", 450560.0),
]
