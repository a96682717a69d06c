"""The features of several bodies under one head, and the mean of several models' weights."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.models.ensembles.parts_head import PartsHead
from tests.models.test_ensembles import NAMES, PHOTO, net


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes that a colour tells apart: reddish and bluish noise."""
    folder = tmp_path_factory.mktemp("photos")
    for part, count in (("train", 12), ("val", 8)):
        for number, name in enumerate(("blue", "red")):
            (folder / part / name).mkdir(parents=True)
            for index in range(count):
                noise = np.random.default_rng([index, number, count]).integers(0, 140, (30, 36, 3))
                noise[..., 0 if name == "red" else 2] += 100
                Image.fromarray(noise.astype(np.uint8)).save(folder / part / name / f"{index}.png")
    return folder


# --- fused features -----------------------------------------------------------------------------------------


def test_the_vectors_stand_in_a_row_each_by_its_own_preprocessing():
    first, second = net(0, size=24), net(1, size=32)
    both = explorer.fuse_features({"a": first, "b": second}).eval()
    own = [explorer.look(model, PHOTO) for model in (first, second)]
    seen = explorer.look(both, PHOTO)
    assert torch.allclose(seen.embedding, torch.cat([one.embedding for one in own]), atol=1e-5)
    assert first.num_classes == 4 and both.num_classes == 0  # the models given stay as they are
    stage = first.stage_table[0].name
    early = explorer.fuse_features({"a": first, "b": second}, {"a": stage}).eval()
    wanted = torch.cat([own[0].stages[stage].mean((1, 2)), own[1].embedding])
    assert torch.allclose(explorer.look(early, PHOTO).embedding, wanted, atol=1e-5)
    assert [row.name for row in early.stage_table][:2] == [f"a/{stage}", f"b/{second.stage_table[0].name}"]


@pytest.mark.parametrize("how", ["concat", "attend"])
def test_a_fused_network_is_finetuned_on_cached_features_saved_and_opened(how, photos, tmp_path):
    torch.manual_seed(0)
    bodies = {"le": explorer.create_model("lenet5", num_classes=10),
              "mobile": explorer.create_model("mobilenetv3_small_050", num_classes=10, img_size=48)}
    both = explorer.fuse_features(bodies, how=how)
    before = {key: value.clone() for key, value in both.members.state_dict().items()}
    passes = []
    both.members[1].conv_stem.register_forward_hook(lambda *_: passes.append(1))
    run = explorer.finetune(both, photos, epochs=4, lr=0.01, augment="none", batch_size=8).wait()
    assert run.recipe.cached and both.num_classes == 2 and len(passes) < 20
    assert all(torch.equal(value, before[key]) for key, value in both.members.state_dict().items())
    run.save(tmp_path / "run")
    again = explorer.create_model(f"local-dir:{tmp_path / 'run'}", pretrained=True).eval()
    one, other = (explorer.look(model, PHOTO) for model in (both.eval(), again))
    assert torch.allclose(one.logits, other.logits, atol=1e-5) and other.labels == ("blue", "red")
    assert other.model_name == "fused features of le and mobile"
    assert explorer.explain(again, PHOTO).heatmap.shape == (50, 70)


def test_the_head_normalises_each_part_and_attends_by_a_softmax():
    head = PartsHead((3, 5), 2, "attend")
    nn.init.normal_(head.query)
    x = torch.randn(4, 8)
    parts = [(part - part.mean(1, keepdim=True)) / (part.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
             for part in (x[:, :3], x[:, 3:])]
    tokens = [layer(part) for layer, part in zip(head.tokens, parts)]
    scores = torch.stack([token @ head.query / 16 for token in tokens], 1).exp()
    shares = scores / scores.sum(1, keepdim=True)
    wanted = head.fc(shares[:, :1] * tokens[0] + shares[:, 1:] * tokens[1])
    assert torch.allclose(head(x), wanted, atol=1e-5)


def test_a_wide_row_is_made_smaller_so_that_steps_of_the_head_are_not_larger():
    head, x = PartsHead((320, 320), 2, "concat"), torch.randn(4, 640)
    parts = [(part - part.mean(1, keepdim=True)) / (part.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
             for part in (x[:, :320], x[:, 320:])]
    assert torch.allclose(head(x), head.fc(torch.cat(parts, 1) / 2), atol=1e-5)
    head = PartsHead((320, 320), 2, "attend")  # whose second layer reads 256 numbers that have moved
    wanted = head.fc(sum(layer(part / 32) for layer, part in zip(head.tokens, parts)) / 2)
    assert torch.allclose(head(x), wanted, atol=1e-5)


@pytest.mark.parametrize("given, says", [
    (dict(stages="layer9"), "has no stage 'layer9'"), (dict(stages=["a"]), "1 names for 2 bodies"),
    (dict(stages={"who": "a"}), "'who', which is no member"), (dict(stages=3), "stages is '3'"),
    (dict(how="sum"), "how is 'sum'"),
])
def test_what_can_not_be_fused_is_said(given, says):
    with pytest.raises(ValueError, match=says):
        explorer.fuse_features([net(0), net(1)], **given)


def test_a_fused_network_is_no_member_and_is_not_called_an_ensemble():
    both = explorer.fuse_features([net(0), net(1)], num_classes=4)
    with pytest.raises(ValueError, match="both has several bodies under one head .*: only networks"):
        explorer.Ensemble({"both": both, "one": net(2)})


# --- soups --------------------------------------------------------------------------------------------------


def test_a_soup_has_the_mean_of_the_weights():
    models = [net(seed) for seed in range(3)]
    models[1].module[1].num_batches_tracked += 5
    made = explorer.soup(models)
    for key, value in made.state_dict().items():
        own = [model.state_dict()[key] for model in models]
        wanted = torch.stack(own).mean(0) if value.is_floating_point() else own[0]
        assert torch.allclose(value, wanted, atol=1e-6), key
    weighted = explorer.soup({"a": models[0], "b": models[1]}, weights={"a": 3, "b": 1})
    wanted = 0.75 * models[0].module[0].weight + 0.25 * models[1].module[0].weight
    assert torch.allclose(weighted.module[0].weight, wanted)
    assert made.load_report.name == "soup of 3"
    assert not made.module[0].weight.equal(models[0].module[0].weight)  # nobody's own


def test_a_greedy_soup_leaves_out_what_makes_it_worse(photos):
    good = net(0, classes=2, labels=("blue", "red"))
    good.module[0].weight.data[:] = 0
    good.module[0].weight.data[0, 0], good.module[0].weight.data[1, 2] = 1, 1
    good.module[3].weight.data[:] = 0
    good.module[3].weight.data[0, 0], good.module[3].weight.data[1, 1] = 1, 1
    good.module[7].weight.data[:] = 0
    good.module[7].weight.data[1, 0], good.module[7].weight.data[0, 1] = 1, 1
    twin, bad = copy.deepcopy(good), copy.deepcopy(good)
    bad.module[7].weight.data *= -30
    made = explorer.soup({"bad": bad, "good": good, "twin": twin}, data=photos)
    assert "bad left out" in made.load_report.noted[0] and "good, twin are in" in made.load_report.noted[0]
    assert explorer.evaluate(made, photos).top1 == 1.0 and torch.equal(made.module[7].weight,
                                                                       good.module[7].weight)


@pytest.mark.parametrize("other, says", [
    (lambda: explorer.create_model("lenet5", num_classes=4), "lenet5.*only weights of one architecture"),
    (lambda: net(0, labels=NAMES[::-1]), "other classes than net0, or in another order"),
])
def test_weights_that_can_not_be_averaged_are_named(other, says):
    with pytest.raises(ValueError, match=says):
        explorer.soup([net(0), other()])


def test_numbers_in_another_unit_are_named():
    first, second = (net(seed, classes=1, labels=["age"], outputs="numbers") for seed in range(2))
    for model, mean in ((first, 1.0), (second, 2.0)):
        model.config = model.config.with_(number_mean=(mean,), number_std=(1.0,))
    with pytest.raises(ValueError, match="has its numbers in another unit"):
        explorer.soup([first, second])


def test_weights_of_other_sizes_are_named():
    small, large = (explorer.create_model("lenet5", num_classes=n) for n in (3, 4))
    with pytest.raises(ValueError, match=r"lenet5 \(2\) has another .* than lenet5 \(4 x 84, not 3"):
        explorer.soup([small, large])


# --- weights by photos --------------------------------------------------------------------------------------


def test_weights_are_fitted_by_photos_and_set(photos, tmp_path):
    members = [net(seed, classes=2, labels=names) for seed, names in
               enumerate((("blue", "red"), ("red", "blue"), ("blue", "red")))]
    team = explorer.Ensemble(members)
    found = explorer.fit_weights(team, photos, cache_dir=tmp_path)
    assert found.after[1] <= min(found.before[1], *found.answers.losses) + 1e-9
    assert team.weights.tolist() == pytest.approx([*found.weights.values()], abs=1e-6)
    judged = explorer.evaluate(team, photos)
    assert judged.loss == pytest.approx(found.after[1], abs=1e-5)
    assert judged.top1 == pytest.approx(found.after[0]) and len(found.answers) == 16
    by_score = explorer.fit_weights(team, photos, by="score", cache_dir=tmp_path)
    shares = np.array(by_score.answers.scores)
    assert [*by_score.weights.values()] == pytest.approx(list(shares / shares.sum()))
    assert "fitted on these very photos" in found._repr_html_() and "WeightFit(net0" in repr(found)
    with pytest.raises(ValueError, match="votes have no slope"):
        explorer.fit_weights(explorer.Ensemble(members, combine="hard"), photos)
    with pytest.raises(TypeError, match="expected an ensemble"):
        explorer.fit_weights(members[0], photos)
    with pytest.raises(ValueError, match="class 'blue', which the members don't know"):
        explorer.fit_weights(explorer.Ensemble([net(0), net(1)]), photos)
