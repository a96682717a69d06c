"""The exercises of the course: what is open is told open, what is wrong is told wrong; nothing raises."""

from __future__ import annotations

import math
import re
import sys
from statistics import mean, median

import nbformat
import pytest
import torch

from tests.tools.run_notebooks import NOTEBOOKS, code_cells

SOLUTIONS = "solutions.ipynb"


@pytest.fixture(scope="module")
def exercises():
    """The module beside the notebooks, as a notebook imports it."""
    sys.path.insert(0, str(NOTEBOOKS))
    try:
        import exercises
        yield exercises
    finally:
        sys.path.remove(str(NOTEBOOKS))


def numbers() -> list[str]:
    """Of all exercises, as they stand in the lessons: "**1.1** ..."."""
    return [number for path in sorted(NOTEBOOKS.glob("lesson_[0-9]*.ipynb"))
            for cell in nbformat.read(path, as_version=4)["cells"] if cell["cell_type"] == "markdown"
            for number in re.findall(r"^\*\*(\d+\.\d+)\*\* ", cell["source"], re.M)]


def test_there_is_a_check_for_every_exercise(exercises):
    assert numbers() == [*exercises.EXERCISES]
    assert len(set(numbers())) == len(numbers())


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("lesson_[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_a_lesson_ends_in_two_or_three_exercises_that_say_not_yet(path, exercises):
    said = [output["data"]["text/plain"] for cell in code_cells(nbformat.read(path, as_version=4))
            if "check(" in cell["source"] for output in cell["outputs"]]
    number = int(re.match(r"lesson_(\d+)", path.stem)[1])
    assert 2 <= len(said) <= 3
    assert said == [repr(exercises.check(f"{number}.{i + 1}")) for i in range(len(said))]


def test_the_solutions_are_told_right(exercises):
    """As saved; nbval runs them, and compares."""
    cells = code_cells(nbformat.read(NOTEBOOKS / SOLUTIONS, as_version=4))
    checked = [cell for cell in cells if "check(" in cell["source"]]
    said = [cell["outputs"][-1]["data"]["text/plain"] for cell in checked]
    assert said == [f"Exercise {number}: right." for number in exercises.EXERCISES]
    assert all(cell["source"].startswith("# NBVAL_CHECK_OUTPUT\n") for cell in checked)


def forgetful(*given):
    """What a student has before the first line is written."""


STRANGE = [
    0, -1, 3.7, math.nan, math.inf, True, "", "abc", [], [1, 2], {}, object(), len, forgetful, lambda: 1,
    torch.zeros(2), torch.tensor(5.0), b"1", (1, 2, 3, 4), ["a", "b"], lambda *given: "no",
    lambda *given: 1 / 0,
]


def test_no_strange_answer_is_right_or_raises(exercises):
    for number in exercises.EXERCISES:
        for answer in STRANGE:
            said = exercises.check(number, answer)
            assert not said, (number, answer)
            assert said.words, (number, answer)


@pytest.mark.parametrize("answer", [..., None, forgetful, lambda *given: ...])
def test_what_is_not_answered_is_told_so(exercises, answer):
    functions = ("1.2", "2.2", "3.3", "4.1", "4.3", "5.2", "5.3", "6.2", "6.3", "7.1", "7.2", "8.1", "8.2",
                 "9.2", "9.3", "11.2", "11.3", "12.1", "12.2", "13.1", "13.2", "14.2", "14.3")
    for number in functions if callable(answer) else exercises.EXERCISES:
        assert exercises.check(number, answer).said == "not answered yet"


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
    ("13.2", lambda seconds, batch, warm_up: 1 / median(seconds[warm_up:]), "whole batch"),
    ("13.2", lambda seconds, batch, warm_up: batch / median(seconds), "warm up"),
    ("13.2", lambda seconds, batch, warm_up: batch / mean(seconds[warm_up:]), "disturbed"),
    ("13.2", lambda seconds, batch, warm_up: batch / seconds[(warm_up + len(seconds)) // 2], "sorted"),
    ("13.3", 0.038, "one side"), ("13.3", 0.0801, "chi-squared"), ("13.3", 0.694, "both are right"),
    ("13.3", 0.5, "A alone"),
    ("14.1", 18432, "norm behind it"), ("14.1", 9280, "one of the two"), ("14.1", 18688, "Running averages"),
    ("14.1", 5, "3 x 3"),
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
    ("9.9", 1, "no such exercise"), (1, 1, "no such exercise"),
]


@pytest.mark.parametrize(("number", "answer", "words"), WRONG)
def test_a_wrong_answer_is_told_why(exercises, number, answer, words):
    said = exercises.check(number, answer)
    assert said.said == "not right yet" and re.search(words, said.words), said


@pytest.mark.parametrize(("number", "answer"), [
    ("1.1", 8582496.0), ("1.1", torch.tensor(8582496)), ("2.3", "ResNet"), ("2.3", ["resnet"]), ("3.1", -3.0),
    ("3.2", torch.tensor([[1, 1, 1], [0, 0, 0], [-1, -1, -1]])), ("3.2", [[0, 2, 0], [0, 0, 0], [0, -2, 0]]),
    ("5.2", learning(in_part)), ("6.1", 4.605), ("6.1", math.log(100)),
    ("6.3", lambda *given: counted(*given).tolist()), ("6.3", lambda *given: counted(*given).double()),
    ("7.1", figures), ("7.1", lambda *given: torch.tensor(figures(*given))), ("7.3", "c, a, f"),
    ("8.2", falls), ("8.2", lambda *given: falls(*given).tolist()),
    ("8.3", "fc"), ("8.3", ["C", "F"]),
    ("12.1", shared), ("12.1", lambda *given: float(shared(*given))), ("12.2", large()), ("12.3", 450560.0),
    ("11.1", 0.23), ("11.1", 3 / 13), ("11.2", suppressed(stays=torch.tensor)),
    ("11.3", mean_precision), ("11.3", lambda *given: torch.tensor(mean_precision(*given))),
    ("9.2", lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v)), ("9.3", rolled),
])
def test_a_right_answer_may_be_written_in_more_than_one_way(exercises, number, answer):
    assert exercises.check(number, answer)


def test_a_number_behind_the_point_may_be_rounded_either_way(exercises):
    from checking import Number, number_hash

    asked = Number(number_hash("x", 0.8950, 2), digits=2)
    said = {value: asked.judge("x", value)[0] for value in (0.9, 0.895, 0.8949, 0.88, 0.91)}
    assert said == {0.9: True, 0.895: True, 0.8949: True, 0.88: False, 0.91: False}


def test_what_is_said_escapes_what_it_repeats(exercises):
    html = exercises.check("<b>", 1)._repr_html_()
    assert "<b>Exercise &lt;b&gt;" in html
