"""What is installed is complete: photos, notebooks, data files and the command travel in the wheel."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def build(what: str, source: Path, folder: Path) -> Path:
    """Build the "wheel" or "sdist" of a source tree, as pip does, without a network."""
    code = f"import sys; from hatchling.build import build_{what}; print(build_{what}(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder that holds what pip would put into site-packages."""
    folder = tmp_path_factory.mktemp("site-packages")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def run_installed(installed: Path, code: str, cwd: Path) -> str:
    env = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist()
            if not re.match(r"vision_explorer-[^/]+\.dist-info/", name)}


def test_every_file_of_the_package_is_in_the_wheel(wheel):
    sources = {p.relative_to(ROOT).as_posix() for p in (ROOT / "explorer").rglob("*")
               if p.is_file() and "__pycache__" not in p.parts}
    assert sources - names(wheel) == set()


def test_an_installed_explorer_has_the_photos_and_the_notebooks(installed, tmp_path):
    out = run_installed(installed, """if True:
        import explorer
        from explorer.data.samples import assets_dir, notebooks_dir, sample_photos
        print(explorer.__file__)
        print((notebooks_dir() / "tour.ipynb").resolve())
        print(len([explorer.load_image(photo.path) for photo in sample_photos()]))
    """, tmp_path)
    package, tour, photos = out.splitlines()
    assert Path(package) == installed / "explorer" / "__init__.py"
    assert Path(tour) == installed / "explorer" / "_notebooks" / "tour.ipynb"
    assert int(photos) == len(list((ROOT / "assets" / "photos").glob("*.jpg"))) > 20


@pytest.mark.parametrize(("folder", "inside"), [
    ("notebooks", "_notebooks"), ("assets/photos", "_assets/photos"),
])
def test_the_bundled_files_are_those_of_the_checkout(installed, folder, inside):
    ours = {p.name: p.read_bytes() for p in (ROOT / folder).iterdir() if p.is_file()}
    theirs = {p.name: p.read_bytes() for p in (installed / "explorer" / inside).iterdir() if p.is_file()}
    assert ours and theirs == ours


def test_an_installed_explorer_copies_its_tour(installed, tmp_path):
    code = """if True:
        from pathlib import Path
        from explorer.cli import tour
        from explorer.data.samples import notebooks_dir
        print(tour.copy_notebooks(notebooks_dir(), Path.cwd()))
    """
    assert run_installed(installed, code, tmp_path) == "[]\n"
    assert (tmp_path / "tour.ipynb").read_bytes() == (ROOT / "notebooks" / "tour.ipynb").read_bytes()


def test_the_wheel_brings_the_command_the_licence_and_the_version(wheel):
    archive = zipfile.ZipFile(wheel)
    info = next(name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name)
    commands = configparser.ConfigParser()
    commands.read_string(archive.read(f"{info}/entry_points.txt").decode())
    assert commands["console_scripts"]["vision-explorer"] == "explorer.cli:main"
    assert b"Apache License" in archive.read(f"{info}/licenses/LICENSE")

    import explorer

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == explorer.__version__
    assert f"\nVersion: {explorer.__version__}\n" in archive.read(f"{info}/METADATA").decode()


def test_nothing_but_explorer_is_installed(wheel):
    assert {name.split("/")[0] for name in names(wheel)} == {"explorer"}
    assert [name for name in names(wheel) if "__pycache__" in name or ".ipynb_checkpoints" in name] == []


def test_a_wheel_built_from_the_source_archive_is_the_same(wheel, tmp_path):
    archive = build("sdist", ROOT, tmp_path)
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    [source] = [p for p in tmp_path.iterdir() if p.is_dir()]
    rebuilt = build("wheel", source, tmp_path)
    assert names(rebuilt) == names(wheel)
    assert (source / "tests" / "test_packaging.py").is_file()
