"""The exercises of the course: what is open is told open, what is wrong is told wrong; nothing raises."""

from __future__ import annotations

import math
import re
import sys

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
    functions = "1.2", "2.2", "3.3", "4.1", "4.3", "5.2", "5.3", "8.1", "8.2", "9.2", "9.3"
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
    ("5.2", learning(in_part)), ("8.2", falls), ("8.2", lambda *given: falls(*given).tolist()),
    ("8.3", "fc"), ("8.3", ["C", "F"]),
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
