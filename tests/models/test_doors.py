"""Every door of `create_model`, opened first thing in a process of its own, against a server of our own.

A library that loads its parts when they are asked for works or not by what was imported before: in a process
where other tests have run, a missing import can't be seen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from safetensors.torch import save as to_safetensors

import explorer
from tests.models.oracle import randomise
from tests.models.test_weights import Hub, pickled

NAME, TAG = "tinynet_e", "in1k"


def in_a_fresh_process(code: str, server: Hub, home) -> subprocess.CompletedProcess[str]:
    """What Python says to the code, with that server as the hub and nothing in any cache."""
    env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    env |= {"HF_ENDPOINT": server.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(home / "hub"),
            "TORCH_HOME": str(home / "torch"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def server():
    """A hub with a small network's weights, by its published name, by somebody's own, and as plain files."""
    model = explorer.create_model(NAME)
    randomise(model)
    squeezenet = explorer.create_model("torchvision/squeezenet1_1").module
    content = to_safetensors(model.state_dict())
    config = {"architecture": NAME, "num_classes": 1000, "pretrained_cfg": {
        "tag": TAG, "input_size": [3, 106, 106], "first_conv": "conv_stem", "classifier": "classifier"}}
    hub = Hub()
    for repo in (f"timm/{NAME}.{TAG}", "someone/mine"):
        hub.files |= {f"{repo}/model.safetensors": content,
                      f"{repo}/config.json": json.dumps(config).encode()}
    hub.files |= {"net/tiny.pth": pickled(model.state_dict()),
                  "net/squeezenet.pth": pickled(squeezenet.state_dict())}
    yield hub
    hub.stop()


# What stands before the call, where the library's own server has to be replaced by ours.
PRELUDES = {
    "torchvision/squeezenet1_1": "from torchvision.models import SqueezeNet1_1_Weights as W\n"
                                 "object.__setattr__(W.DEFAULT.value, 'url', '{url}/net/squeezenet.pth')",
}


@pytest.mark.parametrize("name, source", [
    (f"hf-hub:timm/{NAME}.{TAG}", f"the hub, timm/{NAME}.{TAG}"),
    ("hf_hub:someone/mine", "the hub, someone/mine"),
    (f"{NAME}.{TAG}", f"the hub, timm/{NAME}.{TAG}"), (f"timm/{NAME}", f"timm's timm/{NAME}.{TAG}"),
    ("torchvision/squeezenet1_1", "torchvision's SqueezeNet1_1_Weights.IMAGENET1K_V1"),
])
def test_a_door_opens_first_thing_in_a_fresh_process(name, source, server, tmp_path):
    """case C1: the hub's client loads its parts lazily, and nobody had asked for its constants."""
    prelude = PRELUDES.get(name, "").format(url=server.url)
    code = (f"{prelude}\nimport explorer\n"
            f"print(explorer.create_model({name!r}, pretrained=True).load_report.source)")
    done = in_a_fresh_process(code, server, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == source


def test_a_saved_folder_opens_first_thing_in_a_fresh_process(server, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes(server.files[f"someone/mine/{name}"])
    name = f"local-dir:{tmp_path}"
    code = f"import explorer\nprint(explorer.create_model({name!r}, pretrained=True).load_report.loaded)"
    done = in_a_fresh_process(code, server, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 100


def test_a_file_at_an_address_is_fetched_first_thing_in_a_fresh_process(server, tmp_path):
    """As the weights are that only torchvision's own server has."""
    code = ("from explorer.models.config import ModelConfig\nfrom explorer.models.weights import fetch\n"
            f"found = fetch(ModelConfig(architecture={NAME!r}, url='{server.url}/net/tiny.pth'))[0]\n"
            "print(len(next(iter(found.tables.values()))))")
    done = in_a_fresh_process(code, server, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 100
