"""Models that answer with something else than what is asked for are refused; the right function is named."""

from __future__ import annotations

import pytest

import explorer
from explorer.models.catalog import FAMILIES
from explorer.models.catalog.family import TASKS
from explorer.models.tasks import ASKED_BY

OTHERS = sorted({family.task for family in FAMILIES.values()} - {"classification"})
NAMES = {task: explorer.list_models(task=task)[0] for task in OTHERS}


def test_every_task_has_a_room_and_a_function():
    assert set(TASKS) == set(ASKED_BY)
    assert {family.task for family in FAMILIES.values()} <= set(TASKS)


@pytest.mark.parametrize("task", OTHERS)
def test_lists_tell_tasks_apart(task):
    names = explorer.list_models(task=task)
    assert names and not set(names) & set(explorer.list_models(task="classification"))
    assert set(names) <= set(explorer.list_models())


@pytest.mark.parametrize("task", OTHERS)
def test_functions_for_classes_name_the_one_to_ask(task):
    function = {"detection": "detect", "segmentation": "segment"}[task]
    with pytest.raises(ValueError, match=rf"{NAMES[task]} finds .*explorer\.{function}"):
        explorer.predict(NAMES[task], "nothing.jpg")


@pytest.mark.parametrize("task", OTHERS)
def test_a_network_with_random_weights_is_refused_too(task):
    model = explorer.create_model(NAMES[task])
    with pytest.raises(ValueError, match="ask it with"):
        explorer.predict(model, "nothing.jpg")


@pytest.mark.parametrize("use", [
    lambda model: explorer.finetune(model, "flowers5_nano", pretrained=False),
    lambda model: explorer.evaluate(model, "flowers5_nano"),
], ids=["finetune", "evaluate"])
@pytest.mark.parametrize("task", OTHERS)
def test_photos_with_classes_alone_teach_no_boxes_and_no_masks(task, use):
    things = {"detection": "boxes", "segmentation": "masks"}[task]
    with pytest.raises(ValueError, match=f"'flowers5_nano' has .*give photos with {things}"):
        use(NAMES[task])
