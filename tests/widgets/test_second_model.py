"""A second model beside the first: it follows whatever becomes of that, and is whatever a model may be."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
import torch
from ipywidgets.widgets import widget as registry
from PIL import Image

import explorer
from explorer.inspection.look.looking import look_once
from explorer.widgets.session import ExplorerError
from tests.inspection.small_models import noise_photo, red_and_blue, told
from tests.models.oracle import randomise
from tests.widgets.test_lifetime import shell  # noqa: F401  # a fixture

LABELS = ("cat", "<b>dog</b>", "7")


def classifier(*labels: str, size: int = 32, chans: int = 3):
    """A network of five stages for small photos."""
    torch.manual_seed(0)
    model = explorer.create_model("resnet10t", num_classes=len(labels) or 3, in_chans=chans)
    model.config = model.config.with_(input_size=(chans, size, size), labels=labels or LABELS)
    return model.eval()


@pytest.fixture
def opened():
    """Opens a dashboard with two models, of small photos; closes them all in the end."""
    made = []

    def opener(first, second, images=None, **options):
        photos = [noise_photo(seed=seed) for seed in range(3)] if images is None else images
        made.append(explorer.Dashboard(models=[first, second], images=photos, **options))
        return made[-1]

    yield opener
    for dash in made:
        dash.close()


def pick(dash, index: int) -> None:
    dash.images.gallery._receive(None, {"kind": "pick", "index": index}, [])
    dash.wait()


def go_to(dash, title: str):
    dash.tabs.selected_index = dash.tabs.titles.index(title)
    front = dash.tabs.children[dash.tabs.selected_index]
    assert front.wait(60)
    return front


# --- what becomes of one and the other ------------------------------------------------------------------


def test_the_second_follows_the_photos_also_where_the_first_can_not_be_opened(opened):
    dash = opened("resnet10t", classifier())  # whose weights are not on this computer
    with pytest.raises(ExplorerError, match="not on this computer"):
        dash.wait()
    dash.second.wait()
    assert dash.second.session.look is not None and dash.session.look is None
    dash.images.gallery._receive(None, {"kind": "pick", "index": 2}, [])
    dash.session.wait()
    dash.second.wait()
    assert dash.second.session.image.tobytes() == dash.session.image.tobytes()
    assert dash.second.session.image_name == dash.session.image_name == "photo 3"


def test_why_there_is_no_second_is_said_until_there_is_one_and_it_can_be_asked_for_again(opened):
    dash = opened(classifier(), "resnet10t")
    with pytest.raises(ExplorerError, match="not on this computer"):
        dash.wait()
    with pytest.raises(ExplorerError, match="not on this computer"):
        pick(dash, 1)
    second = dash.second
    assert "not on this computer" in second.message.value and second.line.description.startswith("resnet10t")
    assert second.predictions.layout.display == "none"
    dash.picker.select("resnet10t")
    dash.picker.actions.put_beside.click()
    assert dash.second is not second
    with pytest.raises(ExplorerError, match="not on this computer"):
        dash.wait()
    dash.session.beside = classifier()
    dash.wait()
    assert dash.second.message.value == dash.second.predictions.layout.display == ""


def test_a_photo_that_only_the_second_can_not_read_is_its_own_sentence(opened):
    dash = opened(classifier(), classifier(chans=12))
    dash.session.wait()
    with pytest.raises(ExplorerError):
        dash.second.wait()
    assert 'role="alert"' in dash.second.message.value and not dash.message.value
    assert dash.session.look is not None


def test_a_second_model_that_is_taken_away_while_it_looks_shows_nothing_more(opened, monkeypatch):
    dash = opened(classifier(), classifier())
    dash.wait()
    looking, go_on = threading.Event(), threading.Event()
    second, session = dash.second, dash.second.session
    model = session.model

    def slow(asked, photo, **options):
        if asked is model:
            looking.set()
            assert go_on.wait(30)
        return look_once(asked, photo, **options)

    monkeypatch.setattr("explorer.inspection.look.looking.look_once", slow)
    dash.images.gallery._receive(None, {"kind": "pick", "index": 1}, [])
    assert looking.wait(30)
    assert second.session.busy and dash.working.doing
    second.line.click()
    assert dash.second is None and dash.session.beside is None
    go_on.set()
    dash.wait()
    assert session._wishes.wait(30) and session.look is None
    assert not dash.working.doing and dash.working.value == ""
    pick(dash, 2)
    assert dash.session.image_name == "photo 3"


def test_photos_are_clicked_while_the_second_model_opens(opened):
    dash = opened(classifier(), classifier(), images=[noise_photo(seed=k) for k in range(6)])
    for index in (3, 1, 5, 2, 4):
        dash.images.gallery._receive(None, {"kind": "pick", "index": index}, [])
    dash.wait()
    assert dash.session.image_name == dash.second.session.image_name == "photo 5"
    assert dash.second.session.look.image.tobytes() == dash.session.look.image.tobytes()
    for index in (0, 2):
        dash.session.beside = classifier()
        dash.images.gallery._receive(None, {"kind": "pick", "index": index}, [])
    dash.wait()
    assert dash.second.session.look.image.tobytes() == dash.session.look.image.tobytes()


# --- what is asked of one is asked of both --------------------------------------------------------------


def test_a_second_model_takes_over_what_was_asked_before(opened):
    dash = explorer.Dashboard(classifier(), images=[noise_photo()])
    dash.wait()
    dash.session.stage, dash.session.asked_class = "layer3", "cat"
    dash.session.beside = classifier()
    dash.wait()
    own = dash.second.session
    assert dash.session.stage == own.stage == "layer3"
    assert dash.session.asked_class == own.asked_class == "cat"
    own.show_tab("Explain")
    assert dash.tabs.titles[dash.tabs.selected_index] == "Explain"
    own.model = explorer.create_model("lenet5", num_classes=2)  # whose stages are called otherwise
    dash.wait()
    assert dash.session.stage == "layer3"
    dash.close()


def test_a_class_that_has_to_be_asked_for_by_its_number_is_asked_of_both(opened):
    dash = opened(classifier("crane", "crane", "pan"), classifier("crane", "crane", "pan"))
    dash.wait()
    best = [one.index for one in dash.session.look.predictions]
    dash.predictions.answers._receive(None, {"kind": "pick", "index": best.index(1)}, [])
    pair = dash.tabs.children[dash.tabs.selected_index]
    assert pair.wait() and [panel.heat_map.shown.target for panel in pair.panels] == [1, 1]


def test_the_same_answer_asked_for_again_brings_its_heat_map_back_in_both(opened):
    dash = opened(classifier(), classifier())
    dash.wait()
    for _ in range(2):
        dash.second.predictions.answers._receive(None, {"kind": "pick", "index": 0}, [])
        pair = dash.tabs.children[dash.tabs.selected_index]
        assert [tab.switch.value for tab in pair.panels] == ["Heat map"] * 2
        for tab in pair.panels:
            tab.switch.value = "Change the photo"


def test_the_second_has_the_photos_of_the_first_and_asks_the_first_for_one(opened):
    dash = opened(classifier(), classifier())
    dash.wait()
    assert dash.second.session.gallery is dash.session.gallery
    dash.session.gallery = [noise_photo(seed=9), noise_photo(seed=8)]
    assert [*dash.second.session.gallery] == [*dash.session.gallery] and len(dash.session.gallery) == 2
    title, source = dash.session.gallery[1]
    dash.second.session.open_image(source, title)
    dash.wait()
    assert dash.session.image_name == dash.second.session.image_name == title
    dash.second.session.image = noise_photo(seed=7)
    dash.wait()
    assert dash.session.image.tobytes() == dash.second.session.image.tobytes()
    assert dash.session.image_name == dash.second.session.image_name == "photo"


def test_the_size_that_was_given_is_the_seconds_too_where_it_reads_such_photos(opened):
    torch.manual_seed(0)
    nets = [torch.nn.Sequential(torch.nn.Conv2d(chans, 4, 3), torch.nn.AdaptiveAvgPool2d(1),
                                torch.nn.Flatten(), torch.nn.Linear(4, 2)) for chans in (3, 3, 1)]
    dash = opened(*nets[:2], input_size=(3, 48, 48))
    dash.wait()
    assert dash.second.session.look.input.shape == dash.session.look.input.shape == (3, 48, 48)
    dash.session.beside = nets[2]
    dash.wait()
    assert dash.second.session.look.input.shape[0] == 1
    scope: dict = {"dash": dash}
    exec("\n".join(dash.second.predictions.code().splitlines()[:-1]), scope)
    assert scope["look"].input.shape == dash.second.session.look.input.shape


# --- whatever a model may be ----------------------------------------------------------------------------


def detector():
    torch.manual_seed(0)
    model = explorer.create_model("retinanet", backbone="resnet18", num_classes=3)
    model.config = model.config.with_(input_size=(3, 128, 128), labels=LABELS)
    return model.eval()


def segmenter():
    model = explorer.create_model("unet", backbone="resnet18", num_classes=3)
    randomise(model)
    model.config = model.config.with_(input_size=(3, 64, 64), labels=LABELS)
    return model.eval()


def flat():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 4))


KINDS = {
    "classes": classifier,
    "several": lambda: told("several", ("red", "blue", "<img src=x>")),
    "numbers": lambda: told("numbers", ("weight", "<img src=x>")),
    "yes or no": lambda: told("yes/no", ("not red", "red")),
    "no classifier": lambda: explorer.create_model("resnet10t", num_classes=0).eval(),
    "no stages": flat,
    "grey": lambda: classifier(chans=1),
    "ensemble": lambda: explorer.Ensemble([classifier(), classifier()]).eval(),
    "boxes": detector,
    "masks": segmenter,
    "ten thousand classes": lambda: classifier(*(f"<i>{k}</i>" for k in range(10_000))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_models_of_every_kind_stand_first_and_second(opened, kind):
    dash = opened(KINDS[kind](), classifier(), images=[red_and_blue(), noise_photo()])
    for _ in range(2):
        dash.wait()
        sessions = dash.session, dash.second.session
        for panel, session in zip((dash.predictions, dash.second.predictions), sessions, strict=True):
            assert bool(panel.flow.stops) == bool(session.look.stages)
            scope: dict = {"dash": dash}
            *lines, last = panel.code().splitlines()
            exec("\n".join(lines), scope)
            assert eval(last, scope) is not None
            for index in range(min(2, len(panel.answers.rows))):
                panel.answers._receive(None, {"kind": "pick", "index": index}, [])
            panel._find_reads()
            assert panel.wait()
        for title in ("Explain", "Feature maps"):
            go_to(dash, title)
        dash.session.stage = next(iter(dash.session.look.stages), "")
        pick(dash, 1)
        assert not dash.session.error and not dash.second.session.error
        page = dash.snapshot().data
        assert page.count('class="vx-snapshot"') == 2 and "<img src=x>" not in page and "<i>1</i>" not in page
        dash.session.beside = KINDS[kind]()  # and the other way round
        dash.session.model = classifier()


def test_twelve_bands_are_read_by_both():
    values = np.random.default_rng(0).integers(0, 255, (12, 40, 40), dtype=np.uint8)
    dash = explorer.Dashboard(models=[classifier(chans=12), classifier(chans=12)],
                              images=[torch.from_numpy(values)])
    dash.wait()
    assert dash.second.session.look.input.shape == dash.session.look.input.shape == (12, 32, 32)
    assert len(dash.session.gallery) == 1
    dash.close()


def test_boxes_of_the_second_are_not_promised_where_they_are_not(opened):
    dash = opened(detector(), detector(), images=[noise_photo()])
    dash.wait()
    assert "see the tab Detect" in dash.predictions.meaning.value
    assert "the tab Detect shows those of the first model" in dash.second.predictions.meaning.value


# --- what leaves the page, and what is left -------------------------------------------------------------


def test_what_leaves_the_page_says_both_models(opened, tmp_path):
    dash = opened(classifier(), explorer.create_model("lenet5").eval(), images=[Image.new("L", (40, 40), 90)])
    dash.wait()
    page = dash.export_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<title>resnet10t, lenet5: photo 1</title>" in page and page.count("vx-snapshot") == 2
    assert repr(dash) == "Dashboard(resnet10t beside lenet5, photo 1)"
    dash.session.beside = None
    assert dash.snapshot().data.count("vx-snapshot") == 1


def test_both_rows_have_names_of_their_own_for_a_screen_reader(opened):
    dash = opened(classifier(), explorer.create_model("lenet5").eval(), images=[Image.new("L", (40, 40), 90)])
    dash.wait()
    rows = dash.predictions, dash.second.predictions
    for view in ("flow", "answers"):
        first, second = (getattr(row, view).label for row in rows)
        assert first.endswith(": resnet10t") and second.endswith(": lenet5")


def test_a_cell_with_two_models_that_runs_again_leaves_nothing(shell):  # noqa: F811
    before, threads = set(registry._instances), set(threading.enumerate())
    counts, gone = [], []
    for _ in range(4):
        shell.run("a")
        dash = explorer.Dashboard(models=[classifier(), classifier()], images=[noise_photo()])
        dash.wait()
        for title in ("Explain", "Feature maps"):
            for panel in go_to(dash, title).panels:
                for part in getattr(panel, "panels", ()):
                    panel.switch.value = part
                    assert panel.wait(60)
        dash.predictions._find_reads()
        dash.second.predictions._find_reads()
        counts.append(len(registry._instances))
        gone += [weakref.ref(dash), weakref.ref(dash.second), weakref.ref(dash.second.session.model)]
    assert len(set(counts)) == 1
    dash.close()
    assert set(registry._instances) == before
    for thread in set(threading.enumerate()) - threads:
        thread.join(25)
    assert set(threading.enumerate()) <= threads
    del dash, panel
    gc.collect()
    assert not any(one() for one in gone)


def test_a_second_model_that_goes_is_let_go_of(opened):
    dash = opened(classifier(), classifier())
    dash.wait()
    gone = []
    for _ in range(3):
        go_to(dash, "Explain")
        go_to(dash, "Feature maps")
        gone += [weakref.ref(dash.second), weakref.ref(dash.second.session)]
        dash.session.beside = None
        dash.session.beside = classifier()
        dash.wait()
    go_to(dash, "Explain")
    gc.collect()
    assert not any(one() for one in gone)
    dash.session.beside = None
    with_one = len(registry._instances)
    dash.session.beside = classifier()
    dash.wait()
    go_to(dash, "Explain")
    dash.session.beside = None
    assert len(registry._instances) == with_one
