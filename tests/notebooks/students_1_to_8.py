"""What students answer in lessons 1 to 8: wrong, with what they are told, and right, in unusual ways."""

from __future__ import annotations

import math

import torch


def soft(logits):
    powers = torch.exp(logits)
    return powers / powers.sum()


def only_thaw(net, names):
    for name, part in net.named_children():
        if name in names:
            part.requires_grad_(True)
    return 0


def learning(choose, count=torch.numel):
    """An answer to 5.2: `choose(name of a parameter, names of parts)` says whether it learns."""
    def let_learn(net, names):
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(choose(name, names))
        return sum(count(parameter) for parameter in net.parameters() if parameter.requires_grad)

    return let_learn


def in_part(name, names):
    return name.split(".")[0] in names


def hits(net, batches):
    return sum(int((net(inputs).argmax(1) == labels).sum()) for inputs, labels in batches)


def counted(truth, answers, count):
    table = torch.zeros(count, count, dtype=torch.long)
    for true, said in zip(truth.tolist(), answers.tolist()):
        table[true, said] += 1
    return table


def figures(truth, answers, name, zero=0):
    """Precision and recall; zero: where there is nothing to divide by, None: it raises there."""
    both = sum(true == said == name for true, said in zip(truth, answers))
    return tuple(zero if zero is not None and not count else both / count
                 for count in (answers.count(name), truth.count(name)))


def twice(scores, photo, turned):
    return (scores(photo).softmax(0) + scores(photo.flip(turned)).softmax(0)) / 2


def covered(photo, row, column, side):
    photo[:, row * side:(row + 1) * side, column * side:(column + 1) * side] = 0
    return photo


def falls(score, photo, side, *, sign=1, cover=lambda photo, *square: covered(photo.clone(), *square)):
    whole = score(photo)
    return torch.tensor([[sign * (whole - score(cover(photo, row, column, side)))
                          for column in range(photo.shape[2] // side)]
                         for row in range(photo.shape[1] // side)])


def share(heat, box):
    left, top, right, bottom = box
    return heat[top:bottom, left:right].sum() / heat.sum()


WRONG = [
    ("1.1", 268203, "a batch has 32"), ("1.1", 8582495, "Photos times colours"),
    ("1.1", "8582496", "A number is meant"),
    ("1.2", soft, "For one of 1000 it fails"), ("1.2", torch.exp, "add up to"),
    ("1.2", lambda x: x / x.sum(), "e to the power"), ("1.2", lambda x: x[:2], "four probabilities"),
    ("1.3", (0, 0, 640, 476), "25%"), ("1.3", (0, 0, 100, 100), "at least 150"),
    ("1.3", (500, 0, 700, 200), "lie in the photo"),
    ("1.3", (400, 200, 300, 400), "at least 150"),
    ("2.1", 115200, "a bias too"), ("2.1", 1, "Kernel height"),
    ("2.2", lambda layers: 1 + sum(k - 1 for k, _ in layers), "stride"),
    ("2.2", lambda layers: 3, "see 5 pixels"),
    ("2.3", "DenseNet", "stacks maps"), ("2.3", "lenet", "two inputs"), ("2.3", 3, "Words in quotes"),
    ("3.1", 3, "signs"), ("3.1", 4, "Nine products"),
    ("3.2", [[-1, -1, -1], [0, 0, 0], [1, 1, 1]], "Turn something round"),
    ("3.2", [[1, 1, 1]] * 3, "add up to"),
    ("3.2", [[1, 0, -1]] * 3, "upright"), ("3.2", [[0] * 3] * 3, "no positive"), ("3.2", [1, 0, -1], "shape"),
    ("3.3", lambda size, k, s, p: (size + 2 * p - k) / s + 1, "whole number"),
    ("3.3", lambda size, k, s, p: size - k + 1, "Padding"),
    ("4.1", lambda a, b: (a * b).sum(), "itself"),
    ("4.1", lambda a, b: abs((a * b).sum()) / a.norm() / b.norm(), "opposite"),
    ("4.2", 9216, "a bias, too"),
    ("4.3", lambda v, c, q: int((v @ q).argmax()), "place"),
    ("4.3", lambda v, c, q: c[int((v @ q).argmax())], "angle"),
    ("5.1", 40980, "new head alone"), ("5.1", 25598012, "old head is gone"), ("5.1", 1, "Take the old head"),
    ("5.2", only_thaw, "must not"),
    ("5.2", learning(lambda name, names: name.startswith(tuple(names))), "these learn: stage4, stage40"),
    ("5.2", learning(in_part, count=lambda parameter: 1), "count numbers"),
    ("5.3", lambda losses, patience: losses.index(min(losses)), "nobody has seen"),
    ("5.3", lambda losses, patience: len(losses) - 1, "patience of 2 it gives 4"),
    ("6.1", 0.01, "minus the logarithm"), ("6.1", 2.302, "ten classes"), ("6.1", 2.0, "base of 10"),
    ("6.1", 6.644, "base of 2"), ("6.1", "4.61", "A number is meant"), ("6.1", 3.3, "Who guesses"),
    ("6.2", lambda net, batches: hits(net, batches) / 9, "training mode"),
    ("6.2", lambda net, batches: hits(net.eval(), batches), "how many"),
    ("6.2", lambda net, batches: sum(hits(net.eval(), [one]) / len(one[1]) for one in batches) / 3,
     "mean over"),
    ("6.2", lambda net, batches: hits(net.eval(), batches) / 9, "no_grad"),
    ("6.2", lambda net, batches: hits(net.eval(), batches[:1]) / 4, "largest number"),
    ("6.3", lambda truth, answers, count: counted(answers, truth, count), "exchanged"),
    ("6.3", lambda truth, answers, count: counted(truth, answers, count) > 0, "how often"),
    ("6.3", lambda truth, answers, count: counted(truth, answers, 3), r"shape \(3, 3\)"),
    ("6.3", lambda truth, answers, count: counted(truth, truth, count), "adds 1 in one place"),
    ("7.1", lambda *given: figures(*given)[::-1], "exchanged"),
    ("7.1", lambda *given: figures(*given, zero=None), "nothing to divide by"),
    ("7.1", lambda *given: figures(*given)[:1], "Two numbers"),
    ("7.1", lambda *given: tuple(round(100 * share, 2) for share in figures(*given)), "from 0 to 1"),
    ("7.1", lambda truth, answers, name: (truth.count(name), answers.count(name)), "Count three things"),
    ("7.2", lambda scores, photo: (scores(photo) + scores(photo.flip(2))) / 2, "mean of the logits. Softmax"),
    ("7.2", lambda scores, photo: ((scores(photo) + scores(photo.flip(2))) / 2).softmax(0), "Nearly"),
    ("7.2", lambda scores, photo: twice(scores, photo, 1), "Top and bottom"),
    ("7.2", lambda scores, photo: scores(photo.flip(2)).softmax(0), "one of the two"),
    ("7.2", lambda scores, photo: 2 * twice(scores, photo, 2), "not right"),
    ("7.2", lambda scores, photo: scores(torch.stack([photo, photo.flip(2)])), r"one photo \[3, 4, 6\]"),
    ("7.2", lambda scores, photo: twice(scores, photo.mul_(2), 2), "leave it as it is"),
    ("7.3", "ABCF", "mirror"), ("7.3", "ACDF", "Write a 6"), ("7.3", "E", "tomato"),
    ("7.3", "AC", "another one"), ("7.3", "AX", "A to F"),
    ("7.3", 7, "A to F"), ("7.3", [1, 3, 6], "A to F"), ("8.3", 7, "A to F"),
    ("7.2", torch.rand(4), "without brackets. This is of the type Tensor"),
    ("8.1", lambda heat, box: share(heat.T, box), "must give"),
    ("8.1", lambda heat, box: share(heat, box) * heat.sum(), "must give 1.000"),
    ("8.1", share, "zero everywhere"),
    ("8.2", lambda *given: falls(*given, sign=-1), "other way round"),
    ("8.2", lambda *given: falls(*given, cover=covered), "a copy"),
    ("8.2", lambda *given: falls(*given).T, r"shape \(2, 3\)"),
    ("8.2", lambda *given: falls(*given) + 1, "not right"),
    ("8.2", lambda score, photo, side: score(photo[:, :side, :side]), "whole photo"),
    ("8.3", "ACF", "where"), ("8.3", "F", "another one"), ("8.3", "XYZ", "A to F"),
    ("8.3", ["C", "E"], "For which classes"),
]

RIGHT = [
    ("1.1", 8582496.0), ("1.1", torch.tensor(8582496)), ("2.3", "ResNet"), ("2.3", ["resnet"]), ("3.1", -3.0),
    ("3.2", torch.tensor([[1, 1, 1], [0, 0, 0], [-1, -1, -1]])), ("3.2", [[0, 2, 0], [0, 0, 0], [0, -2, 0]]),
    ("5.2", learning(in_part)), ("7.3", {"C", "A", "F"}),
    ("6.1", 4.605), ("6.1", math.log(100)),
    ("6.3", lambda *given: counted(*given).tolist()), ("6.3", lambda *given: counted(*given).double()),
    ("7.1", figures), ("7.1", lambda *given: torch.tensor(figures(*given))), ("7.3", "c, a, f"),
    ("8.2", falls), ("8.2", lambda *given: falls(*given).tolist()),
    ("8.3", "fc"), ("8.3", ["C", "F"]),
]
