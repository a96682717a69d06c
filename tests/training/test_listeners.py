"""Listeners: what a person reads while a run goes on, and what TensorBoard gets."""

from __future__ import annotations

import io
import sys
import types

import pytest

from explorer.training.loop.events import Batch, Epoch, Finished, Note, Progress, Saved, Started, Stopped
from explorer.training.run.listeners import TensorBoardListener, print_progress

STREAM = [
    Progress("looking at each photo once", 8, 16), Progress("looking at each photo once", 16, 16),
    Started(2, 3, 0, 5125, True),
    Batch(0, 1, 1, 1.5, 0.25, 0.01, 100.0), Batch(0, 2, 2, 1.25, 0.5, 0.01, 100.0),
    Batch(0, 3, 3, 1.0, 0.5, 0.01, 100.0), Epoch(0, 3, 1.25, 0.417, 1.1, 0.6, 0.01, 0.5, True),
    Saved(1, 3, "somewhere"), Note("Left out, x.jpg: broken."),
    Batch(1, 1, 4, 0.9, 0.75, 0.005, 100.0),
    Epoch(1, 6, 0.9, 0.7, 1.2, 0.55, 0.005, 1.0, False), Finished(2, 0, 0.6, 1.0),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def said(events, stream=None) -> str:
    stream = io.StringIO() if stream is None else stream
    listener = print_progress(stream)
    for event in events:
        listener(event)
    return stream.getvalue()


def test_without_a_terminal_there_is_a_line_an_epoch_and_none_a_batch():
    assert said(STREAM).splitlines() == [
        "looking at each photo once (16)",
        "training begins: 2 epochs of 3 batches, 5,125 numbers learn, on features of photos seen once",
        "epoch 1: loss 1.250, right 41.7 %; judged: loss 1.100, right 60.0 %, the best so far; 0.5 s",
        "Left out, x.jpg: broken.",
        "epoch 2: loss 0.900, right 70.0 %; judged: loss 1.200, right 55.0 %; 1.0 s",
        "finished: best epoch 1, right 60.0 %, 1.0 s",
    ]


def test_a_terminal_gets_a_bar_that_the_lines_stand_above():
    shown = said(STREAM, Terminal())
    assert "looking at each photo once" in shown and "8/16" in shown
    assert "epoch 1 of 2" in shown and "1/3" in shown and "loss 1.500, 100 photos/s" in shown
    lines = [line.split("\r")[-1] for line in shown.split("\n")]
    assert any(line.startswith("epoch 1: loss 1.250") for line in lines)


def test_a_resumed_run_and_a_stop_are_said():
    lines = said([Started(5, 3, 7, 10, False), Stopped(2, 8, "asked")]).splitlines()
    assert lines == ["training goes on behind step 7: 5 epochs of 3 batches, 10 numbers learn",
                     "stopped in epoch 3 behind step 8: as asked"]
    assert said([Stopped(2, 8, "no better")]) == "stopped in epoch 3 behind step 8: it got no better\n"


def test_control_characters_of_a_file_name_are_spelt_out():
    assert said([Note("Left out, a\x1b[2J\nb.jpg: broken.")]) == "Left out, a\\x1b[2J\\nb.jpg: broken.\n"


def test_progress_goes_to_standard_error(capsys):
    print_progress()(Note("a sentence"))
    assert capsys.readouterr() == ("", "a sentence\n")


def test_forgotten_brackets_are_told_where_somebody_looks(capsys):
    with pytest.raises(TypeError):
        print_progress(STREAM[0])
    assert "on_event=print_progress(), with brackets" in capsys.readouterr().err


@pytest.fixture
def writer(monkeypatch):
    """A SummaryWriter that remembers; TensorBoard itself is no dependency."""
    written = []

    class SummaryWriter:
        def __init__(self, folder):
            written.append(("folder", folder))

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def add_text(self, name, text):
            written.append((name, text))

        def flush(self):
            written.append(("flush",))

        def close(self):
            written.append(("close",))

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return written


def test_tensorboard_gets_batches_and_epochs_by_step(writer, tmp_path):
    listener = TensorBoardListener(tmp_path)
    for event in STREAM:
        listener(event)
    assert writer[0] == ("folder", str(tmp_path)) and writer[-1] == ("close",)
    assert [entry[1:] for entry in writer
            if entry[0] == "batch/loss"] == [(1.5, 1), (1.25, 2), (1.0, 3), (0.9, 4)]
    assert [entry[1:] for entry in writer if entry[0] == "batch/lr"][-1] == (0.005, 4)
    assert [entry[1:] for entry in writer if entry[0] == "val/top1"] == [(0.6, 3), (0.55, 6)]
    assert [entry[1:] for entry in writer if entry[0] == "train/loss"] == [(1.25, 3), (0.9, 6)]
    assert ("notes", "Left out, x.jpg: broken.") in writer and writer.count(("flush",)) == 2


def test_without_tensorboard_there_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ModuleNotFoundError, match="pip install tensorboard.*history.jsonl"):
        TensorBoardListener(tmp_path)


def test_a_run_tells_its_listener(capsys):
    from PIL import Image

    import explorer
    from explorer.data.datasets import PhotoSet, Splits

    names = ("red", "blue")
    photos = PhotoSet(names, (0, 1) * 4, tuple(map(str, range(8))),
                      lambda i: Image.new("RGB", (32, 32), names[i % 2]))
    stream = io.StringIO()
    explorer.finetune("mobilenetv3_small_050", Splits("two", photos, photos), epochs=1, pretrained=False,
                      input_size=(3, 32, 32), threads=1, device="cpu", augment="none",
                      on_event=print_progress(stream)).wait()
    lines = stream.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["looking", "training", "epoch", "finished:"]
