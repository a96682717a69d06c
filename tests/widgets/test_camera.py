"""The camera's frames in Python: decoded, bounded, the newest only; and the panel that answers them."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer import _teams
from explorer.widgets.panels.camera import frames
from explorer.widgets.parts import camera
from explorer.widgets.parts.camera import Camera
from explorer.widgets.parts.live_maps import LiveMaps

from .test_parts_base import from_browser, record_messages


@pytest.fixture
def sent(monkeypatch):
    return record_messages(monkeypatch)


def jpeg(colour: tuple[int, int, int] = (200, 40, 40), size: tuple[int, int] = (64, 48)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG")
    return file.getvalue()


def frame(number: int, data: bytes | None = None):
    return {"kind": "frame", "number": number}, [memoryview(jpeg() if data is None else data)]


def said(sent, kind: str) -> list[tuple[dict, list]]:
    """The custom messages to the page of that kind: (content, buffers)."""
    found = [(data["content"], buffers) for _, data, buffers in sent if data.get("method") == "custom"]
    return [(content, buffers) for content, buffers in found if content["kind"] == kind]


# --- the part -----------------------------------------------------------------------------------------------


@pytest.fixture
def part(sent):
    part = Camera()
    part.got, part.kept = [], []
    part.on_frame(lambda number, data: part.got.append((number, data)))
    part.on_freeze(part.kept.append)
    sent.clear()
    return part


def test_frames_and_frozen_pictures_reach_their_callbacks_as_the_very_bytes(part):
    data = bytes(range(256))
    from_browser(part, *frame(7, data))
    from_browser(part, {"kind": "picture"}, [memoryview(data)])
    assert part.got == [(7, data)] and part.kept == [data] and type(part.got[0][1]) is bytes


@pytest.mark.parametrize("number", [None, -1, 1.0, "1", True, 2**53, 10**400])
def test_a_frame_without_a_proper_number_is_not_passed_on(part, sent, number):
    from_browser(part, *frame(number))
    assert part.got == [] and sent == []


def test_empty_and_too_large_frames_are_answered_with_a_sentence(part, sent, monkeypatch):
    monkeypatch.setattr(camera, "LARGEST_FRAME", 100)
    for number, buffers in ((1, []), (2, [memoryview(b"")]), (3, [memoryview(bytes(101))])):
        from_browser(part, {"kind": "frame", "number": number}, buffers)
    assert part.got == [] and [content["number"] for content, _ in said(sent, "answer")] == [1, 2, 3]
    assert all("too large" in content["problem"] for content, _ in said(sent, "answer"))


def test_a_callback_that_fails_is_told_and_the_others_are_called(part, sent):
    def fails(number, data):
        raise RuntimeError("no")

    part._frames.insert(0, fails)
    from_browser(part, *frame(1))
    assert [number for number, _ in part.got] == [1] and said(sent, "say")[0][0]["error"]


def test_the_page_says_what_the_camera_does_and_closing_switches_it_off(part, sent):
    from_browser(part, {"kind": "state", "state": "live"})
    assert part.state == "live" and repr(part) == "Camera('live')"
    from_browser(part, {"kind": "state", "state": "burning"})
    assert part.state == "live"
    part.close()
    part.close()
    assert part.state == "off" and len(said(sent, "off")) == 1
    sent.clear()
    part.answer(1)
    part.freeze()
    assert sent == []


def test_a_heat_map_travels_as_a_byte_a_place(part, sent):
    part.answer(3, heat=[[0.0, 1.0], [0.5, float("nan")]], box=(0, 0.1, 1, 0.9), title="Grad-CAM: cat")
    (content, (codes,)), = said(sent, "answer")
    assert [*codes] == [0, 255, 128, 0] and content["shape"] == [2, 2] and content["box"] == [0, 0.1, 1, 0.9]


def test_maps_are_mirrored_as_the_picture_beside_them_is(dash):
    assert dash.camera.maps.mirrored
    from_browser(dash.camera.view, {"kind": "state", "state": "live", "mirrored": False})
    assert not dash.camera.maps.mirrored


def test_maps_travel_averaged_and_as_codes(sent):
    maps = LiveMaps()
    maps.show(np.arange(2 * 80 * 100, dtype=np.float32).reshape(2, 80, 100), ["4", "7"], note="two")
    content, (codes,) = said(sent, "maps")[-1]
    assert content["shape"] == [2, 27, 34] and len(codes) == 2 * 27 * 34
    assert content["names"] == ["4", "7"] and codes[0] == 0 and codes[-1] == 253


# --- the newest only ----------------------------------------------------------------------------------------


def test_what_the_worker_has_no_time_for_is_never_looked_at():
    newest: frames.Newest[int] = frames.Newest()
    assert newest.put(1) and newest.take() == 1
    assert not newest.put(2) and not newest.put(3)
    assert newest.take() == 3 and newest.take() is None
    assert newest.put(4)
    newest.rest()
    assert newest.put(5) and newest.take() == 5


def test_a_map_keeps_its_place_while_it_is_among_the_strongest():
    strongest = frames.Strongest(3)
    assert strongest.among("a", np.array([9.0, 1, 8, 2, 7])) == [0, 2, 4]
    assert strongest.among("a", np.array([9.0, 1, 8, 9, 7])) == [0, 2, 4]  # once is not lately
    for _ in range(5):
        places = strongest.among("a", np.array([9.0, 1, 0, 30, 9]))
    assert places == [0, 3, 4]
    assert strongest.among("b", np.array([0.0, 1])) == [1, 0]


@pytest.mark.parametrize("alone, all_of_them", [(0.02, 0.05), (0.2, 0.05)])
def test_frames_are_looked_at_in_the_way_that_was_quicker_when_tried(alone, all_of_them):
    crew, ways = frames.Crew(), []
    for _ in range(60):
        ways.append(crew.leaves_one)
        crew.took(alone if crew.leaves_one else all_of_them)
    assert {*ways[4:14]} == {True, False} and {*ways[14:]} == {alone < all_of_them}


def test_a_thread_that_leaves_one_processor_has_all_of_them_afterwards():
    before = torch.get_num_threads()
    with _teams.leaving_one():
        assert torch.get_num_threads() == (max(1, before - 1) if _teams.active() else before)
    assert torch.get_num_threads() == before


# --- the panel ----------------------------------------------------------------------------------------------


def tiny(**options) -> nn.Module:
    torch.manual_seed(0)
    body = nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU()
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)
    return explorer.wrap(nn.Sequential(*body, *head), input_size=(3, 32, 32), **options)


@pytest.fixture
def dash(sent):
    dash = explorer.Dashboard(tiny(labels=list("abcde")), images=explorer.sample_photos()[:2])
    dash.wait()
    dash.tabs.selected_index = dash.tabs.titles.index("Camera")
    sent.clear()
    yield dash
    dash.close()


def see(dash, number: int, data: bytes | None = None) -> None:
    from_browser(dash.camera.view, *frame(number, data))
    assert dash.camera.wait(30)


def test_a_frame_gives_answers_heat_and_maps_that_are_those_of_the_public_calls(dash, sent):
    see(dash, 1)
    panel = dash.camera
    content, (codes,) = said(sent, "answer")[-1]
    assert content["number"] == 1 and content["problem"] == "" and content["title"].startswith("Grad-CAM: ")
    look = explorer.look(dash.session.model, panel.picture)
    assert [row.name for row in panel.answers.rows] == [one.label for one in look.predictions]
    found = explorer.explain(dash.session.model, look=look)
    assert float((panel.shown.heat.heatmap - found.heatmap).abs().max()) < 1e-4
    assert content["shape"] == [48, 64]  # so small a frame has a value a pixel
    assert np.abs(np.frombuffer(codes, np.uint8) - 255 * found.heatmap.numpy().ravel()).max() < 1
    maps, (pixels,) = said(sent, "maps")[-1]
    assert maps["shape"][0] == len(maps["names"]) <= 12 and len(pixels) == np.prod(maps["shape"])
    assert "each from its own lowest" in maps["note"]


def test_the_lines_behind_it_give_what_is_on_the_screen(dash):
    assert dash.camera.code() == "" and dash.camera.figure() is None
    see(dash, 1)
    panel = dash.camera
    place = {"dash": dash}
    exec(panel.code(), place)
    assert [one.label for one in place["look"].predictions] == [row.name for row in panel.answers.rows]
    assert panel.figure().size == (64, 48) and "a frame of the camera" in panel.caption()


@pytest.mark.parametrize("data", [b"GIF89a nothing", b"\xff\xd8\xff\xe0 torn", jpeg()[:200], bytes(3000)])
def test_what_is_no_picture_is_a_sentence_and_the_next_frame_is_answered(dash, sent, data):
    see(dash, 1, data)
    problem = said(sent, "answer")[-1][0]["problem"]
    assert problem and "Traceback" not in problem and "Error" not in problem
    see(dash, 2)
    assert said(sent, "answer")[-1][0]["problem"] == ""


def test_a_bomb_is_refused_before_it_is_decoded(dash, sent):
    see(dash, 1, jpeg(size=(6000, 6000)))
    assert "pixels" in said(sent, "answer")[-1][0]["problem"]


def test_frames_that_come_while_one_is_looked_at_are_left_out_but_the_newest(dash, sent, monkeypatch):
    began, go_on, real = threading.Event(), threading.Event(), frames.see

    def slow(*given):
        began.set()
        assert go_on.wait(20)
        return real(*given)

    monkeypatch.setattr(frames, "see", slow)
    from_browser(dash.camera.view, *frame(1))
    assert began.wait(20)
    for number in (2, 3, 4):
        from_browser(dash.camera.view, *frame(number))
    go_on.set()
    assert dash.camera.wait(30)
    assert [content["number"] for content, _ in said(sent, "answer")] == [1, 4]


def test_the_heat_map_stays_on_the_class_that_was_clicked(dash, sent):
    see(dash, 1)
    panel = dash.camera
    last = panel.shown.look.predictions[-1]
    from_browser(panel.answers, {"kind": "pick", "index": 4})
    assert last.label in panel.unpin.description
    see(dash, 2, jpeg((20, 200, 60)))
    assert panel.shown.heat.target == last.index and f"target={last.index}" in panel.code()
    assert said(sent, "answer")[-1][0]["title"].startswith(f"Grad-CAM: {last.label} (")
    panel.unpin.click()
    see(dash, 3)
    assert panel.shown.heat.target == panel.shown.look.predictions[0].index
    assert panel.unpin.layout.display == "none"


def test_a_click_on_an_answer_of_a_frozen_frame_draws_it_anew(dash, sent):
    see(dash, 1)
    from_browser(dash.camera.view, {"kind": "state", "state": "frozen"})
    sent.clear()
    from_browser(dash.camera.answers, {"kind": "pick", "index": 3})
    assert dash.camera.wait(30) and [content["number"] for content, _ in said(sent, "answer")] == [1]
    assert dash.camera.shown.heat.label == dash.camera.answers.rows[3].name


def test_a_frozen_picture_is_the_photo_of_every_tab_and_joins_the_others(dash, sent):
    for name in ("Camera", "Camera (2)"):
        from_browser(dash.camera.view, {"kind": "picture"}, [memoryview(jpeg(size=(320, 240)))])
        assert dash.camera.wait(30)
        dash.wait()
        assert dash.session.image_name == name and dash.session.image.size == (320, 240)
    assert [title for title, _ in dash.session.gallery][-2:] == ["Camera", "Camera (2)"]
    assert "every tab" in said(sent, "say")[-1][0]["text"]
    from_browser(dash.camera.view, {"kind": "picture"}, [memoryview(b"no picture")])
    assert dash.camera.wait(30)
    assert said(sent, "say")[-1][0]["error"] and dash.session.image_name == "Camera (2)"


def test_another_model_takes_the_answers_away_and_a_stage_in_front_is_followed(dash, sent):
    see(dash, 1)
    names = list(dash.session.look.stages)
    dash.session.stage = names[0]
    assert dash.camera.stage.value == names[0]
    dash.camera.stage.value = names[-1]
    assert dash.session.stage == names[-1]
    dash.session.model = tiny(labels=list("vwxyz"))
    dash.wait()
    assert dash.camera.shown is None and dash.camera.answers.rows == () and dash.camera.code() == ""
    see(dash, 2)
    assert {row.name for row in dash.camera.answers.rows} == set("vwxyz")


def test_networks_without_a_classifier_show_their_maps_and_say_why_there_is_no_heat(dash, sent):
    dash.session.model = explorer.create_model("resnet18", num_classes=0, img_size=64)
    dash.wait()
    see(dash, 1)
    assert "no classifier" in dash.camera.notes.value
    assert said(sent, "answer")[-1][0]["shape"] is None and said(sent, "maps")[-1][0]["shape"][0] == 12


def test_networks_that_find_boxes_or_masks_say_so_and_freeze(dash, sent):
    dash.session.model = explorer.create_model("unet", backbone="resnet18", num_classes=2)
    dash.wait()
    assert not dash.camera.view.live and "tab Segment" in dash.camera.notes.value
    see(dash, 1)
    assert "tab Segment" in said(sent, "answer")[-1][0]["problem"]


def test_closing_the_dashboard_switches_the_camera_off_and_a_late_frame_is_nobodys(dash, sent):
    see(dash, 1)
    panel, view = dash.camera, dash.camera.view
    from_browser(view, {"kind": "state", "state": "live"})
    sent.clear()
    dash.close()
    assert said(sent, "off") and view.state == "off" and panel.shown is None
    panel._take(2, jpeg())
    from_browser(view, *frame(3))
    assert said(sent, "answer") == []


def test_a_network_that_fails_on_the_way_back_answers_all_the_same():
    class OneWay(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(OneWay.apply(self.conv(x)).mean((2, 3)))

    seen = frames.see(explorer.wrap(Net(), input_size=(3, 32, 32)).eval(), jpeg())
    assert seen.look.predictions and seen.heat is None and seen.why
