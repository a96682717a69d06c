"""A stack as one network: its meta learner in torch is scikit-learn's, and it goes wherever a model goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import explorer
from explorer.models.ensembles.stacked_model import StackedModel
from explorer.models.outputs import Outputs
from explorer.training.choosing.meta import Meta, features_of
from tests.training.test_finetune import painted

COLOURS = ("red", "green", "blue")


def taught(learner, kind, labels=COLOURS, *, members=2, seen=None, seed=0):
    """(a meta learner taught by made-up answers, these answers)."""
    outputs = Outputs(kind, tuple(labels))
    random = np.random.default_rng(seed)
    answers = torch.from_numpy(random.dirichlet(np.ones(len(labels)), (members, 60)))
    truth = random.integers(0, seen or len(labels), 60)
    if kind == "several":
        truth = random.integers(0, 2, (60, len(labels)))
        truth[:, 0] = 1  # one that is always there
    elif kind == "numbers":
        answers = 100 * answers
        truth = random.normal(50, 10, (60, len(labels)))
    features = features_of(answers, outputs)
    return Meta(learner, outputs, 0).fit(features, truth), features


@pytest.mark.parametrize("learner", ["logistic", "mlp"])
@pytest.mark.parametrize("kind, labels, seen", [
    ("one", COLOURS, None), ("one", COLOURS, 2), ("one", ("a", "b"), None), ("several", COLOURS, None),
    ("numbers", ("hue",), None), ("numbers", ("hue", "size"), None)])
def test_the_meta_learner_in_torch_gives_what_scikit_learn_gives(learner, kind, labels, seen):
    meta, features = taught(learner, kind, labels, seen=seen)
    found = meta.head()(torch.from_numpy(features))
    wanted = meta.scores(features).float()
    assert found.shape == wanted.shape and torch.allclose(found, wanted, atol=2e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def stack():
    torch.manual_seed(0)
    names = "lenet5", "mobilenetv3_small_050"
    first, second = (explorer.create_model(name, num_classes=3) for name in names)
    first.config = first.config.with_(labels=COLOURS)
    second.config = second.config.with_(labels=COLOURS[::-1], mean=(0.4, 0.5, 0.6))
    meta, _ = taught("logistic", "one")
    return StackedModel({"le/net": first, "mobile": second}, meta=meta.head(), labels=COLOURS).eval()


def expected(stack, photo):
    """By hand, with each member's own answer in the stack's order."""
    said = [{p.label: p.probability for p in explorer.predict(member, photo)} for member in stack.members]
    answers = torch.tensor([[each[name] for name in COLOURS] for each in said])[:, None]
    meta, _ = taught("logistic", "one")
    return meta.scores(features_of(answers, stack.outputs))[0].exp()


def test_it_is_looked_at_explained_judged_and_compared_like_any_model(stack, tmp_path):
    photos = painted(6)
    photo = photos.open_one(0)
    seen = explorer.look(stack, photo)
    assert torch.allclose(seen.probabilities.double(), expected(stack, photo), atol=1e-4)
    assert "stack of le/net and mobile" in repr(seen) and "le/net/S4" in seen.stages
    judged = explorer.evaluate(stack, photos)
    assert torch.allclose(judged.probabilities[0].double(), expected(stack, photo), atol=1e-4)
    for method in ("gradcam", "saliency"):
        heats = [explorer.explain(stack, photo, method=method, target=i).heatmap for i in range(3)]
        assert heats[0].shape == (40, 48) and any(bool(heat.any()) for heat in heats), method
    result = explorer.compare([stack, stack.member("mobile")], [photo], measure=False)
    assert result.names[0].startswith("stack of le/net")
    features = explorer.run_folder(stack, photos, cache_dir=tmp_path)
    assert np.allclose(features.logits[0], seen.logits, atol=1e-4)


def test_it_is_saved_and_opened_again_and_damage_is_a_sentence(stack, tmp_path):
    import json

    stack.save(tmp_path / "it")
    photo = painted(1).open_one(0)
    again = explorer.create_model(f"local-dir:{tmp_path / 'it'}", pretrained=True).eval()
    assert isinstance(again, StackedModel) and again.config.labels == COLOURS and again.names == stack.names
    assert torch.allclose(explorer.look(again, photo).logits, explorer.look(stack, photo).logits, atol=1e-6)
    assert not again.load_report.skipped
    bare = explorer.create_model(f"local-dir:{tmp_path / 'it'}", pretrained=True, num_classes=0).eval()
    assert bare(torch.rand(1, 3, *bare.img_size)).shape == (1, stack.num_features)
    facts = json.loads((tmp_path / "it/config.json").read_text())
    options = dict(facts["pretrained_cfg"]["build_options"])
    for change in ({"sizes": [6]}, {"sizes": [10**9, 3]}, {"sizes": [6, 5, 3]}, {"seen": 4}, {"seen": "x"}):
        facts["pretrained_cfg"]["build_options"] = [*map(list, {**options, **change}.items())]
        (tmp_path / "it/config.json").write_text(json.dumps(facts))
        with pytest.raises(explorer.WeightsError, match="damaged|does not describe a model"):
            explorer.create_model(f"local-dir:{tmp_path / 'it'}", pretrained=True)


def test_what_a_stack_has_not_is_said(stack):
    with pytest.raises(ValueError, match="no weights to set"):
        stack.set_weights([1, 1])
    with pytest.raises(TypeError, match="model is a stack, whose meta learner weighs"):
        explorer.fit_weights(stack, painted(6))
    with pytest.raises(ValueError, match="teach another one, explorer.stack"):
        stack.reset_classifier(5)
    meta, _ = taught("logistic", "one", ("red", "green", "pink"))
    with pytest.raises(ValueError, match="le/net tells other classes than the meta learner"):
        StackedModel(dict(zip(stack.names, stack.members)), meta=meta.head(), labels=("red", "green", "pink"))
