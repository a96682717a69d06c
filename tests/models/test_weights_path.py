"""Models as their published weights need them: built by timm with its weights path taken, held against ours.

timm hands `pretrained` to the function that builds a name; a function may look at it, and build another
network for the weights than without. Nothing is downloaded, and nothing has numbers: what is compared are the
modules' settings.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import warnings
from functools import cache

import pytest
import torch

import explorer
from explorer.models import trained, weights
from explorer.models.blank import blank
from explorer.models.catalog import FAMILIES, FAMILY_OF

timm = pytest.importorskip("timm")

# What changes the numbers that a module gives, by the names of torch and of both libraries.
SETTINGS = ("eps", "kernel_size", "groups", "padding_mode", "in_features", "out_features", "in_channels",
            "out_channels", "momentum", "num_groups", "normalized_shape", "negative_slope", "approximate",
            "num_heads", "window_size", "affine")


def looks_at_pretrained(function: ast.FunctionDef) -> bool:
    """Whether a function does anything with `pretrained` but hand it on."""
    handed_on = set()
    for call in ast.walk(function):
        if isinstance(call, ast.Call):
            named = (word.value for word in call.keywords if word.arg == "pretrained")
            handed_on.update(map(id, (*call.args, *named)))
    return any(isinstance(node, ast.Name) and node.id == "pretrained" and id(node) not in handed_on
               for node in ast.walk(function))


@cache
def names_that_look() -> list[str]:
    """Names of ours whose network timm builds by functions that look at `pretrained`."""
    files: dict[str, list[str]] = {}
    for name in filter(timm.is_model, FAMILY_OF):
        files.setdefault(timm.models.model_entrypoint(name).__module__, []).append(name)
    found = []
    for file, ours in files.items():
        tree = ast.parse(inspect.getsource(sys.modules[file]))
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        for function in filter(looks_at_pretrained, functions):
            found += [function.name] if function.name in ours else ours
    return sorted(set(found))


def smallest_of_each_file() -> list[str]:
    files: dict[str, list[str]] = {}
    for family in FAMILIES.values():
        if family.oracle == "timm":
            files.setdefault(family.module, []).extend(filter(weights.tags, family.names))
    return sorted(min(names, key=weights.parameter_count) for names in files.values() if names)


def settings(model: torch.nn.Module) -> dict[str, object]:
    return {f"{path}.{key}": getattr(module, key)
            for path, module in model.named_modules() for key in SETTINGS
            if isinstance(getattr(module, key, None), (int, float, str, tuple))}


def both(name: str, monkeypatch) -> tuple[torch.nn.Module, torch.nn.Module]:
    """(ours, timm's), each as it is built for its published weights."""
    monkeypatch.setattr("timm.models._builder.load_pretrained", lambda *arguments, **options: None)
    monkeypatch.setattr(trained, "load_into", lambda model, state, report, *, lacking=(): None)
    with blank(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = timm.create_model(name, pretrained=True)
        monkeypatch.setattr(trained, "fetch", lambda config, cache_dir=None: (theirs.state_dict(), "nowhere"))
        return explorer.create_model(name, pretrained=True, num_classes=theirs.num_classes), theirs


@pytest.mark.parametrize("name", sorted({*names_that_look(), *smallest_of_each_file()}))
def test_a_network_built_for_its_weights_has_timms_settings(name, monkeypatch):
    """case C11: fbnetc_100's BatchNorm had an epsilon of 1e-5 with the weights too, where they need 0.001."""
    mine, theirs = map(settings, both(name, monkeypatch))
    shared = mine.keys() & theirs.keys()
    assert len(shared) > 20
    assert {key: (mine[key], theirs[key]) for key in shared if mine[key] != theirs[key]} == {}


def test_timms_functions_that_look_at_pretrained_are_found():
    assert "fbnetc_100" in names_that_look() and len(names_that_look()) < 30


@pytest.mark.parametrize("given", ["file", "folder", "random"])
def test_the_epsilon_goes_where_the_weights_go(given, tmp_path):
    """case C11: a file of these weights needs it as much; a fresh network has timm's usual one."""
    if given == "random":
        assert explorer.create_model("fbnetc_100", num_classes=2).bn1.eps == 1e-5
        return
    torch.save(explorer.create_model("fbnetc_100", num_classes=2).state_dict(), tmp_path / "mine.pth")
    model = explorer.create_model("fbnetc_100", checkpoint_path=tmp_path / "mine.pth")
    assert model.bn1.eps == 1e-3
    if given == "folder":
        facts = {"architecture": "fbnetc_100", "num_classes": 2, "pretrained_cfg": model.config.as_timm()}
        (tmp_path / "config.json").write_text(json.dumps(facts))
        (tmp_path / "mine.pth").rename(tmp_path / "pytorch_model.bin")
        assert explorer.create_model(f"local-dir:{tmp_path}", pretrained=True).bn1.eps == 1e-3
