"""Several models that answer together: what each sees, who is refused, and the way back from a folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.models.watching import watching

NAMES = ("ant", "bee", "cat", "dog")
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8))


def net(seed=0, *, classes=4, size=24, channels=3, labels=NAMES, **wrapping):
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Conv2d(channels, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3, 2),
                           nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
    module[-1].weight.data *= 8
    made = explorer.wrap(module, input_size=(channels, size, size), labels=labels, name=f"net{seed}",
                         **wrapping)
    return made.eval()


def logits_of(model, photo=PHOTO):
    return explorer.look(model, photo).logits


# --- one photo, each member by its own preprocessing --------------------------------------------------------


@pytest.fixture(scope="module")
def mixed():
    """Three members: another size, another crop and interpolation, another number of channels."""
    first, second, grey = net(0, size=24), net(1, size=32), net(2, size=20, channels=1)
    second.config = second.config.with_(interpolation="bicubic", crop_pct=0.8, mean=(0.5,) * 3,
                                        std=(0.25,) * 3)
    return explorer.Ensemble({"first": first, "second": second, "grey": grey}).eval()


def expected(ensemble, photo=PHOTO):
    return torch.stack([logits_of(model, photo).softmax(-1) for model in ensemble.members]).mean(0)


def test_each_member_sees_a_photo_as_it_does_alone(mixed):
    wanted = expected(mixed)
    assert torch.allclose(explorer.look(mixed, PHOTO).probabilities, wanted, atol=1e-6)
    alone = {p.label: p.probability for p in explorer.predict(mixed, PHOTO)}
    table = {p.label: p.probability for p in explorer.predict(mixed, [PHOTO] * 3).rows[1].predictions}
    for name, share in zip(NAMES, wanted.tolist()):
        assert alone[name] == pytest.approx(share, abs=1e-6) and table[name] == pytest.approx(share, abs=1e-6)
    folder = explorer.run_folder(mixed, [PHOTO])
    assert np.allclose(torch.tensor(folder.logits[0]).softmax(-1), wanted, atol=1e-6)


def test_in_the_frame_it_sees_nearly_the_same(mixed):
    from explorer.data.transforms import create_transform, resolve_data_config

    smooth = Image.fromarray(np.tile(np.linspace(0, 255, 70, dtype=np.uint8)[None, :, None], (50, 1, 3)))
    frame = create_transform(**resolve_data_config({}, model=mixed))(smooth)
    assert frame.shape == (3, *mixed.img_size)
    with torch.no_grad():
        found = mixed(frame[None])[0].softmax(-1)
    assert torch.allclose(found, expected(mixed, smooth), atol=0.02)


def test_members_of_one_geometry_are_exact_on_tensors_too():
    from explorer.data.transforms import create_transform, resolve_data_config

    other = net(1)
    other.config = other.config.with_(mean=(0.1, 0.2, 0.3), std=(0.3, 0.2, 0.1))
    both = explorer.Ensemble([net(0), other]).eval()
    tensor = create_transform(**resolve_data_config({}, model=both))(PHOTO)
    with torch.no_grad():
        assert torch.allclose(both(tensor[None])[0].softmax(-1), expected(both), atol=1e-6)


def test_a_mirror_image_is_each_members_own(mixed):
    inputs = [torch.rand(1, *way.size) for way in mixed.frames.ways]
    packed = torch.stack([mixed.frames.pack([each[0] for each in inputs])])
    for own, mirrored in zip(inputs, mixed.frames.unpack(mixed.frames.mirrored(packed))):
        assert torch.equal(own.flip(-1), mirrored)


def test_stages_embedding_and_heat_maps_are_the_members(mixed):
    seen = explorer.look(mixed, PHOTO)
    alone = explorer.look(mixed.member("second"), PHOTO)
    stage = [*alone.stages][-1]
    assert torch.allclose(seen.stages[f"second/{stage}"], alone.stages[stage], atol=1e-5)
    assert seen.embedding.shape == (24,) and torch.allclose(seen.embedding[8:16], alone.embedding, atol=1e-5)
    heat = explorer.explain(mixed, PHOTO, stage=f"second/{stage}")
    own = explorer.explain(mixed.member("second"), PHOTO, stage=stage)
    assert heat.seen_box == own.seen_box and heat.heatmap.shape == (50, 70)
    assert any("one member" in note for note in explorer.explain(mixed, PHOTO, look=seen).notes)
    assert explorer.explain(mixed, PHOTO, method="saliency").heatmap.any()


def test_members_with_one_body_share_its_pass():
    first, second = net(0), net(1)
    for number in range(len(first.module) - 1):
        second.module[number] = first.module[number]
    both = explorer.Ensemble([first, second]).eval()
    count = []
    with watching({"conv": first.module[0]}, after=lambda *_: count.append(1)):
        shared = both(torch.rand(2, 3, 24, 24))
    assert len(count) == 1 and len(both.stage_table) == len(first.stage_table)
    x = torch.rand(2, 3, 24, 24)
    wanted = (first(x).softmax(-1) + second(x).softmax(-1)) / 2
    assert torch.allclose(both(x).softmax(-1), wanted, atol=1e-6) and shared.shape == (2, 4)
    count.clear()
    apart = explorer.Ensemble([net(0), net(0)])
    with watching({"a": apart.members[0].module[0], "b": apart.members[1].module[0]},
                  after=lambda *_: count.append(1)):
        apart(x)
    assert len(count) == 2  # like ones are not the same ones


def test_a_changed_weight_makes_an_old_look_stale():
    both = explorer.Ensemble([net(0), net(1)]).eval()
    seen = explorer.look(both, PHOTO)
    both.set_weights({"net0": 3, "net1": 1})
    assert not seen._origin.is_still(both)
    own = [logits_of(model).softmax(-1) for model in both.members]
    assert torch.allclose(explorer.look(both, PHOTO).probabilities, 0.75 * own[0] + 0.25 * own[1], atol=1e-6)


# --- classes in another order, other kinds ------------------------------------------------------------------


def test_classes_in_another_order_are_told_by_their_names():
    other = net(1, labels=("Dog", "ant", "cat", "bee"))
    both = explorer.Ensemble([net(0), other]).eval()
    wanted = (logits_of(both.members[0]).softmax(-1) + logits_of(other).softmax(-1)[[1, 3, 2, 0]]) / 2
    assert torch.allclose(explorer.look(both, PHOTO).probabilities, wanted, atol=1e-6)


def test_a_yes_that_is_the_others_no_is_turned_round():
    one = net(0, classes=1, labels=("cat", "dog"), outputs="yes/no")
    other = net(1, classes=1, labels=("dog", "cat"), outputs="yes/no")
    both = explorer.Ensemble([one, other]).eval()
    dog = (explorer.look(one, PHOTO).probabilities[1] + explorer.look(other, PHOTO).probabilities[0]) / 2
    assert float(explorer.look(both, PHOTO).probabilities[1]) == pytest.approx(float(dog), abs=1e-6)


def test_numbers_are_averaged_in_their_own_unit():
    members = [net(seed, classes=2, labels=names, outputs="numbers")
               for seed, names in enumerate((("kg", "cm"), ("cm", "kg")))]
    members[0].config = members[0].config.with_(number_mean=(50.0, 100.0), number_std=(10.0, 2.0))
    members[1].config = members[1].config.with_(number_mean=(101.0, 40.0), number_std=(3.0, 5.0))
    both = explorer.Ensemble(members, weights=[3, 1]).eval()
    own = [{p.label: p.value for p in explorer.predict(model, PHOTO)} for model in members]
    for found in explorer.predict(both, PHOTO):
        assert found.value == pytest.approx(0.75 * own[0][found.label] + 0.25 * own[1][found.label], rel=1e-5)


def without_head():
    return explorer.create_model("lenet5", num_classes=0)


def on_meta():
    with torch.device("meta"):
        return explorer.create_model("lenet5", num_classes=4)


@pytest.mark.parametrize("other, says", [
    (lambda: net(9, labels=("ant", "bee", "cow", "dog")), r"net9 does not know 'cat'.*has 'cow'"),
    (lambda: net(9, classes=3, labels="abc"), r"net9 has 3 classes, and net0 has 4"),
    (lambda: net(9, outputs="several"), r"net9 gives several classes at once.*outputs='one'"),
    (lambda: net(9, labels=None), r"Nobody said what the classes of the member net9"),
    (lambda: net(9, labels=("ant", "bee", "ant", "dog")), r"net9 does not know 'cat'"),
    (lambda: net(9, channels=5), r"reads pictures of"),
    (lambda: explorer.Ensemble([net(9)]), r"is an ensemble itself"),
    (without_head, r"lenet5 has no classifier.*fuse_features"),
    (on_meta, r"lenet5 has shapes but no weights"),
    (lambda: "resnet5O", r"'resnet5O' can't be had.*resnet50"),
    (lambda: nn.Linear(2, 2), r"Linear can't take part.*explorer.wrap"),
    (lambda: 5, r"a member that is a int"),
])
def test_who_can_not_take_part_is_named(other, says):
    with pytest.raises((ValueError, TypeError), match=says):
        explorer.Ensemble([net(0), other()])


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], "much", {"net0": 1}, {"net0": 1, "who": 2}, 3,
                                     True, [float("nan"), 1], [[1, 0, 1, 1], [1, 0, 1, 1]]])
def test_weights_that_can_not_be_are_refused(weights):
    with pytest.raises((ValueError, TypeError), match="weights"):
        explorer.Ensemble([net(0), net(1)], weights=weights)


def test_a_member_that_breaks_in_its_pass_is_named():
    both = explorer.Ensemble([net(0), net(1)]).eval()
    both.members[1].module[3].weight.data = torch.zeros(8, 5, 3, 3)
    with pytest.raises(RuntimeError, match="The member net1 failed"):
        both(torch.rand(1, 3, 24, 24))
    both = explorer.Ensemble([net(0), net(1)])
    both.members[0].reset_classifier(2)
    with pytest.raises(ValueError, match="The member net0 has another classifier"):
        explorer.predict(both, PHOTO)


def test_attention_is_one_networks_and_halves_stand_beside_floats():
    tiny = dict(img_size=32, depth=2, num_classes=4)
    first = explorer.create_model("vit_tiny_patch16_224", **tiny)
    both = explorer.Ensemble([first, explorer.create_model("vit_tiny_patch16_224", **tiny).bfloat16()]).eval()
    with torch.no_grad():
        assert torch.isfinite(both(torch.rand(2, 3, 32, 32))).all()
    with pytest.raises(ValueError, match="attention of one network, and this model holds 2"):
        explorer.explain(both, PHOTO, method="rollout")


def test_a_photo_that_is_not_changed_says_the_same(mixed):
    curve = explorer.robustness(mixed, PHOTO, "noise", values=(0.0, 0.2))
    assert not curve.points[0].flipped
    assert curve.points[0].probability == pytest.approx(float(expected(mixed).max()), abs=1e-5)


# --- the contract, and the way back from a folder -----------------------------------------------------------


def test_the_classifier_works_on_the_vectors_in_a_row(mixed):
    x = torch.rand(2, 3, *mixed.img_size)
    features = mixed.forward_features(x)
    vector, logits = mixed.forward_vector_and_logits(features)
    assert vector.shape == (2, mixed.num_features) and torch.equal(logits, mixed(x))
    assert torch.allclose(mixed.forward_classifier(vector), logits, atol=1e-5)


def test_a_new_head_for_all_members_and_none():
    both = explorer.Ensemble([net(0), net(1)], weights=[[1, 2, 3, 4], [4, 3, 2, 1]])
    both.reset_classifier(7)
    x = torch.rand(2, 3, 24, 24)
    assert both(x).shape == (2, 7) and both.weights.shape == (2,)
    both.reset_classifier(0)
    assert both(x).shape == (2, 16)


@pytest.mark.parametrize("combine", ["mean", "vote"])
def test_a_saved_ensemble_opens_again(tmp_path, combine):
    torch.manual_seed(0)
    first, second = (explorer.create_model(name, num_classes=4)
                     for name in ("lenet5", "mobilenetv3_small_050"))
    first.config = first.config.with_(labels=NAMES)
    second.config = second.config.with_(labels=NAMES[::-1], mean=(0.4, 0.5, 0.6))
    both = explorer.Ensemble({"le/net": first, "mobile.net": second}, combine=combine, weights=[1, 3]).eval()
    both.save(tmp_path / "both")
    again = explorer.create_model(f"local-dir:{tmp_path / 'both'}", pretrained=True).eval()
    assert torch.allclose(logits_of(again), logits_of(both), atol=1e-6)
    assert again.names == both.names and again.combine == combine and again.config.labels == NAMES
    assert not again.load_report.skipped
    with pytest.raises(ValueError, match="in_chans can't be set for a saved ensemble"):
        explorer.create_model(f"local-dir:{tmp_path / 'both'}", in_chans=4)


def test_a_damaged_folder_says_which_member_is_broken(tmp_path):
    both = explorer.Ensemble({f"m{i}": explorer.create_model("lenet5", num_classes=4) for i in range(2)})
    both.save(tmp_path)
    facts = json.loads((tmp_path / "config.json").read_text())
    broken = json.loads(json.dumps(facts))
    broken["pretrained_cfg"]["members"][1]["architecture"] = "resnet5O"
    (tmp_path / "config.json").write_text(json.dumps(broken))
    with pytest.raises(RuntimeError, match="The member 'm1' of .*resnet50"):
        explorer.create_model(f"local-dir:{tmp_path}", pretrained=True)
    for change in ({"members": [{"architecture": 5}] * 2}, {"members": "two"}, {"build_options": []},
                   {"members": [5, 6]}, {"members": [{"members": []}] * 70}):
        broken = json.loads(json.dumps(facts))
        broken["pretrained_cfg"] |= change
        (tmp_path / "config.json").write_text(json.dumps(broken))
        with pytest.raises(RuntimeError):
            explorer.create_model(f"local-dir:{tmp_path}", pretrained=True)


def test_an_ensemble_is_compared_judged_and_embedded_like_any_model(mixed, tmp_path):
    for name in NAMES[:2]:
        (tmp_path / name).mkdir()
        for number in range(4):
            noise = np.random.default_rng(number).integers(0, 255, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / name / f"{number}.png")
    judged = explorer.evaluate(mixed, tmp_path, split="all")
    assert judged.probabilities.shape == (8, 4)
    first = judged.data.open_one(0)
    assert torch.allclose(judged.probabilities[0].float(), expected(mixed, first), atol=1e-6)
    both = explorer.compare([mixed, mixed.member("first")], PHOTO, measure=False)
    assert both.names[0].startswith("ensemble of first, second and grey")
    assert explorer.embed(mixed, tmp_path).features.embeddings.shape == (8, 24)
    assert "ensemble of first" in repr(explorer.look(mixed, PHOTO))
