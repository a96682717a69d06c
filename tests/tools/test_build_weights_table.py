"""The script that builds the table of weights: what it keeps and drops, and what a row that fails costs."""

from __future__ import annotations

import json

import pytest
import timm

from explorer.models import weights
from explorer.models.contract import Stage
from tests.tools import build_weights_table as tool

NAMES = ("resnet18", "resnet50", "lenet5")


def row(params: int = 1, **tags: dict) -> dict:
    tags = tags or {"in1k": {}}
    return {"params": params, "macs": 2, "stages": [["stem", 8, 2]], "common": {}, "tags": tags}


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A small world: a catalog of three names, a builder that makes up rows, no published results."""
    monkeypatch.setattr(tool, "FAMILY_OF", {name: tool.FAMILY_OF[name] for name in NAMES})
    monkeypatch.setattr(tool, "published_results", dict)
    monkeypatch.setattr(tool, "entry", lambda name: row())
    return tmp_path / "weights.json"


def write(path, rows: dict, source: str = tool.SOURCE) -> None:
    path.write_text(json.dumps({"source": source, "models": rows}))


def read(path) -> dict:
    return json.loads(path.read_text())["models"]


def run(path, *words: str) -> int:
    return tool.main(["--table", str(path), *words])


def test_only_what_is_missing_is_built(table):
    half = {key: value for key, value in row().items() if key != "macs"}
    write(table, {"resnet18": row(params=7), "resnet50": half})
    assert run(table) == 0
    params = {name: row["params"] for name, row in read(table).items()}
    assert params == {"resnet18": 7, "resnet50": 1, "lenet5": 1}


def test_what_left_the_catalog_is_dropped(table):
    write(table, {"gone_net": row(), "resnet18": row()})
    assert run(table) == 0
    assert list(read(table)) == list(NAMES)


@pytest.mark.parametrize(("words", "built"), [
    (["--all"], set(NAMES)), (["resnet*"], {"resnet18", "resnet50"}),
])
def test_rows_are_built_anew_on_request(table, words, built):
    write(table, {name: row(params=7) for name in NAMES})
    assert run(table, *words) == 0
    assert {name for name, r in read(table).items() if r["params"] == 1} == built


def test_another_version_of_the_source_rebuilds_all(table):
    write(table, {name: row(params=7) for name in NAMES}, source="timm 0.1")
    assert run(table) == 0
    assert {r["params"] for r in read(table).values()} == {1}
    assert json.loads(table.read_text())["source"] == tool.SOURCE


def test_a_row_that_fails_is_named_and_leaves_the_others_and_its_old_row_alone(table, monkeypatch, capsys):
    def fails(name):
        if name == "resnet50":
            raise RuntimeError("half a file")
        return row()

    monkeypatch.setattr(tool, "entry", fails)
    write(table, {"resnet50": row(params=7)})
    assert run(table, "--all") == 1
    params = {name: row["params"] for name, row in read(table).items()}
    assert params == {"resnet18": 1, "resnet50": 7, "lenet5": 1}
    assert "Not built: resnet50 (RuntimeError: half a file)" in capsys.readouterr().err


def test_rows_that_another_run_wrote_meanwhile_stay(table, monkeypatch):
    write(table, {})

    def meanwhile(name):  # the other run knows a name that came into the catalog after we had read it
        write(table, {"brand_new": row(params=9)})
        return row()

    monkeypatch.setattr(tool, "entry", meanwhile)
    assert run(table) == 0
    assert {name: r["params"] for name, r in read(table).items()} == \
        {"resnet18": 1, "resnet50": 1, "lenet5": 1, "brand_new": 9}


def test_no_half_file_is_left_behind(table):
    write(table, {})
    run(table)
    assert [path.name for path in table.parent.iterdir()] == ["weights.json"]


def test_what_timm_has_alone_is_written_anew_each_time(table):
    assert run(table) == 0
    only = json.loads(table.read_text())["timm_only"]
    assert set(only) == set(timm.list_models()) - set(NAMES) and only == sorted(only)


# --- stages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stages", [
    [(f"blocks.{i}", 768, 16) for i in range(40)],
    [("stem", 64, 2), ("layer1", 64, 4), ("layer2", 128, 8)],
    [("stage.0", 8, 4), ("stage.1", 8, 4)],
    [("stem", 8, 2), ("block8", 8, 4), ("block9", 8, 4), ("block10", 8, 4),
     ("block11", 16, 4), ("end", 16, 4)],
])
def test_stages_survive_the_tables_short_form(stages, monkeypatch):
    short = tool.stage_runs([Stage(name, name, channels, reduction) for name, channels, reduction in stages])
    assert len(short) <= len(stages)
    table = {"models": {"net": {"stages": json.loads(json.dumps(short))}}}
    monkeypatch.setattr("explorer.models.weights.table._table", lambda: table)
    assert weights.stage_rows("net") == tuple(stages)


def test_forty_equal_blocks_are_one_row():
    assert tool.stage_runs([Stage(f"block{i}", "", 768, 16) for i in range(40)]) == [["block0", 768, 16, 40]]


# --- accuracy -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sides", "found"), [
    ([224], {"top1": 80.0, "top5": 95.0}), ([288, 224], {"top1": 80.0, "top5": 95.0}), ([288], {}), ([], {}),
])
def test_accuracy_counts_at_the_size_that_the_weights_expect(sides, found):
    entry = row(a1={"test_input_size": [3, 288, 288], "top1": 1.0})
    results = [(80.0 if side == 224 else 82.0, 95.0, side) for side in sides]
    filled = tool.put_accuracy("resnet18", entry, {"resnet18.a1": results})
    assert filled["tags"]["a1"] == {"test_input_size": [3, 288, 288], **found}


def test_weights_with_other_classes_have_no_accuracy_on_imagenet():
    filled = tool.put_accuracy("resnet18", row(a1={"num_classes": 11}), {"resnet18.a1": [(80.0, 95.0, 224)]})
    assert filled["tags"]["a1"] == {"num_classes": 11}


def test_torchvisions_own_figures_are_kept():
    entry = row(tv_in1k={"top1": 56.5, "top5": 79.1})
    assert tool.put_accuracy("alexnet", entry, {}) == entry


def test_the_packages_say_the_accuracy_that_the_results_do_not_have():
    filled = tool.put_accuracy("tf_efficientnet_lite0", row(), {})
    assert filled["tags"]["in1k"] == {"top1": 74.8, "top5": 92.2}


@pytest.mark.parametrize(("path", "count"), [(tool.RESULTS[0], 1002), (tool.RESULTS[1], 438)],
                         ids=["first", "later"])
def test_the_results_are_sorted_plausible_and_of_names_and_sizes_that_timm_states(path, count):
    rows = tool.read_results(path)
    assert len({(name, side) for name, (_, _, side) in rows}) == len(rows) == count
    assert [top1 for _, (top1, _, _) in rows] == sorted((top1 for _, (top1, _, _) in rows), reverse=True)
    assert all(50 < top1 < top5 < 100 for _, (top1, top5, _) in rows)
    known = {name.lower() for name in timm.list_models(pretrained=True)}
    assert {name for name, _ in rows} - known <= {"tnt_s_patch16_224"}  # has another name today
    for name, (_, _, side) in rows:
        if name in known:
            config = timm.get_pretrained_cfg(name)
            assert side in {size[1] for size in (config.input_size, config.test_input_size) if size}, name


def test_no_measurement_is_in_both_files():
    first, later = ({(name, side) for name, (_, _, side) in tool.read_results(path)} for path in tool.RESULTS)
    assert not first & later
