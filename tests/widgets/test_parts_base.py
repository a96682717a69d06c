"""What every anywidget view promises: keywords, handshake, reader's choices, closing. No browser needed."""

from __future__ import annotations

import importlib
import threading
from pathlib import Path

import comm
import numpy as np
import pytest
import traitlets
from comm.base_comm import BaseComm
from ipywidgets.widgets.widget import _instances

from explorer.widgets.parts import base
from explorer.widgets.parts.mosaic import FeatureMosaic


def every_part() -> list[type[base.ExplorerPart]]:
    """The views in `widgets/parts`, all of them: one is a class with a script."""
    for file in sorted(Path(base.__file__).parent.glob("*.py")):
        importlib.import_module(f"explorer.widgets.parts.{file.stem}")
    return sorted(base.ExplorerPart.__subclasses__(), key=lambda part: part.__name__)


PARTS = every_part()


def record_messages(monkeypatch) -> list[tuple[str, dict, list]]:
    """A list that fills with (message type, data, buffers) of every widget made from here on."""
    log: list[tuple[str, dict, list]] = []

    class Recorder(BaseComm):
        def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
            log.append((msg_type, data or {}, list(buffers or [])))

    monkeypatch.setattr(comm, "create_comm", lambda *a, **k: Recorder(*a, **k))
    return log


@pytest.fixture
def sent(monkeypatch):
    return record_messages(monkeypatch)


def updates(log):
    """The state updates among the messages: (state, buffers)."""
    return [(d["state"], b) for kind, d, b in log if kind == "comm_msg" and d.get("method") == "update"]


def from_browser(part, content, buffers=()):
    part._handle_custom_msg(content, list(buffers))


@pytest.mark.parametrize("Part", PARTS)
def test_an_unknown_keyword_is_a_type_error_that_names_the_allowed_ones(sent, Part):
    with pytest.raises(TypeError, match=f"{Part.__name__} does not take 'colour'. It takes: .*layout"):
        Part(colour="red")


@pytest.mark.parametrize("Part", PARTS)
def test_the_script_and_the_style_travel_with_the_view_and_fit_any_anywidget(sent, Part):
    part = Part()
    state = part.get_state()
    assert "export default" in state["_esm"] and ".vx-" in state["_css"]
    assert "http://" not in state["_esm"] and "https://" not in state["_esm"]
    assert state["_model_module_version"] == state["_view_module_version"] == "*"


@pytest.mark.parametrize("Part", PARTS)
def test_a_view_is_ready_once_the_browser_says_so(sent, Part):
    part, seen = Part(), []
    part.observe(lambda change: seen.append(change.new), names="ready")
    assert not part.ready and "ready" not in part.keys
    from_browser(part, {"kind": "ready"})
    assert part.ready and seen == [True]


@pytest.mark.parametrize("Part", PARTS)
def test_closing_twice_leaves_no_widget_behind(sent, Part):
    before = set(_instances)
    part = Part()
    part.close()
    part.close()
    assert set(_instances) == before
    assert part.comm is None


@pytest.mark.parametrize("Part", PARTS)
def test_the_repr_is_short_and_the_same_each_time(sent, Part):
    first, second = repr(Part()), repr(Part())
    assert first == second and first.startswith(Part.__name__ + "(") and "0x" not in first


def test_a_choice_of_the_reader_reaches_python_and_is_not_sent_back(sent):
    mosaic, seen = FeatureMosaic(), []
    mosaic.observe(lambda change: seen.append(change.new), names="sort")
    sent.clear()
    from_browser(mosaic, {"kind": "choose", "key": "sort", "value": "strength"})
    assert mosaic.sort == "strength" and seen == ["strength"]
    assert updates(sent) == []


def test_a_choice_that_an_observer_overrules_is_sent_back(sent):
    mosaic = FeatureMosaic()
    mosaic.observe(lambda change: mosaic.set_trait("selected", 5), names="selected")
    sent.clear()
    from_browser(mosaic, {"kind": "choose", "key": "selected", "value": 9})
    assert mosaic.selected == 5
    assert [state for state, _ in updates(sent)][-1] == {"selected": 5}


def test_a_choice_that_is_not_allowed_puts_the_page_back(sent):
    mosaic = FeatureMosaic()
    sent.clear()
    from_browser(mosaic, {"kind": "choose", "key": "sort", "value": "by magic"})
    assert mosaic.sort == "channel"
    assert updates(sent) == [({"sort": "channel"}, [])]


@pytest.mark.parametrize("key", ["_esm", "_maps", "ready", "layout", None, ["sort"]])
def test_the_browser_cannot_set_anything_but_the_readers_traits(sent, key):
    mosaic = FeatureMosaic()
    before = mosaic.get_state()
    from_browser(mosaic, {"kind": "choose", "key": key, "value": "x"})
    assert mosaic.get_state() == before and not mosaic.ready


@pytest.mark.parametrize("content", [None, "text", 3, [], {}, {"kind": "nonsense"}, {"kind": ["ready"]}])
def test_a_message_that_makes_no_sense_is_survived(sent, content):
    for Part in PARTS:
        part = Part()
        part._receive(part, content, [])
        assert not part.ready


def test_setting_a_reader_trait_in_python_reaches_the_page(sent):
    mosaic = FeatureMosaic()
    sent.clear()
    mosaic.colormap = "magma"
    assert updates(sent) == [({"colormap": "magma"}, [])]
    with pytest.raises(traitlets.TraitError):
        mosaic.colormap = "jet"


def test_a_worker_showing_and_a_reader_choosing_lose_nothing(sent):
    mosaic, errors = FeatureMosaic(), []
    maps = np.zeros((4, 3, 3), np.float32)

    def show():
        try:
            for k in range(200):
                mosaic.show(maps + k, title=str(k))
        except Exception as error:
            errors.append(error)

    worker = threading.Thread(target=show)
    worker.start()
    for k in range(200):
        from_browser(mosaic, {"kind": "choose", "key": "selected", "value": k})
    worker.join()
    titles = [state["_maps"]["title"] for state, _ in updates(sent) if "_maps" in state]
    assert errors == [] and mosaic.selected == 199
    assert titles == [str(k) for k in range(200)]
