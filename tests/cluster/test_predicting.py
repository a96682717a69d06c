"""`cluster.predict`: the answers of `explorer.predict`, in files, also where a node is lost or a call is cut
off.
"""

from __future__ import annotations

import time
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from torch import Tensor, nn

import explorer
from tests.cluster.conftest import SIZE, Nodes, small_net
from tests.training.test_finetune import painted


class Slow(nn.Module):
    """Takes its time, so that a node can be lost in between."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.2)
        return self.net(x)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    photos = painted(20)
    for i in range(20):
        photos[i][0].save(folder / ("more" if i % 2 else "") / f"photo{i}.png")
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no photo")
    return folder


@pytest.fixture(scope="module")
def found(nodes: Nodes, folder: Path, tmp_path_factory):
    """21 photos of an archive in lists of 2, by two workers, one of whom is lost after the first list."""
    from explorer import cluster

    archive = tmp_path_factory.mktemp("archive") / "photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            file.write(path, path.relative_to(folder).as_posix())

    lost = []
    nodes.with_another()

    def progress(done: int, total: int) -> None:
        assert 0 < done <= total == 21
        if not lost:
            nodes.lose_the_other_at_work()
            lost.append(done)

    output = tmp_path_factory.mktemp("found") / "answers"
    result = cluster.predict(explorer.wrap(Slow(small_net()), input_size=SIZE).eval(), f"zip://::{archive}",
                             output=f"file://{output}", batch_size=2, workers=2, topk=2, photos_per_file=2,
                             progress=progress)
    assert lost
    return result


def test_a_lost_node_loses_no_photo_and_repeats_none(found, folder):
    names = Counter(row.name for row in found)
    assert set(names.values()) == {1} and len(names) == len(found) == found.new == 21
    assert "more/photo1.png" in names and ".hidden.png" not in names


def test_answers_read_through_an_address_are_those_of_one_process_reading_the_folder(found, folder):
    here = {row.name: row for row in explorer.predict(small_net().eval(), folder, topk=2)}
    for row in found:
        theirs, mine = row.predictions, here[row.name].predictions
        assert [(p.label, p.index) for p in theirs] == [(p.label, p.index) for p in mine]
        assert [p.probability for p in theirs] == pytest.approx([p.probability for p in mine], abs=1e-5)


def test_a_broken_photo_is_a_row_with_a_sentence(found):
    assert found.errors == 1
    [broken] = [row for row in found if row.error]
    assert broken.name == "torn.jpg" and broken.predictions == []
    assert "torn.jpg" in found._repr_html_()


def test_a_second_call_does_what_is_missing_and_another_model_is_refused(found, folder):
    from explorer import cluster

    output = Path(found.output.removeprefix("file://"))
    again = {"output": output, "batch_size": 2, "workers": 1, "topk": 2}
    model = explorer.wrap(Slow(small_net()), input_size=SIZE).eval()
    part = sorted(output.glob("part-*.parquet"))[0]
    part.unlink()  # as if the first call had been cut off
    second = cluster.predict(model, folder, **again)
    assert (second.new, second.photos) in {(2, 21), (1, 21)}
    assert set(Counter(row.name for row in second).values()) == {1}
    assert cluster.predict(model, folder, **again).new == 0
    with pytest.raises(ValueError, match="another model or setting"):
        cluster.predict(explorer.wrap(Slow(small_net(7)), input_size=SIZE).eval(), folder, **again)


def test_impossible_requests_are_sentences(nodes, folder, tmp_path):
    from explorer import cluster

    with pytest.raises(FileNotFoundError, match="no picture files"):
        cluster.predict(small_net(), tmp_path, output=tmp_path / "answers")
    with pytest.raises(ValueError, match="batch_size is 0"):
        cluster.predict(small_net(), folder, output=tmp_path / "answers", batch_size=0)
    with pytest.raises(ValueError, match="can't be opened"):
        cluster.predict(small_net(), "strange://bucket/photos", output=tmp_path / "answers")
