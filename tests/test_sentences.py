"""Whatever a person gives to a public function, the answer is a result or one of explorer's own sentences.

A table of good calls, one a function; each argument of each call is exchanged, one at a time, for values that
people give by mistake: None, an empty string, another type, NaN, a negative, huge or fractional number,
another shape. What comes back must be a result, or an exception that explorer's own code raised: a ValueError
or TypeError (or a class of its own below RuntimeError) whose text names the argument, or the value, and says
what is expected.
"""

from __future__ import annotations

import copy
import functools
import inspect
import json
import re
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.data.places.opening import open_places
from explorer.data.places.place_set import Boxes, PlaceSet
from explorer.inspection.live import assembling, page

PACKAGE = str(Path(explorer.__file__).parent)
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8))


class Strange:
    """Something that no argument expects."""

    def __repr__(self) -> str:
        return "<something strange>"


WRONG: dict[str, Any] = {
    "None": None, "empty": "", "word": "no such thing", "NUL": "a\0b", "strange": Strange(), "list": [],
    "dict": {}, "bytes": b"\xff\xd8", "NaN": float("nan"), "infinite": float("inf"), "negative": -1,
    "zero": 0, "fraction": 0.5, "huge": 10**30, "bool": True, "tensor": torch.zeros(2, 2),
    "shape": torch.zeros(1, 2, 3, 4, 5), "class": Strange,
}
#: What else an argument may be called in a sentence.
CALLED = {"image": ("picture", "photo", "file", "data"), "images": ("picture", "photo", "data"),
          "photos": ("picture", "photo", "folder"), "source": ("picture", "file", "data"),
          "data": ("label", "photo", "folder", "picture"), "x": ("representation",),
          "y": ("representation",), "input_size": ("size",), "model_a": ("model",), "model_b": ("model",),
          "look_or_maps": ("look", "map"), "image_tensor": ("photo", "tensor"), "features": ("features",),
          "listener": ("listener",)}


def net(channels: int = 3, classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(channels, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3, 2),
                           nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
    return explorer.wrap(module, input_size=(channels, 24, 24),
                         labels=[f"kind {i}" for i in range(classes)]).eval()


def segmenter() -> nn.Module:
    model = explorer.create_model("lraspp", backbone="mobilenetv3_small_050", num_classes=2).eval()
    model.config = model.config.with_(input_size=(3, 32, 32), labels=("background", "cat"))
    return model


@pytest.fixture(scope="module")
def things(tmp_path_factory) -> dict[str, Any]:
    """What the good calls are made of; `fresh` makes a new network, since some calls change it."""
    folder = tmp_path_factory.mktemp("photos")
    for kind in range(3):
        (folder / f"kind {kind}").mkdir()
        for number in range(5):
            PHOTO.rotate(10 * number).save(folder / f"kind {kind}" / f"{number}.png")
    model = net()
    features = explorer.run_folder(model, folder, cache_dir=tmp_path_factory.mktemp("cache"))
    run = explorer.finetune(net(), folder, epochs=1).wait()
    saved = run.save(tmp_path_factory.mktemp("saved") / "run")
    detector = explorer.create_model("retinanet", backbone="resnet18", num_classes=2, img_size=64)
    coco = tmp_path_factory.mktemp("coco")
    for number in range(2):
        PHOTO.save(coco / f"{number}.png")
    (coco / "things.json").write_text(json.dumps({
        "images": [{"id": i, "file_name": f"{i}.png"} for i in range(2)], "annotations": [],
        "categories": [{"id": 1, "name": "thing"}]}))
    return {"judged": explorer.evaluate(model, folder, split="all"),
            "judged boxes": explorer.evaluate(detector, places("detection")),
            "judged masks": explorer.evaluate(segmenter(), places("segmentation")),
            "coco": coco,
            "detector": detector, "found": explorer.detect(detector, PHOTO), "segmenter": segmenter(),
            "folder": folder, "model": model, "features": features, "look": explorer.look(model, PHOTO),
            "saved": saved, "run": run, "out": tmp_path_factory.mktemp("out")}


def places(task: str) -> PlaceSet:
    """A photo with one box, or with a mask."""
    boxes = (Boxes(np.array([[2.0, 2, 20, 20]]), np.array([0]), np.array([False]), np.array([324.0])),)
    mask = np.zeros((40, 48), np.uint8)
    mask[2:20, 2:20] = 1
    if task == "detection":
        return PlaceSet(("thing", "other"), ("a",), lambda index: PHOTO, boxes)
    return PlaceSet(("background", "cat"), ("a",), lambda index: PHOTO, open_mask=lambda index: mask)


def quiet(*_: Any) -> None:
    """A listener."""


def calls(it: dict[str, Any]) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Name -> (function, the arguments of a good call)."""
    model, folder, features, seen = it["model"], it["folder"], it["features"], it["look"]
    heard = {"on_progress": None, "should_stop": None}
    judge = {"batch_size": 4, "topk": 2, "split": "val", "seed": 0, **heard}
    return {
        "Ensemble": (explorer.Ensemble, {"models": {"a": model, "b": net()}, "combine": "mean",
                                         "weights": [1, 2]}),
        "activations": (explorer.activations, {"looks": seen}),
        "attention_maps": (explorer.attention_maps,
                           {"model": explorer.create_model("vit_tiny_patch16_224", img_size=32, depth=2),
                            "image": torch.zeros(1, 3, 32, 32), "blocks": (0,)}),
        "blend": (explorer.blend, {"models": [model, net()], "data": folder, "share": 0.3, "meta": "logistic",
                                   "seed": 0, "pretrained": False, "device": "cpu", **heard}),
        "stack": (explorer.stack, {"models": [model, net()], "data": folder, "folds": 2, "meta": "logistic",
                                   "seed": 0, "pretrained": False, "device": "cpu", **heard}),
        "calibrate": (explorer.calibrate, {"result": it["judged"], "judged": None, "seed": 0}),
        "cka": (explorer.cka, {"x": torch.rand(6, 3), "y": torch.rand(6, 4)}),
        "compare": (explorer.compare, {"models": {"a": model, "b": net()}, "images": [PHOTO],
                                       "measure": False, "warm_up": 1, "repeats": 1, "batch_size": 2,
                                       "cache_dir": it["out"], **heard}),
        "compare_stages": (explorer.compare_stages,
                           {"model_a": model, "model_b": net(), "photos": [PHOTO] * 6, "batch_size": 6,
                            "limit": 6, **heard}),
        "create_model": (explorer.create_model, {
            "name": "resnet18", "pretrained": False, "num_classes": 3, "in_chans": 3, "features_only": False,
            "out_indices": None, "output_stride": 32, "global_pool": "avg", "drop_rate": 0.0,
            "drop_path_rate": 0.0, "img_size": None, "checkpoint_path": None, "cache_dir": None,
            "device": None, "dtype": None}),
        "cross_validate": (explorer.cross_validate,
                           {"model": model, "data": folder, "folds": 2, "repeats": 1, "split": "all",
                            "seed": 0, "refit": False, "pretrained": False, "input_size": (3, 24, 24),
                            "device": "cpu", **heard}),
        "detect": (explorer.detect, {"model": it["detector"], "image": PHOTO, "score_threshold": 0.3,
                                     "iou_threshold": 0.5}),
        "differ": (explorer.differ, {"first": it["judged"], "second": it["judged"], "draws": 100,
                                     "seed": 0}),
        "embed": (explorer.embed, {"model": model, "photos": folder, "batch_size": 4, "cache_dir": it["out"],
                                   **heard}),
        "evaluate": (explorer.evaluate,
                     {"model": model, "data": folder, "batch_size": 4, "tta": False, "topk": 2,
                      "split": "val", "seed": 0, **heard}),
        "explain": (explorer.explain, {"model": model, "image": PHOTO, "method": "gradcam", "target": 0,
                                       "stage": model.stages[0].name, "look": None, "box": None,
                                       "region": None, "score_threshold": None, "on_step": None, **heard}),
        "explain a box": (lambda **given: explorer.explain(it["detector"], PHOTO, **given),
                          {"box": 0, "target": 1, "score_threshold": 0.0, "stage": "layer4"}),
        "explain a region": (lambda **given: explorer.explain(it["segmenter"], PHOTO, **given),
                             {"region": (2, 3, 20, 30), "target": "cat"}),
        "explain_number": (explorer.explain_number,
                           {"model": model, "image": PHOTO, "module": model.stages[0].name, "channel": 0,
                            "row": 1, "column": 2}),
        "export": (explorer.export, {"model": model, "path": it["out"] / "net.pt2",
                                     "maps": model.stages[0].name, "batch_size": 1, "precision": "float32"}),
        "live_page": (explorer.live_page, {"model": model, "path": it["out"] / "page.html", "photos": PHOTO,
                                           "maps": model.stages[0].name, "precision": "float32",
                                           "runtime": None, "gpu": False}),
        "fgsm": (explorer.fgsm, {"model": model, "image": PHOTO, "epsilon": 0.1, "target": 0, "towards": None,
                                 "look": None}),
        "find_flip": (explorer.find_flip,
                      {"model": model, "image": PHOTO, "kind": "noise", "values": (0.0, 0.1), "step": 0.1,
                       "seed": 0, "look": None, "curve": None, **heard}),
        "find_lr": (explorer.find_lr, {"model": model, "data": folder, "start": 1e-5, "stop": 0.1, "steps": 5,
                                       "photos": 8, "pretrained": False, "input_size": (3, 24, 24),
                                       "on_rate": None, "batch_size": 4}),
        "finetune": (lambda **given: explorer.finetune(**given).wait(), {
            "model": model, "data": folder, "epochs": 1, "train": "head", "lr": 0.01, "body_lr": None,
            "batch_size": 4, "optimizer": "adamw", "schedule": "cosine", "augment": "light", "seed": 0,
            "run_dir": None, "resume": False, "on_event": quiet, "pretrained": False, "backbone": None,
            "input_size": (3, 24, 24), "device": "cpu", "name": "a run", "accumulate": 1,
            "layer_decay": None, "weight_decay": 0.01, "warmup": 0.0, "label_smoothing": 0.0, "mixup": 0.0,
            "cutmix": 0.0, "clip": None, "ema": None, "swa": None, "swa_rate": "constant",
            "class_weights": None, "precision": "float32", "patience": 1, "save_every": 2, "views": 1,
            "rounds": 1, "cache": True, "threads": 1}),
        "distill": (lambda **given: explorer.distill(**given).wait(), {
            "student": net(), "teacher": model, "data": folder, "temperature": 4.0, "alpha": 0.5,
            "features": None, "stages": None, "beta": None, "epochs": 1, "train": "head", "batch_size": 4,
            "augment": "light", "seed": 0, "outputs": None, "run_dir": None, "resume": False,
            "on_event": quiet, "pretrained": False, "input_size": (3, 24, 24), "device": "cpu",
            "name": "a lesson"}),
        "doctor": (explorer.doctor, {}),
        "first_filters": (explorer.first_filters, {"model": model, "limit": 2, "cell": 8, "columns": 2}),
        "fit_weights": (explorer.fit_weights,
                        {"model": explorer.Ensemble([net(), net()]), "data": folder, "by": "nll",
                         "batch_size": 4, "cache_dir": it["out"], **heard}),
        "fuse_features": (explorer.fuse_features, {"models": {"a": model, "b": net()}, "stages": None,
                                                   "how": "concat", "num_classes": 3}),
        "freeze": (explorer.freeze, {"model": net(), "up_to": None, "modules": "*"}),
        "gradient_flow": (explorer.gradient_flow,
                          {"model": model, "image": PHOTO, "target": 0, "look": None}),
        "graph": (explorer.graph, {"model": model, "input_size": (3, 24, 24)}),
        "is_model": (explorer.is_model, {"name": "resnet18"}),
        "knn_accuracy": (explorer.knn_accuracy,
                         {"features": features, "k": 2, "temperature": 0.07, "val": 0.4, "seed": 0}),
        "label_errors": (explorer.label_errors, {"result": it["judged"]}),
        "linear_probe": (explorer.linear_probe,
                         {"features": features, "val": 0.4, "seed": 0, "C": 0.1, "labels_per_class": (2,),
                          "draws": 1, **heard}),
        "list_families": (explorer.list_families, {"task": ""}),
        "list_models": (explorer.list_models,
                        {"filter": "resnet*", "pretrained": False, "exclude_filters": "*50*",
                         "family": "resnet", "task": ""}),
        "list_pretrained": (explorer.list_pretrained, {"filter": "resnet*"}),
        "load_image": (explorer.load_image,
                       {"source": PHOTO, "max_pixels": 10**6, "channels": 3, "bands": None}),
        "load_run": (explorer.load_run, {"path": it["saved"], "model": net()}),
        "look": (explorer.look, {"model": model, "image": PHOTO, "topk": 2, "bands": None,
                                 "at": ("module.0",)}),
        "mask_region": (explorer.mask_region,
                        {"model": model, "image": PHOTO, "box": (2, 2, 20, 20), "fill": "blur",
                         "look": None}),
        "measure_speed": (explorer.measure_speed,
                          {"model": model, "batch_size": 1, "input_size": (3, 24, 24), "warm_up": 0,
                           "repeats": 1, **heard}),
        "module_tree": (explorer.module_tree, {"model": model, "input_size": (3, 24, 24)}),
        "optimize": (explorer.optimize,
                     {"model": model, "example": torch.zeros(1, 3, 24, 24), "channels_last": False}),
        "parameter_groups": (explorer.parameter_groups,
                             {"model": model, "lr": 0.1, "weight_decay": 0.1, "layer_decay": 0.5,
                              "head_lr": 0.1, "no_weight_decay": ()}),
        "pca_rgb": (explorer.pca_rgb, {"look_or_maps": seen, "stage": model.stages[0].name}),
        "predict": (explorer.predict, {"model": model, "images": [PHOTO], "topk": 1, "batch_size": 1}),
        "receptive_field": (explorer.receptive_field,
                            {"model": model, "stage": model.stages[0].name, "row": 1, "column": 2,
                             "effective": True, "image": PHOTO, "gates": True}),
        "robustness": (explorer.robustness,
                       {"model": model, "image": PHOTO, "kind": "noise", "values": (0.0, 0.1), "seed": 0,
                        "look": None, **heard}),
        "run_folder": (explorer.run_folder,
                       {"model": model, "photos": folder, "batch_size": 4, "cache_dir": it["out"], **heard}),
        "sample_photos": (explorer.sample_photos, {"name": "bccd"}),
        "search": (explorer.search,
                   {"space": {"train": ["head"]}, "data": folder, "method": "grid", "trials": 1,
                    "model": model, "folds": None, "by": "accuracy", "prune": False, "storage": None,
                    "keep": it["out"] / "best", "timeout": 60.0, "seed": 0, "pretrained": False,
                    "device": "cpu", "on_trial": None, "on_result": None, **heard}),
        "segment": (explorer.segment, {"model": it["segmenter"], "image": PHOTO}),
        "soup": (explorer.soup, {"models": {"a": model, "b": net()}, "weights": None, "data": folder,
                                 "batch_size": 4, **heard}),
        "top_photos": (explorer.top_photos,
                       {"model": model, "photos": [PHOTO], "stage": model.stages[0].name, "channel": 0,
                        "count": 1, "batch_size": 1, **heard}),
        "uncertain": (explorer.uncertain,
                      {"models": model, "photos": folder, "by": "entropy", "passes": None, "batch_size": 4,
                       "seed": 0, "cache_dir": it["out"], **heard}),
        "Calibrated.apply": (explorer.calibrate(it["judged"]).apply, {"model": net()}),
        "LabelErrors.to_csv": (explorer.label_errors(it["judged"]).to_csv, {"path": it["out"] / "l.csv"}),
        "unfreeze": (explorer.unfreeze, {"model": net(), "modules": "*"}),
        "visualize": (explorer.visualize,
                      {"model": model, "target": 0, "stage": None, "channel": None, "steps": 2, "size": 24,
                       "seed": 0, "method": "features", "photo": None, "style": None, "style_weight": 1.0,
                       "style_stages": None, "after": None, "on_picture": None, "on_value": None, **heard}),
        "visualize a channel": (explorer.visualize, {"model": model, "stage": model.stages[0].name,
                                                     "channel": 1, "steps": 1}),
        "DrawnPicture.save": (explorer.visualize(model, target=0, steps=1).save,
                              {"path": it["out"] / "drawn.png"}),
        "wrap": (explorer.wrap, {"module": net().module, "labels": ["a", "b", "c"], "outputs": "one",
                                 "input_size": (3, 24, 24), "mean": (0.5,) * 3, "std": (0.5,) * 3,
                                 "name": "mine"}),
        "Run.save": (it["run"].save, {"path": it["out"] / "saved run"}),
        "Run.wait": (it["run"].wait, {"timeout": 1.0}),
        "Run.model_at": (it["run"].model_at, {"epoch": 1}),
        "Run.listen": (it["run"].listen, {"listener": quiet}),
        "Look.mosaic": (seen.mosaic, {"stage": model.stages[0].name, "sort": "channel", "scale": "own",
                                      "colormap": "viridis", "limit": 2, "cell": 8}),
        "Detections.at": (it["found"].at, {"score_threshold": 0.3, "iou_threshold": 0.5}),
        "Graph.level": (explorer.graph(model).level, {"path": "module"}),
        "Graph.folded": (explorer.graph(model).folded, {"path": "module", "apart": ["module.0"]}),
        "Graph.layout": (explorer.graph(model).layout, {"open": ["module"]}),
        "DetectionTable.to_csv": (explorer.detect(it["detector"], [PHOTO]).to_csv,
                                  {"path": it["out"] / "boxes.csv"}),
        "PredictionTable.to_csv": (explorer.predict(model, [PHOTO]).to_csv,
                                   {"path": it["out"] / "table.csv"}),
        "DetectionEvaluation.curve": (it["judged boxes"].curve, {"label": "thing", "iou": 0.5}),
        "DetectionEvaluation.plot": (it["judged boxes"].plot, {"classes": ["thing"], "iou": 0.5}),
        "DetectionEvaluation.overlay": (it["judged boxes"].overlay, {"row": 0}),
        "DetectionEvaluation.to_csv": (it["judged boxes"].to_csv, {"path": it["out"] / "judged.csv"}),
        "MaskEvaluation.overlay": (it["judged masks"].overlay, {"row": 0}),
        "MaskEvaluation.to_csv": (it["judged masks"].to_csv, {"path": it["out"] / "masks judged.csv"}),
        "evaluate boxes": (explorer.evaluate,
                           {**judge, "model": it["detector"], "data": places("detection")}),
        "evaluate masks": (explorer.evaluate,
                           {**judge, "model": it["segmenter"], "data": places("segmentation")}),
        "open_places": (open_places, {"data": it["coco"], "task": "detection", "val_share": 0.5, "seed": 0}),
        "Segmentation.overlay": (explorer.segment(it["segmenter"], PHOTO).overlay,
                                 {"opacity": 0.5, "classes": ["cat"], "image": PHOTO}),
        "Segmentation.probabilities": (explorer.segment(it["segmenter"], PHOTO).probabilities, {"label": 0}),
        "SegmentationTable.to_csv": (explorer.segment(it["segmenter"], [PHOTO]).to_csv,
                                     {"path": it["out"] / "masks.csv"}),
        "SegmentationTable.save": (explorer.segment(it["segmenter"], [PHOTO]).save,
                                   {"folder": it["out"] / "masks"}),
        "reset_classifier": (lambda **given: net().reset_classifier(**given), {"num_classes": 2}),
    }


FUNCTIONS = sorted(name for name in explorer.__all__
                   if callable(getattr(explorer, name)) and not inspect.isclass(getattr(explorer, name)))
METHODS = ("Calibrated.apply", "LabelErrors.to_csv", "Graph.level", "Graph.folded", "Graph.layout",
           "Run.save", "Run.wait", "Run.model_at", "Run.listen", "Look.mosaic", "PredictionTable.to_csv",
           "Detections.at", "DetectionTable.to_csv", "Segmentation.overlay", "Segmentation.probabilities",
           "SegmentationTable.to_csv", "SegmentationTable.save", "reset_classifier",
           "DetectionEvaluation.curve", "DetectionEvaluation.plot", "DetectionEvaluation.overlay",
           "DetectionEvaluation.to_csv", "MaskEvaluation.overlay", "MaskEvaluation.to_csv", "evaluate boxes",
           "evaluate masks", "open_places", "explain a box", "explain a region", "visualize a channel",
           "DrawnPicture.save")


@pytest.fixture(scope="module")
def table(things) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    return calls(things)


def test_the_table_has_every_public_function_with_every_argument(table):
    assert sorted(table) == sorted([*FUNCTIONS, *METHODS])
    for name in FUNCTIONS:
        own = {p.name for p in inspect.signature(getattr(explorer, name)).parameters.values()
               if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        if name not in ("finetune", "distill", "find_lr"):
            assert own == set(table[name][1]), name


def fault(name: str, argument: str, value: Any, error: BaseException) -> str:
    """What is wrong with an exception as an answer to a person; "" for nothing."""
    frames = traceback.extract_tb(error.__traceback__)
    text = str(error)
    own = type(error).__module__.startswith("explorer")
    if not own and type(error) not in (ValueError, TypeError, FileNotFoundError, FileExistsError, IndexError,
                                       TimeoutError):
        return f"is a {type(error).__name__}"
    if not frames[-1].filename.startswith(PACKAGE):
        return f"was raised by {Path(frames[-1].filename).name}, not by explorer"
    if len(text) < 20 or not text.rstrip().endswith((".", "?", ")", "'")):
        return "is no sentence"
    words = {argument, argument.replace("_", " "), argument.rstrip("s"), *CALLED.get(argument, ())}
    shown = ([repr(value)[:20], type(value).__name__] if not isinstance(value, (int, float))
             else [str(value)[:8], repr(value)])
    if not any(re.search(re.escape(word), text, re.IGNORECASE) for word in {*words, *shown} if word):
        return "names neither the argument nor the value"
    return ""


@pytest.fixture
def each_graph_once(monkeypatch):
    """A page's graph is traced once for the same stages, and each of its files packed once: most of the calls
    of `live_page` change what else is in the page, whose checks run in every call.
    """
    traced, packed = functools.cache(page.page_file), functools.cache(assembling._block)

    def page_file(leaving, *, precision):  # the network of that row names classes: no frame holds its photos
        return traced(replace(leaving, sizes=()), precision=precision)

    monkeypatch.setattr(page, "page_file", page_file)
    monkeypatch.setattr(assembling, "_block", packed)


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_a_wrong_argument_is_answered_by_a_result_or_by_a_sentence(name, things, table, monkeypatch,
                                                                   each_graph_once):
    monkeypatch.chdir(things["out"])  # some of the words name a folder
    function, good = table[name]
    changes = name in ("freeze", "unfreeze", "load_run", "finetune", "wrap", "find_lr")
    fresh = copy.deepcopy if changes else (lambda arguments: arguments)
    function(**fresh(good))  # or the rest shows nothing
    faults = []
    for argument in good:
        for kind, value in WRONG.items():
            try:
                function(**{**fresh(good), argument: value})
            except BaseException as error:  # whatever it is, it is an answer to a person
                if isinstance(error, KeyboardInterrupt):
                    raise
                if what := fault(name, argument, value, error):
                    faults.append(f"{name}({argument}={kind}) {what}: {type(error).__name__}: "
                                  f"{str(error)[:150]}")
    assert not faults, "\n".join([f"{len(faults)} answers:", *faults])
