"""Calibration, uncertainty and likely label errors: against formulas, cleanlab, and cases made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.data.photos import Collection
from explorer.models.outputs import Outputs
from explorer.training.doubt.label_issues import confident_joint
from explorer.training.doubt.temperature import fitted, losses_of, scores_of
from explorer.training.doubt.uncertainty import Uncertainty
from tests.html import parse


def made(raw: torch.Tensor, labels: torch.Tensor, **facts) -> explorer.Evaluation:
    """An evaluation of raw scores [N, K]."""
    several = labels.ndim == 2
    return explorer.Evaluation(
        tuple("abcdefgh"[:raw.shape[1]]), (raw.sigmoid() if several else raw.softmax(1)).float(), labels,
        losses_of(raw, labels).float(), tuple(f"{i}.png" for i in range(len(raw))), **facts)


@pytest.fixture(scope="module")
def too_sure() -> tuple[torch.Tensor, torch.Tensor]:
    """Scores [2000, 4] that are 3 times too large for how often they are right."""
    torch.manual_seed(0)
    raw = torch.randn(2000, 4, dtype=torch.float64) * 1.5
    labels = torch.multinomial(raw.softmax(1), 1)[:, 0]
    return 3 * raw, labels


# --- temperature --------------------------------------------------------------------------------------------


def test_the_temperature_is_where_the_loss_has_no_slope_and_near_the_true_one(too_sure):
    raw, labels = too_sure
    found = explorer.calibrate(made(raw, labels))
    assert found.temperature == pytest.approx(3, rel=0.06)
    t = torch.tensor(found.temperature, dtype=torch.float64, requires_grad=True)
    losses_of(raw / t, labels).mean().backward()
    assert abs(t.grad.item()) < 1e-4
    assert found.after.calibration.error < 0.4 * found.before.calibration.error
    assert found.after.loss < found.before.loss and found.after.top1 == found.before.top1
    page = parse(found._repr_html_())
    assert "too sure" in page.text and len(page.find_all("table")) == 3
    assert found.plot()._repr_png_().startswith(b"\x89PNG")


def test_the_halves_are_judged_by_each_other_and_another_set_by_all(too_sure):
    raw, labels = too_sure
    found = explorer.calibrate(made(raw, labels), seed=3)
    order = np.random.default_rng(3).permutation(2000)
    other = fitted(raw[order[1::2]], labels[order[1::2]])
    expected = (raw[order[0]] / other).softmax(0)
    assert torch.allclose(found.after.probabilities[order[0]].double(), expected, atol=1e-6)
    told = explorer.calibrate(made(raw[:1000], labels[:1000]), made(raw[1000:], labels[1000:]))
    assert len(told.after) == 1000 and told.after.calibration.error < told.before.calibration.error


@pytest.mark.parametrize("several", [False, True])
def test_scores_of_probabilities_are_the_scores_but_for_a_shift(several):
    torch.manual_seed(0)
    raw = torch.randn(50, 3, dtype=torch.float64) * 4
    labels = (torch.rand(50, 3) > 0.5).long() if several else torch.randint(3, (50,))
    back = scores_of(made(raw, labels))
    shift = back - raw if several else back - raw - (back - raw).mean(1, keepdim=True)
    assert shift.abs().max() < (2e-2 if several else 1e-4)


def test_several_classes_have_a_temperature_too():
    torch.manual_seed(0)
    raw = torch.randn(1500, 3, dtype=torch.float64)
    labels = torch.bernoulli(raw.sigmoid()).long()
    assert explorer.calibrate(made(4 * raw, labels)).temperature == pytest.approx(4, rel=0.1)


def test_where_all_are_right_the_end_of_the_scale_is_said():
    raw = 5 * torch.eye(3, dtype=torch.float64).repeat(5, 1)
    found = explorer.calibrate(made(raw, torch.arange(3).repeat(5)))
    assert found.temperature == 0.05 and "end of what was tried" in found.notes[0]


def colour_net(drop: float = 0.0, seed: int = 0, labels=("red", "green", "blue"), body_drop: float = 0.0,
               size: int = 24):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Dropout2d(body_drop), nn.AdaptiveAvgPool2d(1),
              nn.Flatten(), nn.Dropout(drop), nn.Linear(8, 3)]
    return explorer.wrap(nn.Sequential(*layers), input_size=(3, size, size), labels=list(labels)).eval()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    for number, name in enumerate(("red", "green", "blue")):
        (folder / name).mkdir()
        for i in range(8):
            pixels = random.integers(0, 90, (24, 24, 3), dtype=np.uint8)
            pixels[..., number] += 150
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def test_a_calibrated_model_says_what_was_foretold(photos):
    model = colour_net()
    with torch.no_grad():
        model.get_classifier().weight.mul_(30)
    before = explorer.evaluate(model, photos, split="all")
    found = explorer.calibrate(before)
    assert found.apply(model) is model
    after = explorer.evaluate(model, photos, split="all")
    expected = (scores_of(before) / found.temperature).softmax(1)
    assert torch.allclose(after.probabilities.double(), expected, atol=1e-5)
    with pytest.raises(ValueError, match="one linear layer"):
        found.apply(explorer.create_model("resnet18", num_classes=0))


# --- uncertainty --------------------------------------------------------------------------------------------


def test_entropy_and_mutual_information_are_the_formulas():
    answers = torch.tensor([[[0.9, 0.1], [0.5, 0.5]], [[0.1, 0.9], [0.5, 0.5]]], dtype=torch.float64)
    found = Uncertainty(answers, Outputs("one", ("cat", "dog")), ("a", "b"), ("x", "y"), ("", ""),
                        "disagreement")
    own = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert found.entropy.tolist() == pytest.approx([np.log(2)] * 2)
    assert found.disagreement.tolist() == pytest.approx([np.log(2) - own, 0])
    assert found.rows[0].name == "x"  # both are open, about one alone the members disagree
    assert found.margin.tolist() == pytest.approx([0, 0]) and found.spread.tolist() == pytest.approx([0.4, 0])


def test_members_with_classes_in_another_order_agree(photos, tmp_path):
    model = colour_net(seed=1)
    turned = colour_net(seed=1, labels=("blue", "red", "green"))
    with torch.no_grad():
        for part in ("weight", "bias"):
            mine = getattr(model.get_classifier(), part)
            getattr(turned.get_classifier(), part).copy_(mine[[2, 0, 1]])
    found = explorer.uncertain({"a": model, "b": turned}, photos, cache_dir=tmp_path)
    assert found.members == ("a", "b") and found.disagreement.max() < 1e-6
    alone = explorer.uncertain(model, photos, cache_dir=tmp_path)
    assert alone.by == "entropy" and [row.entropy for row in alone.rows] == sorted(
        (row.entropy for row in alone.rows), reverse=True)
    assert torch.allclose(alone.mean, explorer.evaluate(model, photos, split="all").probabilities.double(),
                          atol=1e-5)


@pytest.mark.parametrize("where", ["head", "body", "rate"])
def test_dropout_that_stays_on_spreads_the_answers_and_leaves_the_model_as_it_was(photos, where):
    if where == "rate":
        torch.manual_seed(0)
        model = explorer.create_model("resnet18", num_classes=3, drop_rate=0.5).eval()
        model.config = model.config.with_(input_size=(3, 32, 32), labels=("red", "green", "blue"))
    else:
        model = colour_net(drop=0.5 * (where == "head"), body_drop=0.5 * (where == "body"))
    first, again = (explorer.uncertain(model, photos, passes=6, batch_size=10) for _ in range(2))
    assert first.answers.shape == (6, 24, 3) and torch.equal(first.answers, again.answers)
    assert (first.spread > 0).all() and first.by == "disagreement"
    assert not any(part.training for part in model.modules())
    other = explorer.uncertain(model, photos, passes=6, batch_size=10, seed=1)
    assert not torch.equal(first.answers, other.answers)
    sure = explorer.evaluate(model, photos, split="all").probabilities.double()
    assert (explorer.uncertain(model, photos, passes=200, batch_size=24).mean - sure).abs().max() < 0.1


def test_the_members_of_an_ensemble_see_their_own_photos_in_passes_with_dropout_too(photos):
    """Dropout that drops next to nothing: the passes say what the ensemble says."""
    members = {str(size): colour_net(seed=size, drop=1e-9, size=size) for size in (20, 32)}
    team = explorer.Ensemble(members)
    found = explorer.uncertain(team, photos, passes=2)
    sure = explorer.evaluate(team, photos, split="all").probabilities.double()
    assert torch.allclose(found.mean, sure, atol=1e-5)


def test_a_stop_before_two_have_answered_is_not_taken_for_one_model(photos, tmp_path):
    with pytest.raises(ValueError, match="Stopped before two members had answered.* no disagreement"):
        explorer.uncertain([colour_net(), colour_net(seed=1)], photos, by="disagreement", cache_dir=tmp_path,
                           batch_size=5, should_stop=lambda: True)


def test_a_net_without_dropout_is_told_so(photos):
    with pytest.raises(ValueError, match="no dropout that is switched on.*drop_rate=0.2"):
        explorer.uncertain(colour_net(), photos, passes=5)
    with pytest.raises(ValueError, match="One answer a photo has no disagreement"):
        explorer.uncertain(colour_net(), photos, by="disagreement")
    with pytest.raises(ValueError, match="passes=3 is for one model"):
        explorer.uncertain([colour_net(), colour_net()], photos, passes=3)


def test_a_member_that_cannot_be_asked_is_named(photos, tmp_path):
    broken = colour_net()
    with torch.no_grad():
        broken.get_classifier().weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="Member 2 of models, broken, can't be asked: its scores"):
        explorer.uncertain({"good": colour_net(), "broken": broken}, photos, cache_dir=tmp_path)
    with pytest.raises(ValueError, match="different classes: b tells cat"):
        explorer.uncertain({"a": colour_net(), "b": colour_net(labels=("cat", "dog", "eel"))}, photos,
                           cache_dir=tmp_path)


def test_the_least_sure_photos_are_shown_with_what_was_left_out(photos, tmp_path):
    broken = tmp_path / "<b>.png"
    broken.write_bytes(b"no photo")
    files = [*sorted(photos.rglob("*.png"))[:5], broken]
    found = explorer.uncertain([colour_net(), colour_net(seed=1)], files, cache_dir=tmp_path / "cache")
    page = parse(found._repr_html_())
    assert len(found) == 5 and len(page.find_all("img")) == 5 and "Left out, <b>.png" in page.text
    found.to_csv(tmp_path / "next.csv")
    lines = (tmp_path / "next.csv").read_text().splitlines()
    assert len(lines) == 6 and lines[1].startswith(found.rows[0].name)
    stopped = explorer.uncertain([colour_net(), colour_net(seed=1)], files, batch_size=2,
                                 cache_dir=tmp_path / "cache2", should_stop=lambda: True)
    assert len(stopped) == 2 and "Stopped after 2 of 6" in stopped.notes[0]


def test_photos_with_the_same_name_are_told_apart(photos, tmp_path):
    reds, blues = (sorted((photos / name).glob("*.png"))[:2] for name in ("red", "blue"))
    opened = [Image.open(file).convert("RGB") for file in (*reds, *blues)]
    same = Collection(("a.png",) * 4, lambda i: opened[i], (None,) * 4)
    found = explorer.uncertain(colour_net(), same, cache_dir=tmp_path)
    expected = explorer.evaluate(colour_net(), photos, split="all")
    place = [expected.files.index(file) for file in (*reds, *blues)]
    assert torch.allclose(found.mean, expected.probabilities[place].double(), atol=1e-5)


def test_the_members_of_an_ensemble_are_asked_and_count_as_they_do(photos, tmp_path):
    nets = {"a": colour_net(seed=1), "b": colour_net(seed=2)}
    team = explorer.Ensemble(nets, weights={"a": 0.8, "b": 0.2})
    found = explorer.uncertain(team, photos, cache_dir=tmp_path)
    assert found.by == "disagreement" and found.members == ("a", "b")
    said = explorer.evaluate(team, photos, split="all").probabilities.double()
    assert torch.allclose(found.mean, said, atol=1e-5)
    own = [-(p * p.log()).sum(1) for p in found.answers]
    assert torch.allclose(found.disagreement, found.entropy - 0.8 * own[0] - 0.2 * own[1])
    apart = (found.answers[0] - found.answers[1]).abs().gather(1, found.mean.argmax(1, keepdim=True))[:, 0]
    assert torch.allclose(found.spread, (0.8 * 0.2) ** 0.5 * apart)
    voting = explorer.Ensemble(nets, combine="vote")  # whose answer is no mean of theirs
    assert explorer.uncertain(voting, photos, cache_dir=tmp_path).by == "entropy"


def test_numbers_are_as_unsure_as_the_members_are_apart(photos, tmp_path):
    nets = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
        nets.append(explorer.wrap(module, input_size=(3, 24, 24), outputs="numbers", labels=["age"]).eval())
    found = explorer.uncertain(nets, photos, cache_dir=tmp_path)
    apart = (found.answers[0] - found.answers[1]).abs()[:, 0] / 2
    assert found.by == "spread" and torch.allclose(found.spread, apart) and "age" in found.rows[0].answer
    parse(found._repr_html_())
    with pytest.raises(ValueError, match="has no spread"):
        explorer.uncertain(nets[0], photos, cache_dir=tmp_path)


# --- likely label errors ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mislabelled() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(probabilities [600, 4], given labels, which of them are wrong)."""
    random = np.random.default_rng(0)
    true = random.integers(0, 4, 600)
    raw = random.normal(0, 1, (600, 4))
    raw[np.arange(600), true] += 3
    p = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
    given, wrong = true.copy(), random.random(600) < 0.08
    given[wrong] = (true[wrong] + 1) % 4
    return p, given, wrong


def judged(p: np.ndarray, labels: np.ndarray, **facts) -> explorer.Evaluation:
    p = torch.from_numpy(p)
    return made(p.log(), torch.from_numpy(labels), **facts)


def test_confident_learning_is_that_of_cleanlab(mislabelled):
    count = pytest.importorskip("cleanlab.count")
    find = pytest.importorskip("cleanlab.filter").find_label_issues
    p, given, wrong = mislabelled
    p = p.astype(np.float32).astype(np.float64)
    found = explorer.label_errors(judged(p, given))
    assert np.array_equal(found.confident, count.compute_confident_joint(given, p, calibrate=False))
    expected = find(given, p, filter_by="confident_learning", return_indices_ranked_by="normalized_margin",
                    n_jobs=1)
    assert {row.index for row in found.rows} == set(expected.tolist())
    assert np.allclose(found.joint, count.estimate_joint(
        given, p, confident_joint=count.compute_confident_joint(given, p, calibrate=True)), atol=2e-3)
    hit = np.mean([wrong[row.index] for row in found.rows])
    assert hit > 0.9 and len(found) > wrong.sum() / 2
    assert found.share == pytest.approx(wrong.mean(), abs=0.015)


def test_the_confident_joint_of_a_case_made_by_hand():
    labels = np.array([0, 0, 0, 1, 1])
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.45, 0.55]])
    # the bars: 0.6 for class 0, 0.625 for class 1; the last photo reaches none
    table, off = confident_joint(labels, p)
    assert table.tolist() == [[2, 1], [0, 1]] and off == [(2, 1)]


def test_a_class_without_photos_and_photos_with_several_classes(mislabelled):
    p, given, _ = mislabelled
    wide = np.concatenate((p * 0.99, np.full((600, 1), 0.01)), 1)
    assert explorer.label_errors(judged(wide, given)).confident[:, 4].sum() == 0
    truth = torch.tensor([[1, 0], [1, 1], [0, 1], [0, 0]] * 10)
    shares = truth.double() * 0.8 + 0.1
    truth = truth.clone()
    truth[0, 1] = 1
    found = explorer.label_errors(made(torch.logit(shares), truth))
    assert [(row.index, row.given, row.suggested) for row in found.rows] == [(0, "b", "not b")]
    assert found.confident.shape == (2, 2, 2)


def test_label_errors_show_themselves_and_can_be_kept(mislabelled, tmp_path):
    p, given, _ = mislabelled
    found = explorer.label_errors(judged(p, given, split="train"))
    page = parse(found._repr_html_())
    assert "likely wrong" in page.text and "forgives" in page.text
    found.to_csv(tmp_path / "check.csv")
    assert len((tmp_path / "check.csv").read_text().splitlines()) == len(found) + 1
    none = explorer.label_errors(judged(np.eye(4)[given] * 0.96 + 0.01, given))
    assert len(none) == 0 and none.share == 0
    parse(none._repr_html_())


# --- what is given in place of a result ---------------------------------------------------------------------


@pytest.mark.parametrize("ask", [explorer.calibrate, explorer.label_errors,
                                 lambda given: explorer.differ(given, given)])
def test_who_gives_a_model_hears_which_line_judges_it(ask):
    with pytest.raises(TypeError, match=r"explorer\.evaluate\(model, data\)"):
        ask(colour_net())
    with pytest.raises(TypeError, match="a list of 1, the first a Evaluation"):
        ask([made(torch.rand(4, 2), torch.tensor([0, 1, 0, 1]))])


def test_an_ensemble_is_calibrated_by_its_members():
    found = explorer.calibrate(made(torch.rand(8, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])))
    with pytest.raises(ValueError, match="calibrate each member"):
        found.apply(explorer.Ensemble({"a": colour_net(), "b": colour_net(seed=1)}))
