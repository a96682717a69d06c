"""The live chart's wire protocol: only new points travel, nothing is lost, a late page gets the whole."""

from __future__ import annotations

import struct
import threading
from array import array

import pytest
import traitlets

from explorer.widgets.parts import live_chart
from explorer.widgets.parts.live_chart import MOST_CURVES, MOST_POINTS, LiveChart, thin

from .test_parts_base import from_browser, record_messages, updates


def points_sent(log):
    """(what it says, the buffer) of each message with new points."""
    return [(d["content"], b[0]) for kind, d, b in log
            if kind == "comm_msg" and d.get("method") == "custom" and d["content"]["kind"] == "points"]


def numbers(buffer):
    return struct.unpack(f"<{len(buffer) // 4}f", buffer)


@pytest.fixture
def sent(monkeypatch):
    return record_messages(monkeypatch)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told to move."""
    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(live_chart, "time", clock)
    return clock


@pytest.fixture
def chart(sent, clock):
    part = LiveChart(title="Loss", x_label="epoch")
    sent.clear()
    return part


def test_only_new_points_of_all_curves_travel_in_one_message(chart, sent, clock):
    for x in range(3):
        clock.now += 1
        chart.push(x, {"learning": 10 + x, "judged": 20 + x})
    heads = [content["curves"] for content, _ in points_sent(sent)]
    assert heads == [[["learning", x, 1], ["judged", x, 1]] for x in range(3)]
    assert numbers(points_sent(sent)[2][1]) == (2, 12, 2, 22)
    assert updates(sent) == []


def test_no_more_than_ten_messages_a_second_and_no_point_lost(chart, sent, clock):
    for step in range(1000):  # one second
        clock.now += 0.001
        chart.push(step, {"loss": 1.0})
    assert len(points_sent(sent)) <= 10
    chart.flush()
    total = sum(count for content, _ in points_sent(sent) for _, _, count in content["curves"])
    assert total == 1000


def test_nothing_new_is_not_sent(chart, sent):
    chart.push(0, {"loss": 1})
    sent.clear()
    chart.flush()
    assert sent == []


def test_a_late_page_gets_the_whole_and_what_follows_continues_it(chart, sent):
    chart.push(0, {"a": 1.0})
    chart.push(1, {"a": 2.0, "b": 5.0})  # not yet sent: too soon
    whole = chart.get_state("_points")["_points"]
    assert (whole["names"], whole["sizes"]) == (["a", "b"], [2, 1])
    assert numbers(whole["data"]) == (0, 1, 1, 2, 1, 5)
    chart.push(2, {"b": 6.0})
    sent.clear()
    chart.flush()
    (content, buffer), = points_sent(sent)
    assert content["curves"] == [["b", 1, 1]] and content["generation"] == whole["generation"]
    assert numbers(buffer) == (2, 6)


def test_an_empty_chart_has_no_buffer_to_send(chart):
    assert chart.get_state("_points")["_points"]["data"] is None


def test_a_page_that_missed_a_message_asks_and_gets_all(chart, sent):
    chart.push(1, {"a": 2})
    sent.clear()
    from_browser(chart, {"kind": "resync"})
    (state, buffers), = updates(sent)
    assert list(state) == ["_points"] and numbers(buffers[0]) == (1, 2)


def test_other_curves_in_place_of_the_old_are_sent_whole_with_another_generation(chart, sent):
    chart.push(0, {"a": 1})
    before = chart.get_state("_points")["_points"]["generation"]
    sent.clear()
    chart.replace({"b": [(0, 3), (1, 4)]})
    (state, buffers), = updates(sent)
    assert state["_points"]["names"] == ["b"] and state["_points"]["generation"] > before
    assert numbers(buffers[0]) == (0, 3, 1, 4)
    assert chart.names == ("b",)


def test_the_end_is_sent_as_state_for_a_notebook_that_is_saved_without_a_browser(chart, sent):
    chart.push(0, {"a": 1})
    chart.push(1, {"a": 2})
    sent.clear()
    chart.finish()
    (state, buffers), = updates(sent)
    assert numbers(buffers[0]) == (0, 1, 1, 2)


def test_a_long_curve_is_thinned_and_keeps_its_ends_and_its_spike(chart, sent, clock):
    spike = 5000
    for step in range(3 * MOST_POINTS):
        clock.now += 0.01
        chart.push(step, {"loss": 99.0 if step == spike else 1.0})
    kept = chart.points("loss")
    assert len(kept) <= MOST_POINTS
    assert kept[0] == (0, 1) and kept[-1] == (3 * MOST_POINTS - 1, 1) and (spike, 99) in kept
    assert [x for x, _ in kept] == sorted(x for x, _ in kept)


def test_a_thinned_curve_reaches_the_page_whole(chart, sent, clock):
    chart.extend("loss", ((i, i) for i in range(MOST_POINTS)))
    chart.flush()
    sent.clear()
    clock.now += 1
    chart.push(MOST_POINTS, {"loss": 7})
    (state, buffers), = updates(sent)
    assert points_sent(sent) == [] and len(buffers[0]) // 8 == len(chart.points("loss")) < MOST_POINTS


def test_thinning_a_short_curve_changes_nothing():
    curve = array("f", [0, 1, 1, 2])
    assert thin(curve, 10) == curve


def test_many_threads_lose_no_point_and_keep_the_order(sent):
    chart = LiveChart()
    sent.clear()

    def push(name: str) -> None:
        for i in range(300):
            chart.push(i, {name: i})
            chart.flush()

    threads = [threading.Thread(target=push, args=(name,)) for name in "abcd"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    ends = dict.fromkeys("abcd", 0)
    for content, _ in points_sent(sent):
        for name, start, count in content["curves"]:
            assert start == ends[name]
            ends[name] = start + count
    assert ends == dict.fromkeys("abcd", 300)


def test_too_many_curves_are_refused_in_words(chart):
    chart.push(0, {str(i): 0 for i in range(MOST_CURVES)})
    with pytest.raises(ValueError, match="one too many"):
        chart.push(1, {"another": 0})


def test_marks_are_pairs_of_a_place_and_a_text(chart, sent):
    chart.marks = [(3, "best")]
    assert updates(sent) == [({"marks": [[3.0, "best"]]}, [])]
    with pytest.raises(traitlets.TraitError, match="pairs"):
        chart.marks = [3]


@pytest.mark.parametrize("key, value", [("log", True), ("smooth", True), ("hidden", ["judged"])])
def test_scale_smoothing_and_hidden_curves_are_the_readers(chart, sent, key, value):
    from_browser(chart, {"kind": "choose", "key": key, "value": value})
    assert getattr(chart, key) == value and updates(sent) == []


def test_a_closed_chart_takes_no_more_and_holds_nothing(chart, sent):
    chart.push(0, {"a": 1})
    chart.close()
    sent.clear()
    chart.push(1, {"a": 2})  # a run that goes on
    chart.flush()
    chart.finish()
    assert sent == []
