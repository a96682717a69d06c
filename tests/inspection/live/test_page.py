"""What `live_page` writes, refuses, and says: the file, without a browser."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.data.samples import sample_photos
from explorer.inspection.live import checking, page
from explorer.inspection.live.assembling import MARK, page_text
from explorer.inspection.live.photos import LONGEST, MOST, photos_for
from explorer.inspection.live.several import usual_photos
from explorer.models.outputs import KINDS
from explorer.models.weights.report import LoadReport
from tests.inspection.small_models import tiny

pytestmark = pytest.mark.usefixtures("no_runtime")
HOSTILE = ("<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "<!-- & \"'")


def net(classes: int = 3, *, labels=None, channels: int = 3, **more) -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(channels, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3, 2),
                           nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
    names = labels or [f"kind {i}" for i in range(classes)]
    return explorer.wrap(module, input_size=(channels, 24, 24), labels=names, **more).eval()


def photo(seed: int = 0, size=(40, 48)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((48, 40), Image.Resampling.BILINEAR)


def block(text: str, name: str) -> str:
    return re.search(rf'<script type="[^"]+" id="{name}"[^>]*>(.*?)</script>', text, re.DOTALL)[1]


def facts_of(path) -> dict:
    return json.loads(block(path.read_text(encoding="utf-8"), "vx-facts"))


def small() -> nn.Module:
    """A network of explorer's own."""
    torch.manual_seed(0)
    model = explorer.create_model("mobilenetv3_small_050", num_classes=3).eval()
    model.config = model.config.with_(input_size=(3, 64, 64), labels=("kind 0", "kind 1", "kind 2"))
    return model


def write(model, folder, **more):
    return explorer.live_page(model, folder / "page.html", **{"photos": photo(), **more})


def test_the_facts_are_what_the_pages_scripts_know(tmp_path):
    model = small()
    facts = facts_of(write(model, tmp_path, photos=[photo(0), photo(1)]))
    (told,) = facts["models"]
    assert told["task"] == "classify" and told["labels"] == ["kind 0", "kind 1", "kind 2"]
    assert told["outputs"]["kind"] in KINDS and told["preprocessing"]["input_size"] == [3, 64, 64]
    assert told["embedding"] == told["results"]["embedding"][-1] == 1024
    assert [stage["output"] for stage in told["stages"]] == [f"maps.{s.name}" for s in model.stage_table]
    for stage in told["stages"]:
        assert stage["shape"] == told["results"][stage["output"]][1:]
        assert len(stage["fields"]["columns"]) in (0, stage["shape"][2])
    assert told["heat"]["shape"] == told["results"]["heat"][1:] and told["no_heat"] == ""
    assert facts["precision"] == "float16" and facts["runtime"]["licence"] == "MIT"
    assert {row[0] for row in told["card"]} >= {"parameters", "classes", "photo", "weights"}
    assert any("mean nothing" in note for note in told["notes"])  # nobody taught it


def test_the_card_says_of_the_weights_what_is_true_of_these(tmp_path):
    def card_of(model) -> dict[str, str]:
        return dict(facts_of(write(model, tmp_path))["models"][0]["card"])

    model = tiny("lenet")
    model.config = model.config.with_(top1=57.9, license="apache-2.0", num_classes=5)
    card = card_of(model)
    assert card["weights"] == "none were loaded" and card["photo"] == "32 × 32 pixels"
    assert not {"accuracy", "licence of the weights"} & card.keys()  # those are of weights that nobody loaded
    model.load_report = LoadReport("the file that was published")
    card = card_of(model)
    assert card["licence of the weights"] == "apache-2.0" and card["weights"] == "the file that was published"
    assert card["accuracy"] == "57.9 % top-1 on ImageNet (published)"
    model.reset_classifier(0)
    model.config = model.config.without_head()
    assert "accuracy" not in card_of(model)  # it was another network's, with its classifier


def test_each_photo_goes_along_with_what_torch_says_of_it(tmp_path):
    model, pictures = net(), [photo(seed) for seed in range(3)]
    path = write(model, tmp_path, photos=pictures, precision="float32")
    facts, text = facts_of(path), path.read_text(encoding="utf-8")
    for index, picture in enumerate(pictures):
        stored = Image.open(io.BytesIO(base64.b64decode(block(text, f"vx-photo-{index}"))))
        np.testing.assert_array_equal(np.asarray(stored), np.asarray(picture))  # without loss
        told = facts["photos"][index]["expected"][0]["top"]
        assert told == [[one.index, one.probability] for one in explorer.predict(model, picture)]
    report = facts["report"]
    assert report["photos"] == report["same_top"] == 3
    assert report["largest_difference"] < report["limit"] == 1e-4 and len(report["said"]) == 2


def test_the_blocks_hold_the_runtime_and_the_network(tmp_path):
    text = write(small(), tmp_path).read_text(encoding="utf-8")
    script = gzip.decompress(base64.b64decode(block(text, "vx-runtime-js"))).decode()
    assert script.startswith('(() => {"use strict";') and "import.meta" not in script
    assert "self.ort={InferenceSession:a,Tensor:b,env:c};" in script
    assert gzip.decompress(base64.b64decode(block(text, "vx-runtime-wasm"))).startswith(b"\0asm")
    onnx = pytest.importorskip("onnx")
    graph = onnx.load_from_string(gzip.decompress(base64.b64decode(block(text, "vx-model-0"))))
    assert [value.name for value in graph.graph.input] == ["image", "class_weights", "direction"]
    assert "Microsoft" in block(text, "vx-licence") and block(text, "vx-learnt") == "null"


def test_only_a_page_that_was_asked_for_it_tries_a_graphics_card(tmp_path, monkeypatch):
    asked, stand_in = [], page.runtimes.runtime_of
    monkeypatch.setattr(page.runtimes, "runtime_of",
                        lambda given, *, gpu: asked.append(gpu) or stand_in(given, gpu=gpu))
    assert facts_of(write(net(), tmp_path))["gpu"] is False
    assert facts_of(write(net(), tmp_path, gpu=True))["gpu"] is True and asked == [False, True]


def test_no_name_and_no_label_can_become_html(tmp_path):
    names = tmp_path / "photos"
    names.mkdir()
    photo().save(names / "<b onclick=alert(3)>.png")
    text = write(net(labels=HOSTILE), tmp_path, photos=names).read_text(encoding="utf-8")
    for bad in ("alert(1)>", "<script>alert", "alert(3)>"):
        assert f"<{bad}" not in text
    assert text.count("<script") == text.count("</script>")
    facts = json.loads(block(text, "vx-facts"))
    assert facts["models"][0]["labels"] == list(HOSTILE)
    assert facts["photos"][0]["title"] == "<b onclick=alert(3)>.png"


def test_the_policy_forbids_every_request_and_names_the_scripts_by_their_sums(tmp_path):
    text = write(net(), tmp_path).read_text(encoding="utf-8")
    rules = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[1]
    assert "default-src 'none'" in rules and "connect-src 'none'" in rules and "unsafe-inline" not in rules
    assert "unsafe-eval'" not in rules.replace("'wasm-unsafe-eval'", "")
    scripts = re.findall(r'<script type="module">(.*?)</script>', text, re.DOTALL)
    assert len(scripts) == 1 and "://" not in scripts[0] and "://" not in block(text, "vx-worker")


def test_photos_lose_what_else_stands_in_their_files(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "taken in our garden"
    photo().save(tmp_path / "a.jpg", exif=exif, comment=b"our garden")
    text = write(net(), tmp_path, photos=tmp_path / "a.jpg").read_text(encoding="utf-8")
    stored = base64.b64decode(block(text, "vx-photo-0"))
    assert b"garden" not in stored and not Image.open(io.BytesIO(stored)).getexif()


def test_large_photos_are_made_small_and_many_are_chosen_evenly():
    (one,), said = photos_for(Image.new("RGB", (4000, 3000), "red"))
    assert one.picture.size == (LONGEST, LONGEST * 3 // 4) and said == ""
    many, said = photos_for([photo(seed) for seed in range(30)])
    assert len(many) == MOST and said == f"{MOST} of 30 photos are in this page, evenly chosen."


def test_bundled_photos_come_with_their_authors():
    known = {photo.title: photo for photo in sample_photos()}
    own, _ = photos_for(None)
    assert len(own) == 6 and all(one.credit == known[one.title].credit and one.licence for one in own)
    named, _ = photos_for(["daisy", "rocket"])
    assert [one.title for one in named] == ["Daisy", known[named[1].title].title]
    by_path, _ = photos_for([sample_photos()[0].path])
    assert by_path[0].credit == sample_photos()[0].credit


@pytest.mark.parametrize(("classes", "outputs"), [(1, "yes/no"), (3, "several"), (2, "numbers")])
def test_other_outputs_are_told_as_predict_tells_them(classes, outputs, tmp_path):
    labels = ["no", "yes"] if outputs == "yes/no" else None
    model = net(classes, outputs=outputs, labels=labels)
    facts = facts_of(write(model, tmp_path))
    assert facts["models"][0]["outputs"]["kind"] == outputs
    told = explorer.predict(model, photo())
    wanted = [[one.index, one.value if outputs == "numbers" else one.probability] for one in told]
    assert facts["photos"][0]["expected"][0]["top"] == wanted


def test_a_network_without_classes_has_maps_alone(tmp_path):
    model = explorer.create_model("resnet10t", features_only=True, out_indices=(1, 3)).eval()
    facts = facts_of(write(model, tmp_path, maps=["layer1"], precision="float32"))
    (told,) = facts["models"]
    assert told["labels"] == [] and told["outputs"]["kind"] == "" and told["no_heat"]
    assert [stage["name"] for stage in told["stages"]] == ["layer1"]
    assert facts["photos"][0]["expected"] == [{"top": []}] and facts["report"]["largest_map"] < 1e-3


def test_a_page_that_would_say_something_else_is_not_written(tmp_path, monkeypatch):
    told = checking.predict
    monkeypatch.setattr(checking, "predict", lambda *a, **k: told(*a, **k)[::-1])  # the least likely first
    with pytest.raises(ValueError, match="would not say in a browser what it says here, so the page was not"):
        write(net(labels=["a", "b", "c"]), tmp_path, precision="float32")
    assert not list(tmp_path.iterdir())


def test_only_its_own_pages_are_replaced(tmp_path):
    first = write(net(), tmp_path)
    assert MARK in first.read_text(encoding="utf-8")[:1000]
    assert write(net(), tmp_path) == first
    (tmp_path / "mine.html").write_text("<p>my homework</p>")
    with pytest.raises(FileExistsError, match=r"explorer\.live_page did not write it"):
        explorer.live_page(net(), tmp_path / "mine.html", photos=photo())
    assert (tmp_path / "mine.html").read_text() == "<p>my homework</p>"
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(FileExistsError, match="is no file"):
        explorer.live_page(net(), tmp_path / "folder.html", photos=photo())


def test_what_is_wrong_is_said_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "page_file", None)
    with pytest.raises(ValueError, match=r"expected a file that ends in \.html"):
        explorer.live_page(net(), tmp_path / "page.pdf")
    with pytest.raises(ValueError, match="expected 'float16' or 'float32'"):
        explorer.live_page(net(), tmp_path / "page.html", precision="int8")
    with pytest.raises(OSError, match="There is no folder"):
        explorer.live_page(net(), tmp_path / "none" / "page.html")
    with pytest.raises(ValueError, match="has no stage 'nowhere'"):
        write(net(), tmp_path, maps=["nowhere"])
    with pytest.raises(ValueError, match="There are no photos in this list"):
        write(net(), tmp_path, photos=[])
    with pytest.raises(ValueError, match="reads pictures of 4 channels, and a browser has photos"):
        write(net(channels=4), tmp_path)


def test_a_run_is_written_by_its_own_name(tmp_path):
    for kind in ("cat", "dog"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for number in range(4):
            photo(number + 10 * (kind == "cat")).save(tmp_path / "photos" / kind / f"{number}.png")
    run = explorer.finetune(net(), tmp_path / "photos", epochs=1).wait()
    run.name = "my pets"
    page_ = run.live_page(tmp_path / "pets.html", photos=tmp_path / "photos" / "cat", precision="float32")
    facts = facts_of(page_)
    assert facts["title"] == "my pets" and facts["models"][0]["labels"] == ["cat", "dog"]
    card = dict(facts["models"][0]["card"])
    assert card["epochs"] == "1 epoch" and card["learnt from"] != "not known"
    assert card["weights"] == "learnt by this run"
    assert "licence of the weights" not in card  # it began with none
    saved = explorer.load_run(run.save(tmp_path / "saved"), model=net(2))
    assert facts_of(saved.live_page(tmp_path / "again.html", photos=photo()))["title"] == "my pets"


def test_a_run_shows_photos_of_the_bundled_data_that_it_learnt_from_and_none_of_anybody_elses():
    leaving = SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace(tag="")))
    data = lambda name: SimpleNamespace(data=SimpleNamespace(name=name))
    assert usual_photos(data("flowers5"), leaving) == "flowers5"
    assert usual_photos(data("my_children"), leaving) is usual_photos("lenet5", leaving) is None


def test_a_copy_that_holds_somebodys_classes_is_not_replaced(tmp_path):
    path = tmp_path / "page.html"
    saved = page_text("net", {}, {}, "").replace('id="vx-learnt">null<', 'id="vx-learnt">{"classes":[]}<')
    path.write_text(saved, encoding="utf-8")
    with pytest.raises(FileExistsError, match="somebody saved classes of their own"):
        write(net(), tmp_path)
    assert path.read_text(encoding="utf-8") == saved
