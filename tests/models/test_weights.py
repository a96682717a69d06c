"""Weights: the hub's client against a server of our own, files that lie, and the way into a model."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import pickle
import re
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as to_safetensors

import explorer.models as ours
from explorer.models import trained, weights
from explorer.models.catalog import FAMILY_OF
from explorer.models.config import ModelConfig
from explorer.models.doors.settings import check_config
from explorer.models.weights.downloading import download_url, reachable
from explorer.models.weights.loading import adapt_input
from explorer.models.weights.report import WeightsError
from tests.models.oracle import randomise, relative_error

NAME, REPO = "tinynet_e", "timm/tinynet_e.in1k"  # the smallest network with published weights
LITE = "tf_efficientnet_lite0"
TOLERANCE = 1e-5


def randomised(name: str = NAME, **options) -> torch.nn.Module:
    model = ours.create_model(name, **options)
    randomise(model)
    return model.eval()


@pytest.fixture(scope="module")
def source():
    """A network with random weights; the files that tests serve and save are its state dict."""
    return randomised()


def pickled(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def photo(side: int = 32, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(1))


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Whether both hold the same numbers under the same names."""
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def agree(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Equal but for rounding: torch has other kernels for tensors that lie elsewhere in memory."""
    return relative_error(one, other) < TOLERANCE


class Trap:
    """Unpickled, it makes a folder: the harmless end of what a pickle can do."""

    def __init__(self, folder: Path):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


# --- a hub of our own -------------------------------------------------------------------------------------


class Hub:
    """As much of the hub's protocol as its client needs to download a file.

    files: {"org/name/file": content}; gated, cut: names that ask for a licence, or break off half-way.
    """

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.gated: set[str] = set()
        self.cut: set[str] = set()
        self.broken = False
        self.etags: dict[str, str] = {}
        self.requests: list[tuple[str, str]] = []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                self.answer(body=True)

            def answer(self, body):
                path = re.sub(r"/resolve/[^/]+/", "/", self.path).strip("/")
                if path.startswith(("timm/", "net")):  # the client asks for other things too
                    hub.requests.append((self.command, path))
                if hub.broken:
                    return self.refuse(500, "")
                if path in hub.gated:
                    return self.refuse(401, "GatedRepo")
                if path not in hub.files:
                    known = any(name.startswith(path.rpartition("/")[0] + "/") for name in hub.files)
                    return self.refuse(404, "EntryNotFound") if known else self.refuse(401, "RepoNotFound")
                content = hub.files[path]
                etag = hub.etags.get(path, hashlib.sha256(content).hexdigest())
                if body and path in hub.cut:
                    content = content[:len(content) // 2]
                self.send_response(200)
                self.common_headers(len(content))
                self.send_header("ETag", f'"{etag}"')
                self.end_headers()
                if body:
                    self.wfile.write(content)

            def refuse(self, status, code):
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.common_headers(0)
                self.end_headers()

            def common_headers(self, length):
                self.send_header("X-Repo-Commit", "c0ffee" * 6 + "c0ff")
                self.send_header("Content-Length", str(length))

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        often = {"poll_interval": 0.01}  # so that `stop` needs no half second
        threading.Thread(target=self.server.serve_forever, kwargs=often, daemon=True).start()

    def asked_for(self) -> list[str]:
        """The files that were asked for, in order, each once."""
        return list(dict.fromkeys(path.rpartition("/")[2] for _, path in self.requests))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def no_proxy(monkeypatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def hub(monkeypatch, no_proxy, tmp_path):
    from huggingface_hub import constants

    server = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    address = constants.HUGGINGFACE_CO_URL_TEMPLATE.partition("/{repo_id}")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "".join(address[1:]))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "default_cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client waits between attempts
    yield server
    server.stop()


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def create(cache: Path, name: str = NAME, **options) -> torch.nn.Module:
    return ours.create_model(name, pretrained=True, cache_dir=cache, **options).eval()


def test_safetensors_are_asked_for_first_and_nothing_else(hub, source, tmp_path):
    hub.files = {f"{REPO}/model.safetensors": to_safetensors(source.state_dict()),
                 f"{REPO}/pytorch_model.bin": pickled(randomised(in_chans=1).state_dict())}
    model = create(tmp_path)
    assert same(model, source)
    assert hub.asked_for() == ["model.safetensors"]
    assert model.load_report.source == f"the hub, {REPO}"
    assert model.load_report.name == "tinynet_e.in1k"


def test_the_older_file_is_read_where_there_are_no_safetensors(hub, source, tmp_path):
    hub.files = {f"{REPO}/pytorch_model.bin": pickled(source.state_dict())}
    assert same(create(tmp_path), source)
    assert hub.asked_for() == ["model.safetensors", "pytorch_model.bin"]


def test_a_pickle_that_runs_code_is_refused_and_its_code_does_not_run(hub, tmp_path):
    evil = pickled({"conv_stem.weight": torch.zeros(1), "trap": Trap(tmp_path / "sprung")})
    hub.files = {f"{REPO}/pytorch_model.bin": evil}
    with pytest.raises(WeightsError, match="needs code to open is refused"):
        create(tmp_path)
    assert not (tmp_path / "sprung").exists()
    torch.load(io.BytesIO(evil), weights_only=False)  # the trap works
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_the_second_time_the_cache_answers_with_the_server_gone(hub, source, tmp_path, file):
    state = source.state_dict()
    hub.files = {f"{REPO}/{file}": to_safetensors(state) if file.endswith("safetensors") else pickled(state)}
    create(tmp_path)
    hub.stop()
    asked = len(hub.requests)
    assert same(create(tmp_path), source)
    assert len(hub.requests) == asked


def test_what_is_in_the_cache_is_told_without_a_network(hub, source, tmp_path):
    config = weights.config_for(NAME)
    assert weights.in_cache(config) is None and not weights.is_here(NAME)
    hub.files = {f"{REPO}/model.safetensors": to_safetensors(source.state_dict())}
    ours.create_model(NAME, pretrained=True)
    asked = len(hub.requests)
    assert weights.in_cache(config).name == "model.safetensors" and weights.is_here(NAME, "in1k")
    assert weights.in_cache(config, tmp_path / "another") is None
    assert len(hub.requests) == asked


def test_a_missing_repository_is_named(hub, tmp_path):
    with pytest.raises(WeightsError, match=f"no public repository '{REPO}'.*checkpoint_path="):
        create(tmp_path)


def test_a_repository_without_weights_says_which_files_were_looked_for(hub, tmp_path):
    hub.files = {f"{REPO}/README.md": b"# empty"}
    with pytest.raises(WeightsError, match="holds none of model.safetensors, pytorch_model.bin"):
        create(tmp_path)


def test_weights_behind_a_licence_say_where_to_accept_it(hub, tmp_path):
    hub.gated = {f"{REPO}/model.safetensors"}
    with pytest.raises(WeightsError, match=f"https://huggingface.co/{REPO}, accept it, then run `hf auth"):
        create(tmp_path)


def test_a_hub_in_trouble_is_told_from_no_connection(hub, tmp_path):
    hub.broken = True
    with pytest.raises(WeightsError, match="tinynet_e.in1k' .*could not be downloaded.*pretrained=False"):
        create(tmp_path)


def test_a_download_that_broke_off_is_refused_and_works_the_next_time(hub, source, tmp_path):
    path = f"{REPO}/model.safetensors"
    hub.files, hub.cut = {path: to_safetensors(source.state_dict())}, {path}
    with pytest.raises(WeightsError, match="could not be downloaded: Consistency check failed.*Try again"):
        create(tmp_path)
    assert weights.in_cache(weights.config_for(NAME), tmp_path) is None
    hub.cut = set()
    assert same(create(tmp_path), source)


def test_a_download_with_another_checksum_than_the_hubs_is_refused_and_not_kept(hub, source, tmp_path):
    path = f"{REPO}/model.safetensors"
    hub.files, hub.etags = {path: to_safetensors(source.state_dict())}, {path: "0123456789abcdef" * 4}
    with pytest.raises(WeightsError, match="model.safetensors is damaged .* expected 01234567"):
        create(tmp_path)
    assert weights.in_cache(weights.config_for(NAME), tmp_path) is None
    hub.etags = {}
    assert same(create(tmp_path), source)


def test_a_damaged_file_in_the_cache_says_which_file_to_delete(hub, source, tmp_path):
    hub.files = {f"{REPO}/model.safetensors": to_safetensors(source.state_dict())}
    create(tmp_path)
    kept = weights.in_cache(weights.config_for(NAME), tmp_path)
    kept.write_bytes(kept.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=re.escape(f"delete '{kept.resolve()}'")):
        create(tmp_path)


def test_a_file_that_was_deleted_from_the_cache_is_downloaded_again(hub, source, tmp_path):
    hub.files = {f"{REPO}/model.safetensors": to_safetensors(source.state_dict())}
    create(tmp_path)
    weights.in_cache(weights.config_for(NAME), tmp_path).unlink()
    asked = len(hub.requests)
    assert same(create(tmp_path), source)
    assert len(hub.requests) > asked


def test_weights_in_half_precision_give_a_model_in_single_precision(hub, source, tmp_path):
    state = source.state_dict()
    state = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    hub.files = {f"{REPO}/model.safetensors": to_safetensors(state)}
    model = create(tmp_path)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert torch.equal(model.conv_stem.weight, source.conv_stem.weight.half().float())
    with torch.no_grad():
        assert relative_error(model(photo()), source(photo())) < 0.02


def test_a_download_goes_into_a_model_with_another_head_and_other_input(hub, source, tmp_path):
    hub.files = {f"{REPO}/model.safetensors": to_safetensors(source.state_dict())}
    maps = create(tmp_path, features_only=True, out_indices=(2, -1), in_chans=1)(photo(channels=1))
    assert [tuple(m.shape) for m in maps] == [(2, 24, 4, 4), (2, 160, 1, 1)]
    pooled = create(tmp_path, num_classes=0)(photo())
    with torch.no_grad():
        assert agree(pooled, source.forward_head(source.forward_features(photo()), pre_logits=True))


def test_with_nothing_listening_the_message_says_what_to_do(tmp_path):
    """In a process of its own, as a user meets it: the address comes from the environment."""
    env = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    env |= {"HF_ENDPOINT": f"http://127.0.0.1:{closed_port()}", "HF_HUB_OFFLINE": "0"}
    env["HF_HOME"] = str(tmp_path)
    code = f"import explorer; explorer.create_model({NAME!r}, pretrained=True)"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert "WeightsError: The weights of 'tinynet_e.in1k' are not on this computer" in last
    for way_out in ("no connection to the hub", LITE, "checkpoint_path=", "pretrained=False"):
        assert way_out in last


def test_a_hub_that_was_switched_off_is_not_called_unreachable(hub, source, tmp_path, monkeypatch):
    hub.files = {f"{REPO}/model.safetensors": to_safetensors(source.state_dict())}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="not on this computer .*HF_HUB_OFFLINE is set"):
        create(tmp_path)
    assert hub.requests == []


def test_reachable_tells_a_server_from_none(hub, monkeypatch):
    assert reachable(hub.url)
    assert not reachable(f"http://127.0.0.1:{closed_port()}")
    assert not reachable("https://no-such-host.invalid")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # only the client can tell what is behind a proxy
    assert reachable(f"http://127.0.0.1:{closed_port()}")


# --- weights at a plain address ----------------------------------------------------------------------------


def at(hub, content: bytes, name: str = "net-{sha}.pth") -> ModelConfig:
    name = name.format(sha=hashlib.sha256(content).hexdigest()[:8])
    hub.files[name] = content
    return ModelConfig(architecture=NAME, tag="own", url=f"{hub.url}/{name}")


def test_weights_at_an_address_are_downloaded_once(hub, source, tmp_path):
    config = at(hub, pickled(source.state_dict()))
    first, origin = weights.fetch(config, tmp_path)
    second, _ = weights.fetch(config, tmp_path)
    assert origin == config.url
    assert [command for command, _ in hub.requests] == ["GET"]
    first, second = first.tables[""], second.tables[""]
    assert all(torch.equal(first[key], second[key]) for key in source.state_dict())


def test_a_wrong_checksum_in_the_file_name_is_refused_and_the_file_not_kept(hub, source, tmp_path):
    config = at(hub, pickled(source.state_dict()), "net-0badc0de.pth")
    with pytest.raises(WeightsError, match="net-0badc0de.pth is damaged.*Try again"):
        weights.fetch(config, tmp_path)
    assert list(tmp_path.glob("net*")) == []


def test_a_file_that_was_damaged_later_is_refused(hub, source, tmp_path):
    config = at(hub, pickled(source.state_dict()))
    weights.fetch(config, tmp_path)
    [kept] = tmp_path.glob("net-*.pth")
    content = bytearray(kept.read_bytes())
    content[-5000] ^= 1
    kept.write_bytes(content)
    with pytest.raises(WeightsError, match=f"{kept.name} is damaged .* Delete it"):
        weights.fetch(config, tmp_path)


@pytest.mark.parametrize("content", [b"<html>Not found</html>", pickled(torch.zeros(3)), b""])
def test_what_is_no_weight_file_is_refused_and_not_kept(hub, tmp_path, content):
    with pytest.raises(WeightsError, match="net.pth"):
        weights.fetch(at(hub, content, "net.pth"), tmp_path)
    assert list(tmp_path.glob("net*")) == []


def test_an_address_that_does_not_answer_is_named(no_proxy, tmp_path):
    url = f"http://127.0.0.1:{closed_port()}/net.pth"
    with pytest.raises(WeightsError, match=f"{url} can't be downloaded .*Connect to the internet once"):
        download_url(url, tmp_path)


# --- the weights that install with explorer ----------------------------------------------------------------


def test_installed_weights_are_here_and_ask_no_network(hub):
    assert weights.is_here(LITE) and weights.is_here(LITE, "in1k")
    assert weights.names_here() == [f"tf_efficientnet_lite{n}.in1k" for n in range(3)]
    ours.create_model(LITE, pretrained=True)
    assert hub.requests == []


def test_without_the_package_the_hub_is_asked(hub, monkeypatch, tmp_path):
    packaged = weights.PACKAGED[f"{LITE}.in1k"]
    installed = ours.create_model(LITE, pretrained=True)
    hub.files = {f"timm/{LITE}.in1k/model.safetensors": to_safetensors(installed.state_dict())}
    monkeypatch.setitem(weights.PACKAGED, f"{LITE}.in1k", weights.PackagedWeights(
        "a_package_that_nobody_has", packaged.file, packaged.sha256, packaged.format))
    assert not weights.is_here(LITE)
    model = create(tmp_path, LITE)
    assert same(model, installed)
    assert model.load_report.source == f"the hub, timm/{LITE}.in1k"


def test_a_package_without_its_file_counts_as_absent(monkeypatch):
    packaged = weights.PackagedWeights(package="json", file="models/none.pth", sha256="", format="timm")
    assert packaged.path() is None
    monkeypatch.setattr("explorer.models.weights.packaged.PACKAGED", {"tinynet_e.in1k": packaged})
    assert weights.names_here() == []
    with pytest.raises(WeightsError, match=re.escape("whose weights are installed (none is)")):
        weights.fetch(weights.config_for("resnet200"))


# --- never random without a word ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, family in FAMILY_OF.items()  # others take their backbone's
                                  if family.task == "classification" and not weights.tags(name)])
def test_a_name_without_published_weights_raises(name):
    with pytest.raises(WeightsError, match=f"No weights are published for '{name}'.*{LITE}.*checkpoint"):
        ours.create_model(name, pretrained=True)


def test_every_published_tag_has_a_place_to_come_from():
    for name in FAMILY_OF:
        for tag in weights.tags(name):
            config = weights.config_for(name, tag)
            assert config.name in weights.PACKAGED or "/" in config.hf_hub_id or config.url, config.name


def test_an_unknown_tag_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="Unknown tag 'a9' for 'resnet18'. Known: a1_in1k"):
        weights.config_for("resnet18", "a9")


# --- files -------------------------------------------------------------------------------------------------


def lying_safetensors(header: dict | bytes, data: bytes = b"", *, length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def row(offsets, *, shape=(4,), dtype="F32") -> dict:
    return {"weight": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


BROKEN = {
    "empty.pth": b"", "empty.safetensors": b"",
    "text.pth": b"hello", "text.safetensors": b"hello, this is a text",
    "zip.pth": b"PK\x03\x04" + bytes(100),
    "huge_header.safetensors": lying_safetensors(row((0, 16)), bytes(16), length=2**62),
    "long_header.safetensors": lying_safetensors(row((0, 16)), bytes(16), length=5000),
    "beyond_the_end.safetensors": lying_safetensors(row((0, 16)), bytes(8)),
    "more_shape_than_data.safetensors": lying_safetensors(row((0, 16), shape=(1 << 40,)), bytes(16)),
    "backwards.safetensors": lying_safetensors(row((16, 0)), bytes(16)),
    "unknown_dtype.safetensors": lying_safetensors(row((0, 16), dtype="F31"), bytes(16)),
    "no_json.safetensors": lying_safetensors(b"{not json", bytes(16)),
    "bare_pickle.pth": pickle.dumps({"weight": Trap(Path("never"))}, protocol=2),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_a_sentence(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    with pytest.raises(WeightsError, match=f"'{name}' can't be read as weights .* must be a .safetensors"):
        weights.read_state_dict(path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.999])
def test_a_file_cut_anywhere_is_a_sentence(tmp_path, source, suffix, share):
    state = source.state_dict()
    content = pickled(state) if suffix == ".pth" else to_safetensors(state)
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(content[:int(len(content) * share)])
    with pytest.raises(WeightsError, match="can't be read as weights"):
        weights.read_state_dict(path)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(WeightsError, match="no weight file at '.*nothing.pth'"):
        weights.read_state_dict(tmp_path / "nothing.pth")
    with pytest.raises(WeightsError, match="is a folder. Give the path of the weight file in it"):
        weights.read_state_dict(tmp_path)


def test_the_home_folder_may_be_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "net.pth").write_bytes(pickled({"w": torch.ones(1)}))
    assert list(weights.read_state_dict("~/net.pth")) == ["w"]


@pytest.mark.parametrize(("content", "sentence"), [
    ([torch.zeros(1)], "holds a list, not a table"), (torch.zeros(1), "holds a Tensor, not a table"),
    ({}, "holds no tensors. Save `model.state_dict"), ({"epoch": 3, "lr": 0.1}, "holds no tensors"),
], ids=["list", "tensor", "empty", "numbers"])
def test_content_that_is_no_state_dict_is_a_sentence(tmp_path, content, sentence):
    path = tmp_path / "content.pth"
    path.write_bytes(pickled(content))
    with pytest.raises(WeightsError, match=sentence):
        weights.read_state_dict(path)


W, OTHER = torch.arange(3.0), torch.zeros(3)


@pytest.mark.parametrize("content", [
    {"w": W}, {"state_dict": {"w": W}, "epoch": 3}, {"model": {"w": W}, "optimizer": {"state": {}}},
    {"state_dict": {"w": OTHER}, "state_dict_ema": {"w": W}}, {"model": {"w": OTHER}, "model_ema": {"w": W}},
    {"module.w": W}, {"_orig_mod.w": W}, {"module._orig_mod.w": W}, {"_orig_mod.module.w": W},
    {"state_dict": {"module.w": W}}, {"model_ema": {"n_averaged": torch.tensor(9), "module.w": W}},
    {"w": W, "epoch": 7}, {"w": torch.nn.Parameter(W, requires_grad=False)},
], ids=lambda content: "+".join(content))
def test_training_checkpoints_are_unpacked(tmp_path, content):
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(pickled(content))
    state = weights.read_state_dict(path)
    assert list(state) == ["w"] and torch.equal(state["w"], W)


def test_a_module_that_is_called_module_keeps_its_name(tmp_path):
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(pickled({"module.w": W, "head.w": W}))
    assert list(weights.read_state_dict(path)) == ["module.w", "head.w"]


# --- into a model ------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    """saved(model or state dict) -> the path of its file."""

    def save(content, name: str = "net.safetensors") -> Path:
        state = content.state_dict() if isinstance(content, torch.nn.Module) else content
        (tmp_path / name).write_bytes(to_safetensors({k: v.contiguous() for k, v in state.items()}))
        return tmp_path / name

    return save


def test_a_saved_model_comes_back_with_the_same_numbers(saved, source):
    model = ours.create_model(NAME, checkpoint_path=saved(source)).eval()
    assert same(model, source)
    report = model.load_report
    assert report.source == "the file net.safetensors" and report.loaded == len(source.state_dict())
    assert report.adapted == report.skipped == []
    assert str(report) == f"{report.loaded} tensors from the file net.safetensors"


def test_the_classifier_of_the_file_is_kept_where_nobody_asks_for_another(saved):
    source = randomised(num_classes=7)
    model = ours.create_model(NAME, checkpoint_path=saved(source)).eval()
    assert model.num_classes == 7 == model.config.num_classes and same(model, source)
    again = ours.create_model(NAME, checkpoint_path=saved(source), num_classes=7)
    assert same(again, source) and again.load_report.skipped == []


@pytest.mark.parametrize(("asked", "told"), [
    (5, "the classifier of 7 classes; the new one of 5 is untrained"),
    (0, "the classifier of 7 classes: not asked for"),
])
def test_another_number_of_classes_than_in_the_file_loads_the_body_and_says_so(saved, asked, told):
    source = randomised(num_classes=7)
    model = ours.create_model(NAME, checkpoint_path=saved(source), num_classes=asked).eval()
    assert model.load_report.skipped == [told] and told in str(model.load_report)
    assert model.load_report.loaded == len(source.state_dict()) - 2
    assert model(photo()).shape == (2, asked or model.num_features)
    with torch.no_grad():
        assert agree(model.forward_features(photo()), source.forward_features(photo()))


@pytest.mark.parametrize(("asked", "told"), [
    (None, "the weights have none, so the model gives pooled features"),
    (0, None), (5, "the weights have none; the new one of 5 is untrained"),
])
def test_a_file_without_a_classifier_loads(saved, asked, told):
    source = randomised(num_classes=0)
    model = ours.create_model(NAME, checkpoint_path=saved(source), num_classes=asked).eval()
    assert model.num_classes == (asked or 0)
    assert model.load_report.skipped == ([f"the classifier: {told}"] if told else [])
    assert model(photo()).shape == (2, asked or source.num_features)


def test_trained_weights_without_pooling_give_the_map(saved, source):
    model = ours.create_model(NAME, checkpoint_path=saved(source), num_classes=0, global_pool="").eval()
    with torch.no_grad():
        assert agree(model(photo(64)), source.forward_features(photo(64)))


def test_trained_weights_take_another_pooling_with_a_new_classifier(saved, source):
    path, wider = saved(source), {"num_classes": 5, "global_pool": "catavgmax"}
    model = ours.create_model(NAME, checkpoint_path=path, **wider).eval()
    assert model.classifier.in_features == 2 * source.num_features and model(photo()).shape == (2, 5)
    maps = ours.create_model(NAME, checkpoint_path=path, features_only=True, global_pool="")(photo())
    assert len(maps) == 5


def test_one_channel_answers_grey_as_the_trained_filters_answer_grey_in_colour(saved, source):
    grey = ours.create_model(NAME, checkpoint_path=saved(source), in_chans=1).eval()
    x = photo(channels=1)
    with torch.no_grad():
        assert agree(grey.conv_stem(x), source.conv_stem(x.repeat(1, 3, 1, 1)))
    assert grey.load_report.adapted == ["conv_stem.weight: from 3 to 1 input channels"]


def test_six_channels_answer_the_photo_twice_as_the_trained_filters_answer_it_once(saved, source):
    double = ours.create_model(NAME, checkpoint_path=saved(source), in_chans=6).eval()
    with torch.no_grad():
        assert agree(double.conv_stem(photo().repeat(1, 2, 1, 1)), source.conv_stem(photo()))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 13])
def test_adapted_filters_equal_timms(channels, source):
    timm = pytest.importorskip("timm")
    filters = source.conv_stem.weight.detach()
    theirs = timm.models.adapt_input_conv(channels, filters)
    assert torch.allclose(adapt_input(filters, channels), theirs)


def test_four_channels_run_in_every_stem(saved):
    for name, first in (("resnet18", "conv1"), ("resnet10t", "conv1.0"), ("tinynet_e", "conv_stem")):
        path = saved(randomised(name))
        model = ours.create_model(name, checkpoint_path=path, in_chans=4)
        assert model.load_report.adapted == [f"{first}.weight: from 3 to 4 input channels"]
        assert model(photo(channels=4)).shape == (2, 1000)


def test_filters_for_other_than_three_channels_are_refused(saved):
    path = saved(randomised(in_chans=1))
    assert ours.create_model(NAME, checkpoint_path=path, in_chans=1).load_report.adapted == []
    sentence = "read 1 channels, and the model 4: only weights for 3 .* give in_chans=1"
    with pytest.raises(WeightsError, match=sentence):
        ours.create_model(NAME, checkpoint_path=path, in_chans=4)


def test_torchvisions_resnet_gives_torchvisions_logits(saved):
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.models.resnet18(num_classes=7)
    randomise(theirs)
    mine = ours.create_model("resnet18", checkpoint_path=saved(theirs)).eval()
    with torch.no_grad():
        assert agree(mine(photo()), theirs.eval()(photo()))


def test_torchvisions_vgg_gives_torchvisions_logits(monkeypatch):
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.models.vgg11_bn(num_classes=7, init_weights=False)
    randomise(theirs.features)
    # half a gigabyte that need not travel over the disk
    monkeypatch.setattr(trained, "read_checkpoint", lambda path: theirs.state_dict())
    mine = ours.create_model("vgg11_bn", checkpoint_path="vgg11_bn-6002323d.pth").eval()
    with torch.no_grad():
        assert agree(mine(photo(64)), theirs.eval()(photo(64)))
    assert mine.load_report.loaded == len(theirs.state_dict()) and mine.load_report.skipped == []


def test_weights_that_do_not_fit_name_the_tensors(saved, source):
    state = source.state_dict()
    lacking = {key: value for key, value in state.items() if key != "conv_head.weight"}
    wrong = {**state, "bn2.bias": torch.zeros(3)}
    for content, sentence in (
        (lacking, "1 tensors are missing, e.g. conv_head.weight"),
        ({**state, "extra": torch.zeros(1)}, "1 tensors are unknown, e.g. extra"),
        (wrong, r"1 tensors are of another shape, e.g. bn2.bias \(3,\), expected \(1280,\)"),
        (randomised("resnet10t").state_dict(), "tensors are missing, e.g. .*; .*; "),
    ):
        with pytest.raises(WeightsError, match=f"the file net.safetensors don't fit '{NAME}': .*{sentence}"):
            ours.create_model(NAME, checkpoint_path=saved(content))


def test_a_checkpoint_of_old_without_batchnorms_counters_loads(saved, source):
    state = source.state_dict()
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    model = ours.create_model(NAME, checkpoint_path=saved(state)).eval()
    assert model.bn1.num_batches_tracked == 0
    with torch.no_grad():
        assert agree(model(photo()), source(photo()))


def test_frozen_parameters_in_a_file_learn_again(tmp_path, source):
    frozen = {key: torch.nn.Parameter(value, requires_grad=False) if value.is_floating_point() else value
              for key, value in source.state_dict().items()}
    path = tmp_path / "frozen.pth"
    path.write_bytes(pickled(frozen))
    model = ours.create_model(NAME, checkpoint_path=path)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(buffer.requires_grad for buffer in model.buffers())


def test_pretrained_and_a_file_together_are_refused(saved, source):
    with pytest.raises(ValueError, match="pretrained=True or checkpoint_path=, not both"):
        ours.create_model(NAME, pretrained=True, checkpoint_path=saved(source))


def test_a_folders_own_weights_and_a_file_together_are_refused_too(saved, source, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architecture": NAME, "num_classes": 1000}))
    saved(source).rename(folder / "model.safetensors")
    with pytest.raises(ValueError, match="pretrained=True or checkpoint_path=, not both"):
        ours.create_model(f"local-dir:{folder}", pretrained=True,
                          checkpoint_path=folder / "model.safetensors")
    assert ours.create_model(f"local-dir:{folder}", pretrained=True).load_report.loaded


def test_an_empty_path_is_no_file_as_in_timm():
    assert ours.create_model(NAME, checkpoint_path="").load_report is None


# One name (and options) for every kind of layer that a family file can build.
KINDS = [
    ("resnet18", {}), ("resnet10t", {}), ("resnet14t", {"cardinality": 4, "base_width": 16}),
    ("resnet10t", {"aa": "blur"}), ("resnet14t", {"aa": "avg"}), ("resnet14t", {"attn": "se"}),
    ("resnet14t", {"attn": "eca"}),
    ("resnet10t", {"stem_conv_pool": True, "drop_path_rate": 0.1, "drop_rate": 0.1}),
    ("resnet14t", {"output_stride": 8}), ("resnetblur18", {}), ("ecaresnet26t", {}),
    ("tinynet_e", {}), ("mobilenetv1_100", {}), ("mnasnet_small", {}), ("efficientnet_es", {}), (LITE, {}),
    ("vit_tiny_patch16_224", {"depth": 2}), ("vit_small_patch14_reg4_dinov2", {"depth": 2, "img_size": 28}),
    ("vit_giant_patch14_dinov2", {"depth": 1, "img_size": 28, "embed_dim": 48, "num_heads": 2}),
]


@pytest.mark.parametrize(("name", "options"), KINDS, ids=str)
def test_loading_leaves_nothing_on_meta_and_gives_the_same_numbers(saved, name, options):
    source = randomised(name, **options)
    random_state = torch.get_rng_state()
    model = ours.create_model(name, checkpoint_path=saved(source), **options).eval()
    # no number was drawn for weights that are replaced at once
    assert torch.equal(torch.get_rng_state(), random_state)
    tensors = [*model.parameters(), *model.buffers(), *vars(model).values()]
    assert not any(t.is_meta for t in tensors if isinstance(t, torch.Tensor))
    side = options.get("img_size", 224 if name.startswith("vit") else 64)
    with torch.no_grad():
        assert agree(model(photo(side)), source(photo(side)))


def test_pretrained_weights_draw_no_random_numbers():
    before = torch.get_rng_state()
    ours.create_model(LITE, pretrained=True)
    assert torch.equal(torch.get_rng_state(), before)


def test_trained_weights_go_where_new_parameters_go(saved, source):
    path = saved(source)
    with torch.device("meta"):
        assert all(t.is_meta for t in ours.create_model(NAME, checkpoint_path=path).state_dict().values())
    model = ours.create_model(NAME, checkpoint_path=path, num_classes=5, dtype=torch.bfloat16, device="cpu")
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_positions_are_adapted_on_the_cpu_whatever_the_default_device_is(saved):
    vit = "vit_tiny_patch16_224"
    path = saved(randomised(vit, depth=1))
    with torch.device("meta"):
        model = ours.create_model(vit, checkpoint_path=path, depth=1, img_size=32, patch_size=8)
    assert model.pos_embed.shape == (1, 17, 192)


def test_a_foreign_source_that_a_family_does_not_know_is_refused():
    with pytest.raises(ValueError, match="No key map from 'smp' for 'resnet18'. Known: timm, torchvision"):
        weights.convert("resnet18", {}, "smp")


# --- the table: size and accuracy ---------------------------------------------------------------------------


def test_every_name_of_the_catalog_has_a_whole_row_in_the_table():
    """Where this fails, run tests/tools/build_weights_table.py."""
    assert [name for name in FAMILY_OF if not weights.mac_count(name)] == []
    assert [name for name in FAMILY_OF if not weights.stage_rows(name)] == []
    assert [name for name in FAMILY_OF if not weights.parameter_count(name)] == []


# Multiply-adds in G as torchvision publishes them, counted by its own script (metadata of its first weights).
@pytest.mark.parametrize(("name", "theirs"), [
    ("resnet50", "resnet50"), ("vit_base_patch16_224", "vit_b_16"), ("efficientnet_b0", "efficientnet_b0"),
    ("convnext_tiny", "convnext_tiny"), ("swin_tiny_patch4_window7_224", "swin_t"),
    ("densenet121", "densenet121"), ("swinv2_tiny_window8_256", "swin_v2_t"),
    ("regnety_160", "regnet_y_16gf"), ("mobilenetv2_100", "mobilenet_v2"),
    ("mobilenetv3_large_100", "mobilenet_v3_large"), ("vgg16", "vgg16"), ("alexnet", "alexnet"),
    ("googlenet", "googlenet"), ("inception_v3", "inception_v3"), ("squeezenet1_0", "squeezenet1_0"),
    ("shufflenet_v2_x1_0", "shufflenet_v2_x1_0"), ("mnasnet_100", "mnasnet1_0"),
    ("vit_large_patch32_224", "vit_l_32"),
])
def test_multiply_adds_are_those_that_torchvision_publishes(name, theirs):
    from torchvision.models import get_model_weights

    first = next(iter(get_model_weights(theirs)))
    assert first.transforms().crop_size == [weights.config_for(name).input_size[1]]
    published = first.meta["_ops"]  # three decimals
    assert weights.mac_count(name) / 1e9 == pytest.approx(published, abs=0.002)


def test_multiply_adds_in_the_table_are_what_the_module_tree_counts():
    from explorer.inspection.look.modules import module_tree

    for name in ("resnet18", "vit_tiny_patch16_224", "efficientnet_lite0", "lenet5"):
        assert 2 * weights.mac_count(name) == module_tree(name).flops


def test_what_the_table_does_not_know_is_none():
    assert weights.mac_count("no_such_model") is None and weights.stage_rows("no_such_model") == ()


def test_folded_stages_are_unfolded(monkeypatch):
    table = {"models": {"net": {"stages": [["stem", 8, 2], ["blocks.9", 16, 4, 3]]}}}
    monkeypatch.setattr("explorer.models.weights.table._table", lambda: table)
    blocks = ("blocks.9", 16, 4), ("blocks.10", 16, 4), ("blocks.11", 16, 4)
    assert weights.stage_rows("net") == (("stem", 8, 2), *blocks)


def test_published_accuracy_is_that_of_the_weights_own_photo_size():
    published = {
        ("resnet50", "a1_in1k"): 80.382,  # 81.214 with photos of 288 pixels, but the weights expect 224
        (LITE, ""): 74.83,
        ("convnextv2_huge", "fcmae_ft_in22k_in1k_384"): 88.67,
        ("alexnet", ""): 56.522,
    }
    for name, top1 in published.items():
        assert weights.config_for(*name).top1 == top1
    assert weights.config_for("resnet50", "bamboo").top1 is None


def test_every_first_convolution_of_a_net_with_branches_is_adapted(saved):
    source = randomised("repvgg_a0")
    grey = ours.create_model("repvgg_a0", checkpoint_path=saved(source), in_chans=1).eval()
    assert len(grey.load_report.adapted) == 2
    x = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        assert relative_error(grey(x), source(x.expand(-1, 3, -1, -1))) < TOLERANCE


# --- what a stranger's folder says of its outputs -----------------------------------------------------------


@pytest.mark.parametrize("facts", [
    {"outputs": "softmax"}, {"outputs": 1}, {"outputs": ["several"]}, {"outputs": "yes/no"},
    {"outputs": {"a": 1}}, {"number_mean": [0.0] * 3}, {"outputs": "numbers", "number_mean": [0.0] * 3},
    {"outputs": "numbers", "number_mean": [0.0] * 3, "number_std": [1.0, 0.0, 1.0]},
    {"outputs": "numbers", "number_mean": [0.0] * 2, "number_std": [1.0] * 2},
    {"outputs": "numbers", "number_mean": [float("nan")] * 3, "number_std": [1.0] * 3},
    {"outputs": "numbers", "number_mean": [0.0] * 3, "number_std": [float("inf")] * 3},
    {"outputs": "numbers", "number_mean": [True] * 3, "number_std": [1.0] * 3},
    {"outputs": "numbers", "number_mean": "abc", "number_std": "abc"}], ids=str)
def test_outputs_that_cannot_be_are_refused(facts):
    """case A6: kind, mean and step of a config.json are checked like all else in it."""
    config = ModelConfig.from_dict({"architecture": "resnet10t", "num_classes": 3, **facts})
    with pytest.raises(ValueError, match="outputs can't be|number_mean can't be|number_std can't be"):
        check_config(config)


@pytest.mark.parametrize("facts", [
    {}, {"outputs": "several"}, {"outputs": "one"}, {"outputs": "numbers"},
    {"outputs": "numbers", "number_mean": [0, 1.5, -2e6], "number_std": [1, 0.5, 1e-6]}], ids=str)
def test_outputs_that_can_be_are_taken(facts):
    check_config(ModelConfig.from_dict({"architecture": "resnet10t", "num_classes": 3, **facts}))
