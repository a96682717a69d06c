"""The session: wishes in, results out, what is on the screen stays when something goes wrong."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
import torch
import traitlets
from torch import nn

import explorer
from explorer.widgets.session import ExplorerError, Session

PHOTOS = explorer.sample_photos()
LITE0 = "tf_efficientnet_lite0"


@pytest.fixture
def looking(session):
    """A session that shows lite0 on the first photo."""
    session.open_model(LITE0)
    session.open_image(PHOTOS[0], PHOTOS[0].title)
    session.wait()
    return session


def test_a_name_and_a_photo_become_a_look(looking):
    assert looking.model.config.architecture == LITE0
    assert looking.look.image.size == looking.image.size == (451, 300)
    assert looking.look.predictions[0].index in PHOTOS[0].imagenet_indices
    assert looking.image_name == PHOTOS[0].title
    assert looking.tree.params == sum(p.numel() for p in looking.model.parameters())
    assert looking.busy == "" and looking.error == ""


def test_setting_the_model_from_a_cell_looks_at_the_same_photo_again(looking):
    before = looking.look
    looking.model = "tf_efficientnet_lite1"
    looking.wait()
    assert looking.look is not before
    assert looking.model_name == looking.look.model_name == "tf_efficientnet_lite1.in1k"
    assert looking.look.image.size == (451, 300)


def test_a_model_that_the_user_built_is_taken_as_it_is(looking):
    mine = explorer.create_model("resnet10t", num_classes=4)
    looking.model = mine
    looking.wait()
    assert looking.model is mine
    assert len(looking.look.predictions) == 4


def test_an_ensemble_is_looked_with_like_any_model(looking):
    looking.model = explorer.Ensemble({"lite": looking.model, "mine": explorer.create_model("resnet10t")})
    looking.wait()
    assert looking.error == "" and looking.model_name == "ensemble of lite and mine"
    assert {name.partition("/")[0] for name in looking.look.stages} == {"lite", "mine"}
    assert looking.tree.params == sum(p.numel() for p in looking.model.parameters())


def test_an_unknown_name_raises_at_once_and_changes_nothing(looking):
    before = looking.look
    with pytest.raises(traitlets.TraitError, match="Did you mean 'resnet50'"):
        looking.model = "resnet5O"
    looking.wait()
    assert looking.look is before


def test_an_unreadable_photo_from_a_cell_raises_at_once_and_changes_nothing(looking):
    before = looking.look
    with pytest.raises(traitlets.TraitError):
        looking.image = b"this is no picture"
    looking.wait()
    assert looking.look is before


def test_an_unreadable_upload_becomes_a_sentence_and_the_next_wish_works(looking):
    before = looking.look
    looking.open_image(b"\x89PNG broken", "<b>evil</b>.png")
    with pytest.raises(ExplorerError):
        looking.wait()
    assert looking.look is before and "Traceback" not in looking.error
    looking.open_image(PHOTOS[8], "espresso")
    looking.wait()
    assert looking.error == "" and looking.look is not before


def test_weights_that_are_not_here_become_a_sentence_never_random_numbers(looking):
    before = looking.look
    looking.open_model("resnet18")  # tests run with the hub's client offline
    with pytest.raises(ExplorerError, match="not on this computer.*pretrained=False"):
        looking.wait()
    assert looking.look is before and looking.model_name == "tf_efficientnet_lite0.in1k"


@pytest.fixture
def slow(monkeypatch):
    """Models open only once the test sets `go`; `asked` is set when one has been asked for."""
    from explorer.models import create as factory

    create, asked, go = factory.create_model, threading.Event(), threading.Event()

    def waiting(*args, **options):
        asked.set()
        assert go.wait(30)
        return create(*args, **options)

    monkeypatch.setattr(factory, "create_model", waiting)
    return asked, go


def test_a_photo_asked_for_meanwhile_does_not_hide_that_the_model_failed(looking, slow):
    asked, go = slow
    looking.open_model("resnet18")  # its weights are not here
    assert asked.wait(30)
    looking.open_image(PHOTOS[8], "espresso")
    go.set()
    with pytest.raises(ExplorerError, match="not on this computer"):
        looking.wait()
    assert looking.image_name == "espresso"  # the other half was fulfilled
    looking.open_image(PHOTOS[1], "cat")
    looking.wait()  # the reader has seen it and goes on
    assert looking.error == ""


def test_nothing_is_said_of_a_model_that_is_no_longer_wanted(looking, slow):
    asked, go = slow
    looking.open_model("resnet18")
    assert asked.wait(30)
    looking.open_model("resnet10t", pretrained=False)
    go.set()
    looking.wait()
    assert looking.model_name == "resnet10t" and looking.error == ""


def test_while_a_model_opens_the_next_wish_is_said_too(looking, slow):
    asked, go = slow
    looking.open_model("resnet10t", pretrained=False)
    assert asked.wait(30)
    looking.open_image(PHOTOS[8], "espresso")
    looking.open_image(PHOTOS[1], "cat")
    assert looking.busy == "opening resnet10t, then cat"
    go.set()
    looking.wait()
    assert looking.busy == ""


def test_an_old_problem_is_not_shown_while_the_next_wish_is_worked_on(looking, slow):
    looking.open_image(b"nothing", "broken.png")
    with pytest.raises(ExplorerError):
        looking.wait()
    asked, go = slow
    looking.open_model("resnet10t", pretrained=False)
    assert asked.wait(30) and looking.error == ""
    go.set()
    looking.wait()


def test_a_bundled_photo_goes_by_its_title(looking):
    looking.image = PHOTOS[8]
    looking.wait()
    assert looking.image_name == PHOTOS[8].title


def test_random_weights_come_only_when_asked_for(looking):
    looking.open_model("resnet10t", pretrained=False)
    looking.wait()
    assert looking.model.load_report is None
    assert "predictions mean nothing" in " ".join(looking.look.notes)


def test_the_newest_of_many_wishes_wins(looking):
    for photo in PHOTOS:
        looking.open_image(photo, photo.title)
    looking.wait()
    assert looking.image_name == PHOTOS[-1].title
    assert looking.look.image.size == looking.image.size


def test_wishes_from_many_threads_end_in_one_consistent_state(looking):
    threads = [threading.Thread(target=looking.open_image, args=(p, p.title)) for p in PHOTOS]
    names = (LITE0, "tf_efficientnet_lite1") * 3
    threads += [threading.Thread(target=looking.open_model, args=(name,)) for name in names]
    [t.start() for t in threads]
    [t.join() for t in threads]
    looking.wait()
    assert looking.look.model_name == looking.model_name
    assert looking.look.image is looking.image or looking.look.image.tobytes() == looking.image.tobytes()


def test_results_can_not_be_set_by_hand(looking):
    with pytest.raises(traitlets.TraitError, match="is a result"):
        looking.look = None


def test_a_failing_observer_becomes_a_sentence(looking):
    def broken(change):
        raise ZeroDivisionError("a panel failed")

    looking.observe(broken, "look")
    looking.open_image(PHOTOS[1], "cat")
    with pytest.raises(ExplorerError, match="ZeroDivisionError"):
        looking.wait()
    looking.unobserve(broken, "look")


def test_own_labels_replace_the_models():
    session = Session(labels=("cat", "dog"))
    session.open_model(explorer.create_model("resnet10t", num_classes=2))
    session.open_image(PHOTOS[0])
    session.wait()
    assert {p.label for p in session.look.predictions} == {"cat", "dog"}
    session.close()


def test_close_frees_the_model():
    session = Session()
    model = explorer.create_model("resnet10t", num_classes=2)
    alive = weakref.ref(model)
    session.open_model(model)
    session.open_image(PHOTOS[0])
    session.wait()
    session.close()
    session.close()
    del model
    gc.collect()
    assert alive() is None


def test_a_model_of_five_channels_looks_at_a_tensor_and_says_what_it_needs(session):
    """case C10"""
    session.model = nn.Sequential(nn.Conv2d(5, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                  nn.Linear(4, 3))
    session.image = torch.rand(5, 40, 40)
    session.wait()
    assert session.look.input.shape[0] == 5 and session.image.mode == "RGB"
    session.open_image(PHOTOS[0])
    with pytest.raises(ExplorerError, match="reads 5 channels, and the picture has 3"):
        session.wait()
    assert session.look.input.shape[0] == 5  # what was seen stays
