"""What Teach learns with: the nearest photos' answer, a lesson, live answers of what has learnt."""

from __future__ import annotations

import io
import shutil
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.widgets.panels.camera import frames
from tests.widgets.test_camera import frame, said
from tests.widgets.test_parts_base import from_browser

RED, GREEN, BLUE = (200, 40, 40), (40, 200, 60), (40, 60, 200)


def tiny(**options) -> nn.Module:
    """Tells colours apart: a few random filters, their means, and a head."""
    torch.manual_seed(0)
    body = nn.Conv2d(3, 12, 3, 2), nn.ReLU(), nn.Conv2d(12, 24, 3, 2), nn.ReLU()
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 5)
    return explorer.wrap(nn.Sequential(*body, *head), input_size=(3, 32, 32), labels=list("abcde"), **options)


def picture(colour, seed: int = 0) -> bytes:
    """A colour with a pattern of its own, as a JPEG."""
    noise = np.random.default_rng(seed).normal(0, 12, (48, 64, 3))
    file = io.BytesIO()
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.fixture
def dash(sent, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    dash = explorer.Dashboard(tiny(), images=explorer.sample_photos()[:2])
    dash.wait()
    dash.tabs.selected_index = dash.tabs.titles.index("Teach")
    assert dash.teach.wait(30)
    yield dash
    dash.close()


def collect(dash, name: str, colour, frames_of_bursts=(4, 4)) -> None:
    panel = dash.teach
    if name not in panel.shelf.classes:
        panel.shelf.add_class(name)
    for number, count in enumerate(frames_of_bursts):
        burst = panel.shelf.new_burst()
        for seed in range(count):
            panel.keep(name, picture(colour, 10 * number + seed), burst)
            panel.keeping.wait(30)
    assert panel.wait(30)


def see(dash, number: int, colour) -> None:
    from_browser(dash.teach.camera, *frame(number, picture(colour, 99)))
    assert dash.teach.wait(30)


def two_classes(dash, bursts=(4, 4)) -> None:
    dash.teach.shelf.rename_class("Class 1", "red cup")
    dash.teach.shelf.rename_class("Class 2", "<b>green</b>")
    collect(dash, "red cup", RED, bursts)
    collect(dash, dash.teach.shelf.classes[1], GREEN, bursts)


def learn(dash) -> None:
    dash.teach.lesson.go.click()
    assert dash.teach.wait(60)
    dash.teach.lesson.run.wait(60)
    assert dash.teach.wait(60)


def test_the_nearest_photos_answer_as_soon_as_two_classes_have_a_photo_each(dash, sent):
    panel, live = dash.teach, dash.teach.lesson.live
    assert not panel.camera.live and "two classes have a photo each" in live.note.value
    collect(dash, "Class 1", RED, (1,))
    assert not panel.camera.live and panel.lesson.go.disabled
    collect(dash, "Class 2", GREEN, (1,))
    assert panel.camera.live
    see(dash, 1, GREEN)
    rows = live.answers.rows
    assert [row.name for row in rows] == ["Class 2", "Class 1"] and rows[0].share > 0.5
    assert sum(row.share for row in rows) == pytest.approx(1)
    assert [caption.text.rpartition(" ")[0] for caption in live.strip.captions] == ["Class 2", "Class 1"]
    content, _ = said(sent, "answer")[-1]
    assert content["number"] == 1 and not content["problem"] and content["shape"] is None


def test_learn_says_what_is_missing_and_what_to_do(dash):
    lesson = dash.teach.lesson
    assert lesson.go.disabled and "two classes at least" in lesson.why.value
    two_classes(dash, (3,))
    assert lesson.go.disabled and "Hold the button of a class once more" in lesson.why.value
    collect(dash, "red cup", RED, (3,))
    assert not lesson.go.disabled and lesson.why.value == ""


def test_a_lesson_is_a_run_judged_by_other_bursts_and_then_it_answers_with_a_heat_map(dash, sent):
    two_classes(dash, (5, 5, 5))
    lesson, before = dash.teach.lesson, dash.session.model
    learn(dash)
    run = lesson.run
    assert run.state == "finished" and dash.session.run is run and run in dash.session.runs
    assert dash.session.model is before and run.recipe.train == "head" and run.started.cached
    assert len(run.data.train) == 20 and len(run.data.val) == 10
    result = lesson.judged.result
    assert result.top1 == 1.0 and len(result) == 10
    assert "It told 10 of 10 photos right (100" in lesson.head.value and "2 bursts" in lesson.head.value
    assert lesson.chart.points("validation")[-1][1] == 1.0 and lesson.wrong.answers == ()
    assert dash.teach.camera.live
    see(dash, 7, GREEN)
    content, buffers = said(sent, "answer")[-1]
    assert content["number"] == 7 and content["title"].startswith("What it looks at: ") and content["shape"]
    name = dash.teach.shelf.classes[1]
    assert lesson.live.answers.rows[0].name == name
    wanted = explorer.look(run.model, lesson.live.shown.look.image).predictions[0]
    assert wanted.label == name
    assert lesson.live.answers.rows[0].share == pytest.approx(wanted.probability, abs=1e-4)
    lesson.live.by.value = "nearest"
    see(dash, 8, RED)
    assert lesson.live.answers.rows[0].name == "red cup" and len(lesson.live.strip.captions) == 5


def test_a_class_of_one_burst_is_learnt_and_its_score_is_said_to_be_unknown(dash):
    two_classes(dash, (3, 3))
    collect(dash, "blue", BLUE, (4,))
    learn(dash)
    lesson = dash.teach.lesson
    said_of = lesson.head.value
    assert "All photos of blue are of one burst" in said_of and "can&#x27;t be known" in said_of
    assert lesson.run.data.train.counts()["blue"] == 4 and lesson.judged.result.per_class["blue"].support == 0
    see(dash, 1, BLUE)
    assert lesson.live.answers.rows[0].name == "blue"


def test_a_frame_that_it_errs_on_becomes_a_photo_of_its_class_and_counts_when_it_learns_again(dash):
    two_classes(dash, (3, 3))
    learn(dash)
    lesson, shelf = dash.teach.lesson, dash.teach.shelf
    first = lesson.run
    name = shelf.classes[1]
    see(dash, 1, BLUE)
    assert list(lesson.live.fix.options) == list(shelf.classes)
    before = {photo.burst for photo in shelf.photos(name)}
    lesson.live.fix.value = name
    assert dash.teach.wait(30) and lesson.live.fix.value is None
    added = shelf.photos(name)[-1]
    assert len(shelf.photos(name)) == 7 and added.burst not in before
    assert "<b>" not in lesson.message.value
    assert "Learn again" in lesson.message.value and lesson.go.description == "Learn again"
    learn(dash)
    assert lesson.run is not first and len(lesson.run.data.train) + len(lesson.run.data.val) == 13


def test_warnings_name_the_class(dash):
    collect(dash, "Class 1", RED, (6, 6))
    collect(dash, "Class 2", GREEN, (2,))
    said_of = " ".join(dash.teach.cards.warnings)
    assert "Class 2 has few photos (Class 2: 2)" in said_of
    assert "The classes are uneven: Class 1 has 12" in said_of
    panel = dash.teach
    panel.keep("Class 2", picture(RED, 0))
    assert panel.wait(30)
    names = panel.lesson.live.known.features.names  # as the cards call them: no file is named there
    assert names[0] == "Class 1: photo 1" and names[-1] == "Class 2: photo 3"


def test_another_model_answers_by_its_own_vectors_and_what_was_learnt_stays(dash):
    two_classes(dash, (3, 3))
    learn(dash)
    lesson = dash.teach.lesson
    lesson.live.by.value = "nearest"
    other = tiny()
    dash.session.model = other
    dash.wait()
    assert dash.teach.wait(30)
    assert lesson.live.known.features.embeddings.shape == (12, 24)
    see(dash, 1, RED)
    assert lesson.live.answers.rows[0].name == "red cup" and lesson.judged is not None
    lesson.use.click()
    dash.wait()
    assert dash.session.model is lesson.judged.model
    assert dash.session.look.outputs is not None and dash.session.model_name.endswith(lesson.run.name)


def test_what_was_learnt_can_be_judged_again_after_it_was_saved(dash, tmp_path):
    two_classes(dash, (2, 2))
    learn(dash)
    working = dash.teach.shelf.folder
    dash.teach.save(tmp_path / "mine")
    assert str(tmp_path / "mine") in dash.teach.code() and str(working) not in dash.teach.code()
    assert len(explorer.evaluate(dash.teach.lesson.run)) == len(dash.teach.lesson.judged.result)


def test_photos_that_are_gone_are_said_and_the_camera_is_answered_again(dash, monkeypatch):
    two_classes(dash, (2, 2))
    lesson, judge = dash.teach.lesson, dash.teach.lesson._judge

    def too_late(run, job):
        shutil.rmtree(dash.teach.shelf.folder)
        return judge(run, job)

    monkeypatch.setattr(lesson, "_judge", too_late)
    learn(dash)
    assert "could be opened" in lesson.message.value and dash.teach.camera.live
    see(dash, 1, RED)
    assert lesson.live.answers.rows[0].name == "red cup" and lesson.live.strip.captions == ()
    assert lesson.use.disabled
    learn(dash)
    assert "8 photos of" in lesson.message.value and "are gone. Collect photos of two" in lesson.message.value
    assert len(dash.teach.shelf) == 0 and lesson.go.disabled


def test_what_has_not_learnt_yet_can_not_be_shown_in_all_tabs(dash):
    two_classes(dash, (2, 2))
    learn(dash)
    lesson = dash.teach.lesson
    assert not lesson.use.disabled
    assert not isinstance(dash.teach.to_take_home(), str)
    lesson._follow(lesson.run, "")
    assert lesson.use.disabled
    lesson.run = SimpleNamespace(best=None, state="stopped", running=False)
    assert "press Learn" in dash.teach.to_take_home()


def test_a_network_that_can_not_learn_classes_says_which_can(dash, monkeypatch):
    two_classes(dash, (2, 2))
    finds = tiny()
    finds.task = "detection"
    dash.teach.lesson._model = finds
    dash.teach.lesson.photos_changed()
    assert dash.teach.lesson.go.disabled and "choose a network that says what" in dash.teach.lesson.why.value
    assert dash.teach.code()
    monkeypatch.setattr("explorer.widgets.panels.teach.lesson.unfit", lambda model: "It finds boxes.")
    assert dash.teach.code() == ""


def test_a_network_without_a_classifier_answers_by_the_nearest_and_says_what_it_lacks(dash):
    two_classes(dash, (2, 2))
    body = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    dash.session.model = explorer.wrap(body, input_size=(3, 32, 32))
    dash.wait()
    assert dash.teach.wait(30)
    see(dash, 1, GREEN)
    assert dash.teach.lesson.live.answers.rows[0].name == dash.teach.shelf.classes[1]
    learn_button = dash.teach.lesson.go
    learn_button.click()
    assert dash.teach.wait(60) and "put a torch.nn.Linear behind it" in dash.teach.lesson.message.value
    assert dash.teach.lesson.run is None and not learn_button.disabled


def test_the_lines_behind_it_learn_the_same(dash):
    two_classes(dash, (3, 3))
    learn(dash)
    place = {"dash": dash}
    exec(dash.teach.code(), place)
    ours, theirs = dash.teach.lesson.run, place["run"]
    assert theirs.history[-1]["val_loss"] == pytest.approx(ours.history[-1]["val_loss"], rel=1e-5)


def test_stop_ends_it_and_a_run_elsewhere_is_waited_for(dash):
    two_classes(dash, (3, 3))
    lesson = dash.teach.lesson
    dash.session.learning = "A search learns. Stop it first."
    lesson.go.click()
    assert "A search learns" in lesson.message.value and lesson.run is None
    dash.session.learning = ""
    held = threading.Event()

    class Slow:
        def __call__(self, event):
            if event.kind == "batch":
                lesson.run.stop(wait=False)
                held.wait(10)

    lesson.go.click()
    assert lesson.starting.wait(30)
    lesson.run.listen(Slow())
    lesson.stop.click()
    held.set()
    assert dash.teach.wait(60) and lesson.run.ended.wait(30)
    assert dash.teach.wait(60)
    assert lesson.run.state in ("stopped", "finished") and not lesson.go.disabled


def test_a_frame_that_is_no_picture_is_a_sentence(dash, sent):
    two_classes(dash, (2, 2))
    from_browser(dash.teach.camera, *frame(3, b"GIF89a nothing"))
    assert dash.teach.wait(30)
    problem = said(sent, "answer")[-1][0]["problem"]
    assert problem and "Traceback" not in problem


def test_nothing_is_alive_after_it_is_closed(dash, monkeypatch):
    two_classes(dash, (3, 3))
    lesson = dash.teach.lesson
    began, go_on, real = threading.Event(), threading.Event(), frames.see
    learn(dash)
    run = lesson.run

    def slow(*given):
        began.set()
        assert go_on.wait(20)
        return real(*given)

    monkeypatch.setattr(frames, "see", slow)
    from_browser(dash.teach.camera, *frame(1, picture(RED)))
    assert began.wait(20)
    closing = threading.Thread(target=dash.close)
    closing.start()
    go_on.set()
    closing.join(30)
    assert not closing.is_alive() and lesson.live.frames.closed and lesson.live.model is None
    assert run._listeners == [] and not run.running and lesson.run is None
