"""The panel of predictions, and those beside it,
for models of each kind of output: what is said, drawn and written down.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import explorer
from explorer.widgets.session import ExplorerError
from tests.html import parse
from tests.inspection.small_models import red_and_blue, told

SEVERAL = ("several", ("red", "blue", "<img src=x>"))
YES = ("yes/no", ("not red", "red"))
NUMBERS = ("numbers", ("weight", "<img src=x>"))


@pytest.fixture
def opened(tmp_path):
    dashes = []

    def show(outputs, labels):
        scale = {"number_mean": (100.0, 0.0), "number_std": (10.0, 1.0)} if outputs == "numbers" else {}
        red_and_blue().save(tmp_path / "squares.png")
        dash = explorer.Dashboard(told(outputs, labels, **scale), images=[tmp_path / "squares.png"])
        dash.wait()
        dashes.append(dash)
        return dash

    yield show
    for dash in dashes:
        dash.close()


def test_several_classes_have_bars_that_stand_alone(opened):
    """case A6: the words say so, and the shares are sigmoids."""
    panel = opened(*SEVERAL).predictions
    shares = panel.session.look.logits.sigmoid()
    values = {answer.value for answer in panel.answers.rows}
    assert values == {f"{100 * float(share):.1f} %" for share in shares}
    assert parse(panel.meaning.value).says("share of its own")
    assert "<img src=x>" in [answer.name for answer in panel.answers.rows]  # the page writes it as text
    assert "share of its own" in panel.caption() and panel.figure() is not None
    assert panel.figure().axes[1].get_xlabel() == "probability (sigmoid)"


def test_a_yes_or_no_has_two_bars_of_one_score(opened):
    """case A6: the Dashboard said "class 0, 100 %" of every photo."""
    panel = opened(*YES).predictions
    first, second = panel.answers.rows
    assert "not red" in (first.name, second.name) and "100.0 %" not in (first.value, second.value)
    assert "by a sigmoid" in panel.meaning.value


def test_numbers_have_no_bars_and_no_percentages(opened):
    panel = opened(*NUMBERS).predictions
    weight = panel.session.look.predictions[0]
    assert panel.answers.rows[0].value == weight.text and panel.answers.label.startswith("Numbers")
    assert all(answer.share is None and "%" not in answer.value for answer in panel.answers.rows)
    assert panel.topk.layout.display == panel.logits.layout.display == "none"
    assert panel.figure() is not None and "Numbers" in panel.caption()


def test_a_score_that_is_no_number_draws_no_bar(opened):
    dash = opened(*YES)
    with torch.no_grad():
        dash.session.model.fc.weight.fill_(float("nan"))
    dash.session.image = red_and_blue(32)
    dash.wait()
    assert {answer.value for answer in dash.predictions.answers.rows} == {"not a number"}


@pytest.mark.parametrize("kind", [SEVERAL, YES, NUMBERS], ids=["several", "yes/no", "numbers"])
def test_experiments_and_the_page_to_keep_follow_the_kind(opened, kind):
    """case A6: what was a share of 100 % before and after, or "only one class"."""
    from explorer.widgets.panels.what_if.panel import WhatIfPanel

    dash = opened(*kind)
    panel = WhatIfPanel(dash.session)
    panel.build()
    panel.fgsm.epsilon.index = 6
    assert panel.wait() and panel.fgsm.bars.value
    assert panel.figure() is not None and panel.caption() and "explorer.fgsm" in panel.code()
    panel.robust.strength.index = 3
    panel.robust.draw_curve.click()
    assert panel.wait() and parse(panel.robust.chart.value).find_all("svg")
    assert panel.figure() is not None and panel.caption()
    blocks = (panel.fgsm, panel.robust)
    said = "".join(block.bars.value + block.says.value for block in blocks)
    page = str(dash.snapshot().data)
    assert "<img src=x>" not in said + page and ("%" in said) == (kind is not NUMBERS)
    assert panel.robust.find.layout.display == ("none" if kind is NUMBERS else "")
    if kind is NUMBERS:
        pushed = panel.fgsm.found[panel.fgsm.epsilon.value].after[0]
        before, after = panel.session.look.predictions[0].value, pushed.value
        assert after < before
        panel.fgsm.aim.value = "towards"
        assert panel.wait() and panel.fgsm.found[panel.fgsm.epsilon.value].after[0].value > before
    panel.close()


def test_the_heat_map_of_a_number_is_said_to_be_one(opened):
    from explorer.widgets.panels.explain.panel import ExplainPanel

    panel = ExplainPanel(opened(*NUMBERS).session)
    panel.build()
    assert panel.wait()
    look = panel.session.look
    facts = parse(panel.facts.value)
    assert panel.target.description == "Number"
    assert facts.says(look.predictions[0].text) and not facts.says("%")
    assert "number weight" in panel.caption()
    panel.target.value = "weight"
    assert panel.wait() and "target=0" in panel.code()
    panel.close()


def test_the_no_can_be_explained_by_its_name(opened):
    from explorer.widgets.panels.explain.panel import ExplainPanel

    panel = ExplainPanel(opened(*YES).session)
    panel.build()
    panel.target.value = "red"
    assert panel.wait() and panel.shown.target == 1
    yes = panel.shown.raw
    panel.target.value = "not red"
    assert panel.wait() and panel.shown.target == 0
    np.testing.assert_allclose(panel.shown.raw, -yes, atol=1e-6)
    panel.close()


@pytest.mark.parametrize("labels, expected", [(["cat"], {"cat", "not cat"}),
                                              (["dog", "cat"], {"dog", "cat"})])
def test_the_dashboard_names_a_yes_or_no(labels, expected):
    """case A6, A7: one name is the yes."""
    dash = explorer.Dashboard(explorer.create_model("resnet10t", num_classes=1), labels=labels)
    dash.wait()
    assert {one.label for one in dash.session.look.predictions} == expected
    dash.close()


def test_names_that_are_not_a_named_models_are_refused_before_it_is_opened():
    """case A7."""
    with pytest.raises(ValueError, match="names 2 classes, but this model has 1000"):
        explorer.Dashboard("tf_efficientnet_lite0", labels=["cat", "dog"])


def test_names_for_one_model_do_not_stay_with_another():
    """case A5: five names of one's own on a model of a thousand gave "class 0"."""
    dash = explorer.Dashboard(explorer.create_model("resnet10t", num_classes=2), labels=["cat", "dog"])
    dash.wait()
    dash.session.model = "tf_efficientnet_lite0"
    try:
        dash.wait()
    except ExplorerError:
        pytest.fail(dash.session.error)
    assert not dash.session.look.predictions[0].label.startswith("class ")
    dash.close()
