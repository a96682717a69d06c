"""The image input's Python half: bytes in, callbacks out, sentences back."""

from __future__ import annotations

import pytest

from explorer.widgets.parts.image_input import ImageInput

from .test_parts_base import from_browser, record_messages, updates


@pytest.fixture
def sent(monkeypatch):
    return record_messages(monkeypatch)


@pytest.fixture
def box(sent):
    part = ImageInput()
    part.got = []
    part.on_image(lambda name, data: part.got.append((name, data)))
    sent.clear()
    return part


def image(name="leaf.png", data=b"\x89PNG..."):
    return {"kind": "image", "name": name}, [memoryview(data)]


def test_the_callback_gets_the_name_and_the_very_bytes(box):
    data = bytes(range(256))
    from_browser(box, *image("leaf.png", data))
    assert box.got == [("leaf.png", data)] and type(box.got[0][1]) is bytes


def test_every_callback_is_called_and_a_removed_one_is_not(box):
    second = []
    callback = lambda name, data: second.append(name)
    box.on_image(callback)
    from_browser(box, *image("a.png"))
    box.on_image(callback, remove=True)
    from_browser(box, *image("b.png"))
    assert second == ["a.png"] and [name for name, _ in box.got] == ["a.png", "b.png"]


@pytest.mark.parametrize("given, plain", [
    ("C:\\fakepath\\cat.jpg", "cat.jpg"),
    ("../../etc/passwd", "passwd"),
    ("a\x00b\nc\u202egnp.exe", "abcgnp.exe"),
    ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
    ("", "picture"), (None, "picture"), ("dir/", "picture"),
])
def test_a_file_name_is_made_plain(box, given, plain):
    from_browser(box, *image(given))
    assert box.got[0][0] == plain


def test_a_long_file_name_is_shortened_in_the_middle(box):
    from_browser(box, *image("y" * 500 + ".png"))
    name = box.got[0][0]
    assert len(name) == 120 and name.endswith("y.png") and "…" in name


def test_what_is_said_reaches_the_page_and_can_be_said_twice(box, sent):
    box.say("Not a picture.")
    box.say("Not a picture.")
    box.say("Fine.", error=False)
    said = [(state["_said"]["text"], state["_said"]["error"]) for state, _ in updates(sent)]
    assert said == [("Not a picture.", True), ("Not a picture.", True), ("Fine.", False)]


def test_an_error_in_a_callback_becomes_a_sentence_and_a_log_entry(box, caplog):
    def broken(name, data):
        raise ValueError("too small")

    after = []
    box.on_image(broken)
    box.on_image(lambda name, data: after.append(name))
    from_browser(box, *image("leaf.png"))
    assert box._said["text"] == "'leaf.png' could not be used: too small" and box._said["error"]
    assert after == ["leaf.png"]
    assert "ValueError" in caplog.text


@pytest.mark.parametrize("buffers", [[], [memoryview(b"")]])
def test_a_message_without_a_picture_is_told_and_reaches_no_callback(box, buffers):
    from_browser(box, {"kind": "image", "name": "x.png"}, buffers)
    assert box.got == [] and "arrived empty" in box._said["text"]


def test_a_closed_input_calls_nobody(box):
    box.close()
    box._receive(box, *image())
    assert box.got == []


def test_the_size_limit_can_be_set(sent):
    assert ImageInput().max_side == 1024
    box = ImageInput(max_side=512)
    assert box.get_state()["max_side"] == 512 and repr(box) == "ImageInput(max_side=512)"
