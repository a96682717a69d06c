"""`notebooks/README.md`: the table of lessons, and which cell has what students do in courses on vision."""

from __future__ import annotations

import re

import nbformat
import pytest

from tests.tools.run_notebooks import NOTEBOOKS

README = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")

#: What students do in lessons on computer vision, collected from public courses: 55 activities.
ACTIVITIES = {
    1: "list models by a pattern", 2: "open a pretrained network and read its preprocessing",
    3: "watch a photo turn into a tensor, step by step", 4: "classify a photo: logits, softmax, top five",
    5: "a grid of photos with answers", 6: "one photo, several models",
    7: "accuracy against work and size", 8: "count parameters", 9: "the shape of each layer's output",
    10: "find a module by its name", 11: "features before and after pooling, without a head",
    12: "maps of several depths", 13: "a layer's maps as a grid, with a hook",
    14: "the first layer's filters",
    15: "silent channels", 16: "gradients over depth, with and without skip connections",
    17: "saliency", 18: "Grad-CAM", 19: "several methods beside each other", 20: "occlusion",
    21: "hide a part and look again", 22: "patches and attention", 23: "position embeddings", 24: "FGSM",
    25: "an adversarial patch", 26: "noise, blur, turning: when does the answer flip?",
    27: "draw what a class looks like", 28: "style transfer", 29: "look at the data first",
    30: "a folder of photos, split", 31: "augmentation, shown", 32: "CIFAR-10", 33: "train the head alone",
    34: "train everything, with two rates", 35: "pretrained against from scratch",
    36: "train and watch the curve",
    37: "find a learning rate", 38: "schedules", 39: "read the curves: overfitting",
    40: "a table of experiments",
    41: "seeds: the same numbers twice", 42: "confusion matrix", 43: "the worst photos",
    44: "precision and recall", 45: "test-time augmentation", 46: "an own photo, with an own model",
    47: "save and open again", 48: "nearest photos", 49: "a map of photos, PCA and t-SNE",
    50: "linear probe against the number of labels", 51: "boxes, scores, thresholds", 52: "teach a detector",
    53: "masks and IoU", 54: "time of each part", 55: "an own network in the same tools",
}
ROW = re.compile(r"^\| (\d+) \| (.+?) \| \[(.+?)\]\((\w+\.ipynb)\) \| (.+?) \| `([\w-]+)` \|$", re.M)


def rows() -> list[tuple[str, ...]]:
    return ROW.findall(README)


def test_each_row_says_what_it_is_about_and_they_are_in_order():
    assert {int(number): words for number, words, *_ in rows()}.items() <= ACTIVITIES.items()
    numbers = [int(number) for number, *_ in rows()]
    assert numbers == sorted(numbers)
    assert f"{len(set(numbers))} of {len(ACTIVITIES)}" in README


@pytest.mark.parametrize(("number", "_words", "_lesson", "file", "section", "cell"), rows())
def test_the_cell_is_there_in_that_section(number, _words, _lesson, file, section, cell):
    heading = ""
    for one in nbformat.read(NOTEBOOKS / file, as_version=4)["cells"]:
        if one["id"] == cell:
            assert one["cell_type"] == "code" and one["outputs"], f"row {number}: {cell} shows nothing"
            assert heading == section, f"row {number}: {cell} is in the section {heading!r}"
            return
        if one["cell_type"] == "markdown":
            heading = ([heading, *re.findall(r"^## (.+)$", one["source"], re.M)])[-1]
    pytest.fail(f"row {number}: {file} has no cell {cell}")


def test_every_notebook_is_in_the_table_of_lessons_under_its_title():
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        title = nbformat.read(path, as_version=4)["cells"][0]["source"].splitlines()[0].removeprefix("# ")
        assert f"[{title}]({path.name})" in README


def test_every_link_between_the_notebooks_leads_somewhere():
    notebooks = [nbformat.read(path, as_version=4) for path in NOTEBOOKS.glob("*.ipynb")]
    cells = [cell for notebook in notebooks for cell in notebook["cells"]]
    texts = [README] + [cell["source"] for cell in cells if cell["cell_type"] == "markdown"]
    linked = {target for text in texts for target in re.findall(r"\]\(([\w./-]+)\)", text)}
    assert linked and all((NOTEBOOKS / target).exists() for target in linked), linked
