"""The collecting half of Teach: frames and files become photos on the disk, in their order, or a sentence."""

from __future__ import annotations

import itertools
import os
from types import SimpleNamespace

import pytest
from ipywidgets.widgets import widget as registry

import explorer
from explorer.data import shelf_homes
from explorer.data.folders import DataError
from explorer.widgets.panels.teach import holding
from explorer.widgets.panels.teach.panel import TeachPanel
from explorer.widgets.parts.class_shelf import ShelfView

from .test_camera import frame, jpeg, said, tiny
from .test_parts_base import from_browser, record_messages


@pytest.fixture
def sent(monkeypatch):
    return record_messages(monkeypatch)


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a second whenever it is asked."""
    ticks = itertools.count(100)
    monkeypatch.setattr(holding, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))


@pytest.fixture
def dash(sent, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setattr(shelf_homes, "_used", set())
    dash = explorer.Dashboard(tiny(labels=list("abcde")), images=explorer.sample_photos()[:2])
    dash.wait()
    dash.tabs.selected_index = dash.tabs.titles.index("Teach")
    assert dash.teach.wait(30)
    from_browser(dash.teach.camera, {"kind": "state", "state": "live", "mirrored": True})
    sent.clear()
    yield dash
    dash.close()


def hold(dash, name: str, on: bool) -> None:
    from_browser(dash.teach.cards, {"kind": "hold", "of": name, "on": on})


def give(dash, name: str, data: bytes, number: int = 1, known: bool = True) -> None:
    from_browser(dash.teach.cards, {"kind": "photo", "of": name, "known": known, "number": number},
                 [memoryview(data)])
    assert dash.teach.wait(30)


def act(dash, kind: str, **given) -> None:
    from_browser(dash.teach.cards, {"kind": kind, **given})
    assert dash.teach.wait(30)


# --- frames -------------------------------------------------------------------------------------------------


def test_frames_are_asked_for_and_kept_while_a_button_is_held(dash, sent, clock):
    panel = dash.teach
    assert not panel.camera.live and panel.cards.live
    from_browser(panel.camera, *frame(1))
    hold(dash, "Class 1", True)
    assert panel.camera.live
    for number in (2, 3):
        from_browser(panel.camera, *frame(number))
    hold(dash, "Class 1", False)
    assert not panel.holding.wants_frames
    from_browser(panel.camera, *frame(4))
    assert panel.wait(30) and panel.shelf.counts == {"Class 1": 2, "Class 2": 0}
    assert [content["number"] for content, _ in said(sent, "answer")][:3] == [1, 2, 3]
    assert len({photo.burst for photo in panel.shelf.photos("Class 1")}) == 1
    assert panel.cards.classes[0] == {"name": "Class 1", "count": 2}
    content, (pictures,) = said(sent, "pictures")[-1]
    assert len(content["keys"]) == 1 and bytes(pictures[:2]) == b"\xff\xd8" and len(pictures) < 5000


def test_a_tap_is_one_photo_and_frames_that_come_too_fast_are_none(dash, monkeypatch):
    now = [10.0]
    monkeypatch.setattr(holding, "time", SimpleNamespace(monotonic=lambda: now[0]))
    panel = dash.teach
    for name in ("Class 1", "Class 2"):
        hold(dash, name, True)
        hold(dash, name, False)
        assert panel.camera.live
        for number in (1, 2):
            from_browser(panel.camera, *frame(number))
        now[0] += 60
    assert panel.wait(30) and panel.shelf.counts == {"Class 1": 1, "Class 2": 1}
    assert not panel.holding.wants_frames
    hold(dash, "Class 1", True)
    hold(dash, "Class 1", False)
    now[0] += 60  # that frame is of another moment
    from_browser(panel.camera, *frame(3))
    hold(dash, "Class 1", True)
    for number in (4, 5, 6):
        from_browser(panel.camera, *frame(number))
    assert panel.wait(30) and panel.shelf.counts["Class 1"] == 2


def test_what_learns_gets_the_frames_that_it_wants(dash):
    got = []
    dash.teach.on_frame(lambda number, data: got.append(number))
    from_browser(dash.teach.camera, *frame(1))
    dash.teach.want_frames(True)
    from_browser(dash.teach.camera, *frame(2))
    dash.teach.want_frames(False)
    from_browser(dash.teach.camera, *frame(3))
    assert got == [2]


def test_nothing_is_held_once_the_camera_is_off(dash, sent):
    hold(dash, "Class 1", True)
    from_browser(dash.teach.camera, {"kind": "state", "state": "off", "mirrored": True})
    assert not dash.teach.camera.live and not dash.teach.cards.live and said(sent, "let go")


def test_a_frame_that_is_no_picture_is_a_sentence_and_ends_the_hold(dash):
    hold(dash, "Class 1", True)
    from_browser(dash.teach.camera, *frame(1, b"no picture"))
    assert dash.teach.wait(30) and dash.teach.cards._said["error"] and not dash.teach.camera.live
    assert "Traceback" not in dash.teach.cards._said["text"] and len(dash.teach.shelf) == 0


# --- files --------------------------------------------------------------------------------------------------


def test_files_are_taken_one_by_one_and_each_is_answered(dash, sent):
    give(dash, "Class 2", jpeg(), 7)
    give(dash, "Class 2", b"GIF89a", 8)
    give(dash, "Class 2", b"", 9)
    give(dash, "none", jpeg(), 10)
    answers = [(content["number"], bool(content["problem"])) for content, _ in said(sent, "took")]
    assert answers == [(7, False), (8, True), (9, True), (10, True)]
    assert dash.teach.shelf.counts == {"Class 1": 0, "Class 2": 1}


def test_a_folder_of_class_folders_makes_classes_in_place_of_the_two_to_begin_with(dash):
    for name in ("cats", "../dogs", "Cats"):
        give(dash, name, jpeg(), known=False)
    assert dash.teach.shelf.counts == {"cats": 2, "-dogs": 1}
    for name in ("train", "photos"):  # as a folder of one class may be called
        give(dash, name, jpeg(), known=False)
    assert dash.teach.shelf.classes == ("cats", "-dogs", "class train", "class photos")


# --- classes ------------------------------------------------------------------------------------------------


def test_classes_are_added_renamed_removed_and_brought_back(dash, sent):
    cards, shelf = dash.teach.cards, dash.teach.shelf
    give(dash, "Class 1", jpeg())
    act(dash, "add")
    act(dash, "rename", of="Class 1", name="<b>mug</b>/")
    assert [one["name"] for one in cards.classes] == ["-b-mug-b-", "Class 2", "Class 3"]
    act(dash, "rename", of="Class 2", name="CLASS 3")
    assert cards._said["error"] and "already" in cards._said["text"]
    key = shelf.photos("-b-mug-b-")[0].key
    act(dash, "drop", key=key)
    assert cards.removed.startswith("A photo of") and said(sent, "list")[-3][0]["keys"] == []
    act(dash, "undo")
    assert shelf.photos("-b-mug-b-")[0].key == key and cards.removed == ""
    act(dash, "remove", of="-b-mug-b-")
    assert [one["name"] for one in cards.classes] == ["Class 2", "Class 3"]
    act(dash, "undo")
    assert shelf.counts == {"-b-mug-b-": 1, "Class 2": 0, "Class 3": 0}


def test_a_page_that_is_loaded_later_asks_for_all_small_pictures(dash, sent):
    for shade in range(3):
        give(dash, "Class 1", jpeg((shade * 80, 9, 9)))
    sent.clear()
    from_browser(dash.teach.cards, {"kind": "resync"})
    assert len(said(sent, "pictures")[0][0]["keys"]) == 3
    lists = {content["of"]: len(content["keys"]) for content, _ in said(sent, "list")}
    assert lists == {"Class 1": 3, "Class 2": 0}
    state = dash.teach.cards.get_state()  # which a saved notebook holds: no picture is in it
    assert len(str({name: value for name, value in state.items() if name not in ("_esm", "_css")})) < 3000


# --- folders ------------------------------------------------------------------------------------------------


def test_it_is_saved_and_opened_again_and_everything_else_reads_it(dash, tmp_path):
    panel = dash.teach
    with pytest.raises(ValueError, match="no photo to save"):
        panel.save(tmp_path / "mine")
    for name in ("Class 1", "Class 2"):
        give(dash, name, jpeg())
    working = panel.shelf.folder
    assert str(working) in panel.code()
    assert panel.save(tmp_path / "mine") == tmp_path / "mine" and not working.exists()
    give(dash, "Class 2", jpeg())
    written = sorted(str(file.relative_to(tmp_path / "mine")) for file in (tmp_path / "mine").rglob("*.jpg"))
    assert written == [f"Class {number}/burst-000{burst}-001.jpg"
                       for number, burst in ((1, 1), (2, 2), (2, 3))]
    assert f"'{tmp_path / 'mine'}'" in panel.cards.home and str(tmp_path / "mine") in panel.code()
    other = tmp_path / "other" / "cat"
    other.mkdir(parents=True)
    (other / "a.jpg").write_bytes(jpeg())
    (other / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    panel.load(tmp_path / "other")
    assert panel.wait(30) and panel.shelf.counts == {"cat": 2, "Class 2": 0}
    assert "2 photos" in panel.cards._said["text"] and len(panel.cards._pictures) == 1
    with pytest.raises(DataError, match="no folder"):
        panel.load(tmp_path / "nowhere")
    act(dash, "load", folder=str(tmp_path / "nowhere"))
    assert panel.cards._said["error"] and panel.shelf.folder == tmp_path / "other"
    act(dash, "load", folder=str(tmp_path / "mine"))
    assert panel.shelf.counts == {"Class 1": 1, "Class 2": 2}
    assert f"What was here before is in '{tmp_path / 'other'}'." in panel.cards._said["text"]


def test_what_a_session_did_not_save_is_offered_to_the_next_one(dash, tmp_path):
    for name in ("Class 1", "Class 2"):
        give(dash, name, jpeg())
    act(dash, "drop", key=dash.teach.shelf.photos("Class 1")[0].key)
    home = dash.teach.shelf.folder
    dash.close()
    assert [path.name for path in home.iterdir()] == ["Class 1", "Class 2"]  # what was removed is gone
    later = explorer.Dashboard(tiny(), images=explorer.sample_photos()[:1])
    try:
        later.wait()
        later.tabs.selected_index = later.tabs.titles.index("Teach")
        assert later.teach.wait(30)
        assert later.teach.cards.offer.startswith("You collected 1 class, 1 photo on ")
        act(later, "dismiss")
        assert later.teach.cards.offer == ""
        later.teach._offer(shelf_homes.last_home())
        act(later, "reopen")
        assert later.teach.shelf.folder == home and later.teach.shelf.counts == {"Class 1": 0, "Class 2": 1}
        assert later.teach.cards.offer == "" and shelf_homes.last_home() is None
    finally:
        later.close()


def test_any_folder_of_one_class_gets_a_second_one(dash, tmp_path):
    (tmp_path / "mine" / "class 2").mkdir(parents=True)
    (tmp_path / "mine" / "class 2" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    act(dash, "load", folder=str(tmp_path / "mine"))
    assert not dash.teach.cards._said["error"] and len(dash.teach.shelf.classes) == 2
    act(dash, "drop", key=dash.teach.shelf.photos("class 2")[0].key)  # it has no small picture
    assert "was not collected here" in dash.teach.cards._said["text"]


def test_a_button_is_let_go_of_though_its_class_is_gone(dash):
    hold(dash, "Class 1", True)
    act(dash, "remove", of="Class 1")
    hold(dash, "Class 1", False)
    assert not dash.teach.camera.live or dash.teach.holding._held.let_go


# --- the panel ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("removed", [False, True])
def test_it_leaves_nothing_on_the_disk_where_nothing_is_collected(dash, removed):
    home = dash.teach.shelf.folder
    if removed:
        give(dash, "Class 1", jpeg())
        act(dash, "drop", key=dash.teach.shelf.photos("Class 1")[0].key)
        assert home.is_dir()
    dash.close()
    assert not home.exists()


def test_closing_switches_the_camera_off_and_a_late_frame_is_nobodys(dash, sent):
    hold(dash, "Class 1", True)
    panel = dash.teach
    dash.close()
    assert said(sent, "off")
    panel._take(1, jpeg())
    panel.keep("Class 1", jpeg())
    assert len(panel.shelf) == 0


def test_its_figure_shows_some_photos_of_each_class(dash):
    assert dash.teach.figure() is None and dash.teach.code() == ""
    for shade in range(12):
        give(dash, "Class 1", jpeg((shade * 20, 9, 9)))
    figure = dash.teach.figure()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Class 1: 12 photos"]
    assert "Class 2: 0 photos" in dash.teach.caption() and dash.teach.exported("png")[:4] == b"\x89PNG"


def test_the_tab_costs_little_before_it_is_looked_at(sent, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    session = explorer.Dashboard(tiny(), images=explorer.sample_photos()[:1])
    before = len(registry._instances)
    panel = TeachPanel(session.session)
    assert len(registry._instances) - before == 2 and os.listdir(tmp_path) == []
    panel.close()
    session.close()


def test_the_guide_says_what_bursts_are_for():
    assert all(word in TeachPanel.guide for word in ("burst", "background", "2004.07780"))


def test_messages_of_what_is_not_there_reach_nobody(sent):
    view, heard = ShelfView(), []
    view.classes = [{"name": "a", "count": 0}]
    view.on_act(**{name: lambda *given, name=name: heard.append((name, *given)) for name in
                   ("hold", "photo", "rename", "remove", "drop", "save")})
    for message in (
        {"kind": "hold", "of": "b", "on": True}, {"kind": "rename", "of": "a", "name": "x" * 401},
        {"kind": "remove", "of": ["a"]}, {"kind": "drop", "key": True}, {"kind": "drop", "key": 5},
        {"kind": "save", "folder": "  "}, {"kind": "photo", "of": "a", "number": -1},
    ):
        from_browser(view, message, [memoryview(jpeg())])
    large = [memoryview(bytes(9 * 10**6))]
    from_browser(view, {"kind": "photo", "of": "a", "known": True, "number": 1}, large)
    assert heard == [] and "too large" in said(sent, "took")[-1][0]["problem"]
    from_browser(view, {"kind": "hold", "of": "a", "on": 1})
    assert heard == [("hold", "a", False)] and repr(view) == "ShelfView(a)"
    view.close()
