"""The lines behind "Show code": run in a fresh namespace, they give the model and the photo on the screen."""

from __future__ import annotations

import ast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.widgets.session import ExplorerError
from explorer.widgets.snippets import BUILT, RANDOM, call, literal, model_lines, photo_lines, setup_lines

NAME = "tf_efficientnet_lite0"
NASTY = ['x"); import os #.jpg', "two\nlines.png", "\\n'\"\"\" .png", "Ångström ☂ \t.png", "$(x) {y} %s.png"]


def run(lines, dash=None):
    """Execute lines where nothing but `dash` is known: the last expression's value, and what was defined."""
    text = lines if isinstance(lines, str) else "\n".join(lines)
    tree, names = ast.parse(text), {} if dash is None else {"dash": dash}
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "snippet", "exec"), names)
    if last is None:
        return None, names
    return eval(compile(ast.Expression(last.value), "snippet", "eval"), names), names


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(4, 3))


def looked(dash, *, alone: bool) -> bool:
    """Whether a look by the lines gives the dashboard's very logits. alone: the lines may not name `dash`."""
    lines = setup_lines(dash.session)
    assert not alone or not any("dash" in line for line in lines), lines
    look, _ = run([*lines, "explorer.look(model, photo)"], None if alone else dash)
    shown = dash.session.look
    return (torch.equal(look.logits, shown.logits) and look.labels == shown.labels
            and torch.equal(look.input, shown.input))


@pytest.fixture(scope="module")
def dash():
    dash = explorer.Dashboard(NAME)
    dash.wait()
    yield dash
    dash.close()


def show(dash, **wishes):
    """Ask the session for something, and wait for it."""
    for name, value in wishes.items():
        setattr(dash.session, name, value)
    dash.wait()


# --- models -------------------------------------------------------------------------------------------------


def test_a_model_with_published_weights_is_opened_by_its_name(dash):
    show(dash, model=NAME)
    assert looked(dash, alone=True)


def test_random_weights_are_read_from_the_dashboard_and_the_lines_say_why(dash):
    name = "test_resnet" if explorer.is_model("test_resnet") else "resnet10t"
    dash.session.open_model(name, pretrained=False)
    dash.wait()
    lines = model_lines(dash.session)
    assert lines[0] == RANDOM and run(lines, dash)[1]["model"] is dash.session.model
    assert looked(dash, alone=False)


def test_a_model_that_was_built_here_is_read_from_the_dashboard(dash):
    show(dash, model=tiny())
    assert model_lines(dash.session)[0] == BUILT and looked(dash, alone=False)


def test_a_model_that_a_run_taught_is_read_from_the_dashboard(dash):
    from explorer.training.run.beside import copy_of_model

    class Run:
        model = explorer.wrap(tiny(), labels="abc", input_size=(3, 32, 32))
        labels, name = ("a", "b", "c"), 'my "run" 1'

    show(dash, model=copy_of_model(Run))
    assert looked(dash, alone=False) and dash.session.look.labels == ("a", "b", "c")


@pytest.mark.parametrize("options", [{"input_size": (3, 96, 96)},
                                     {"labels": [f'"{n}"\n#' for n in range(1000)]}])
def test_what_the_dashboard_was_told_about_every_model_is_in_the_lines(options):
    dash = explorer.Dashboard(NAME, **options)
    dash.wait()
    assert looked(dash, alone="labels" not in options)
    dash.close()


def test_few_labels_are_written_out(dash, monkeypatch):
    show(dash, model=NAME)
    labels = ("it's", 'a "cat"', "\n")
    monkeypatch.setattr(dash.session, "labels", labels)
    monkeypatch.setattr(dash.session.model, "config", dash.session.model.config.with_(labels=labels))
    assert run(["import explorer", *model_lines(dash.session)])[1]["model"].config.labels == labels


def test_a_model_that_can_not_be_opened_leaves_the_lines_of_the_one_on_the_screen(dash):
    show(dash, model=NAME)
    dash.session.model = "local-dir:/there/is/no/such/folder"
    with pytest.raises(ExplorerError):
        dash.wait()
    show(dash, image=Image.new("RGB", (9, 9), "teal"))
    assert model_lines(dash.session) == [f'model = explorer.create_model("{NAME}", pretrained=True)']


# --- photos -------------------------------------------------------------------------------------------------


def same_photo(dash, *, alone: bool) -> bool:
    photo = run(["import explorer", *photo_lines(dash.session)], None if alone else dash)[1]["photo"]
    return np.array_equal(np.asarray(explorer.load_image(photo)), np.asarray(dash.session.image))


def test_every_bundled_photo_is_opened_by_its_name(dash):
    for title, source in dash.session.gallery:
        dash.session.open_image(source, title)
        dash.wait()
        assert same_photo(dash, alone=True), title
        assert "/" not in photo_lines(dash.session)[0]  # no folder of this computer


@pytest.mark.parametrize("name", NASTY)
def test_a_file_is_opened_by_its_path_whatever_it_is_called(dash, tmp_path, name):
    file = tmp_path / name
    Image.effect_noise((12, 10), 90).convert("RGB").save(file, "PNG")
    for source in (str(file), file):
        show(dash, image=source)
        lines = photo_lines(dash.session)
        assert len(lines) == 1 and "\n" not in lines[0] and len(ast.parse(lines[0]).body) == 1
        assert isinstance(ast.parse(lines[0]).body[0].value, ast.Constant)
        assert same_photo(dash, alone=True)


def test_a_photo_without_a_file_is_read_from_the_dashboard(dash, tmp_path):
    picture = Image.effect_noise((12, 10), 90).convert("RGB")
    picture.save(tmp_path / "photo.png")
    for source in (picture, (tmp_path / "photo.png").read_bytes(), np.asarray(picture)):
        show(dash, image=source)
        assert same_photo(dash, alone=False) and "dash.session.image" in photo_lines(dash.session)[-1]


def test_a_photo_whose_file_is_gone_is_read_from_the_dashboard(dash, tmp_path):
    file = tmp_path / "gone.png"
    Image.effect_noise((12, 10), 90).convert("RGB").save(file)
    show(dash, image=file)
    file.unlink()
    assert same_photo(dash, alone=False)


def test_a_photo_that_can_not_be_opened_leaves_the_lines_of_the_one_on_the_screen(dash, tmp_path):
    title, source = dash.session.gallery[1]
    dash.session.open_image(source, title)
    dash.wait()
    before = photo_lines(dash.session)
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    dash.session.open_image(tmp_path / "torn.jpg")
    with pytest.raises(ExplorerError):
        dash.wait()
    assert photo_lines(dash.session) == before and same_photo(dash, alone=True)


def test_an_upload_is_not_kept_for_the_lines(dash, tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "x.png")
    dash.session.open_image((tmp_path / "x.png").read_bytes(), "x.png")
    dash.wait()
    assert dash.session.image_source is None


# --- text ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [
    *NASTY, ("a",), (), ["x", 'y"'], (3, 224, 224), 1e-3, None, {"a": "b"}, "\udcff",
])
def test_a_literal_gives_its_value_again(value):
    assert ast.literal_eval(literal(value)) == value and "\n" not in literal(value)


def test_a_long_call_stands_on_several_lines():
    short, long = (call("dict", options={f"name_{n}": "x" for n in range(count)}) for count in (2, 20))
    assert short == 'dict(name_0="x", name_1="x")'
    assert max(map(len, long.splitlines())) < 30 and eval(long) == {f"name_{n}": "x" for n in range(20)}
