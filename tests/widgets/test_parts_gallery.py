"""The row of small photos: what travels, and what a pick does."""

from __future__ import annotations

from explorer.widgets.parts.gallery import PhotoGallery

ITEMS = [("cat", b"first"), ("<b>dog</b>", b"second!")]


def test_the_pictures_travel_once_as_one_buffer(sent):
    gallery = PhotoGallery()
    gallery.show(ITEMS)
    (data, buffers), = [(d, b) for _, d, b in sent if "_items" in d.get("state", {}) and b]
    assert bytes(buffers[0]) == b"firstsecond!"
    assert data["state"]["_items"]["sizes"] == [5, 7]
    gallery.close()


def test_a_pick_reaches_the_callback_and_a_wrong_one_does_not(sent):
    gallery, picked = PhotoGallery(), []
    gallery.on_pick(picked.append)
    gallery.show(ITEMS)
    for index in (1, 2, -1, "1", None):
        gallery._receive(gallery, {"kind": "pick", "index": index}, [])
    assert picked == [1]
    gallery.close()


def test_a_pick_is_marked_and_not_sent_back_to_where_it_came_from(sent):
    gallery = PhotoGallery()
    gallery.show(ITEMS)
    sent.clear()
    gallery._receive(gallery, {"kind": "pick", "index": 1}, [])
    assert gallery.selected == 1 and sent == []
    gallery.mark(0)  # it could not be shown
    assert [data["state"] for _, data, _ in sent] == [{"selected": 0}]
    gallery.close()


def test_marking_picks_nothing_and_close_lets_go(sent):
    gallery, picked = PhotoGallery(), []
    gallery.on_pick(picked.append)
    gallery.show(ITEMS)
    gallery.mark(1)
    assert gallery.selected == 1 and picked == []
    gallery.close()
    gallery.close()
    gallery.show(ITEMS)
    assert gallery._items == {}
