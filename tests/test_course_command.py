"""`vision-explorer course`: the lessons come into a folder, and JupyterLab opens their list."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from explorer import cli
from explorer.cli import course
from explorer.cli.copying import RECORD
from explorer.data.samples import notebooks_dir


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The present folder, an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def opened(monkeypatch) -> list[list[str]]:
    """The commands that would have started JupyterLab."""
    commands: list[list[str]] = []
    monkeypatch.setattr(course, "run_until_ctrl_c", lambda command, *_, **__: commands.append(command) or 0)
    return commands


def test_the_course_comes_with_what_checks_its_exercises_and_opens_at_its_list(here, opened, capsys):
    assert cli.main(["course"]) == 0
    folder = here / course.COURSE_FOLDER
    copied = {path.name for path in folder.iterdir()}
    assert {"exercises.py", "checking.py", "solutions.ipynb", "README.md"} <= copied
    [command] = opened
    opens = "--LabApp.default_url=/lab/tree/README.md"
    assert {f"--ServerApp.root_dir={folder}", opens} <= set(command)
    assert str(folder) in capsys.readouterr().out


def test_a_folder_for_students_comes_without_the_solutions(here, opened):
    assert cli.main(["course", "for students", "--without-solutions"]) == 0
    ours = {path.name for path in notebooks_dir().iterdir() if path.is_file()}
    copied = {path.name for path in (here / "for students").iterdir()}
    assert ours - copied == {"solutions.ipynb"}


def test_solutions_that_are_there_already_are_left_alone(here, opened, capsys):
    (here / "mine").mkdir()
    (here / "mine" / "solutions.ipynb").write_text("my own")
    assert cli.main(["course", "mine", "--without-solutions"]) == 0
    assert (here / "mine" / "solutions.ipynb").read_text() == "my own"
    assert "solutions.ipynb is still there from before" in capsys.readouterr().out


def test_solutions_that_came_with_the_course_go_where_they_are_to_be_left_out(here, opened, capsys):
    assert cli.main(["course", "mine"]) == 0
    assert cli.main(["course", "mine", "--without-solutions"]) == 0
    assert not (here / "mine" / "solutions.ipynb").exists()
    assert "solutions.ipynb was there from before, unchanged: it is removed." in capsys.readouterr().out
    assert cli.main(["course", "mine"]) == 0
    assert (here / "mine" / "solutions.ipynb").is_file()
    assert "solutions.ipynb" in (here / "mine" / "README.md").read_text(encoding="utf-8")


def test_solutions_under_another_name_are_told_of_or_removed(here, opened, capsys):
    assert cli.main(["course", "mine"]) == 0
    solutions = here / "mine" / "solutions.ipynb"
    solutions.with_stem("solutions-0.1.0").write_bytes(solutions.read_bytes())
    saved = here / "mine" / ".ipynb_checkpoints" / "solutions-checkpoint.ipynb"
    saved.parent.mkdir()
    saved.write_text("as a person saved it")
    assert cli.main(["course", "mine", "--without-solutions"]) == 0
    assert not solutions.exists() and not solutions.with_stem("solutions-0.1.0").exists() and saved.exists()
    assert f"{saved.relative_to(here / 'mine').as_posix()} is still there" in capsys.readouterr().out


def test_a_folder_for_students_has_no_link_to_the_solutions_and_says_who_has_them(here, opened, capsys):
    assert cli.main(["course", "for students", "--without-solutions"]) == 0
    texts = {path.name: path.read_text(encoding="utf-8") for path in (here / "for students").iterdir()
             if path.suffix in (".md", ".ipynb")}
    assert [name for name, text in texts.items() if "solutions.ipynb" in text or "without-sol" in text] == []
    assert {name for name, text in texts.items() if "our teacher has the" in text} == {*course.FOR_STUDENTS}
    json.loads(texts["lesson_01_what_a_model_sees.ipynb"])
    assert cli.main(["course", "for students", "--without-solutions"]) == 0
    assert "You have changed" not in capsys.readouterr().out


def test_a_lesson_that_a_student_has_worked_in_is_kept(here, opened, capsys):
    assert cli.main(["course", "mine"]) == 0
    lesson = here / "mine" / "lesson_01_what_a_model_sees.ipynb"
    lesson.write_text("my answers")
    assert cli.main(["course", "mine"]) == 0
    assert lesson.read_text() == "my answers"
    assert "You have changed lesson_01_what_a_model_sees.ipynb: it is kept." in capsys.readouterr().out


def test_a_copy_alone_needs_no_jupyterlab(here, opened, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["course", ".", "--no-open"]) == 0
    assert (here / "exercises.py").is_file() and opened == []
    assert "begin with README.md" in capsys.readouterr().out


def test_the_exercises_are_checked_in_a_copied_folder(here, opened):
    """What the first cell of a lesson does, in Colab too."""
    assert cli.main(["course", ".", "--no-open"]) == 0
    asked = "from exercises import check; print(check('1.1'))"
    done = subprocess.run([sys.executable, "-c", asked], cwd=here, capture_output=True, text=True)
    assert done.stdout.startswith("Exercise 1.1: not answered yet."), done.stderr


def test_what_stands_behind_two_dashes_goes_to_jupyterlab(here, opened):
    assert cli.main(["course", "mine", "--port", "8899", "--", "--collaborative"]) == 0
    [command] = opened
    assert command[-1] == "--collaborative" and "--ServerApp.port=8899" in command


def test_a_folder_that_can_not_be_written_is_a_sentence_that_names_the_fix(here, opened, capsys):
    (here / "file").write_text("")
    assert cli.main(["course", "file"]) == 2
    assert "Name another folder with `vision-explorer course FOLDER`." in capsys.readouterr().err


def test_the_list_is_a_page_where_its_reader_has_not_chosen_otherwise(monkeypatch):
    from explorer.cli.jupyter import markdown_as_pages

    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "theirs")
    theirs, ours = markdown_as_pages()["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    settings = json.loads((Path(ours) / "labconfig" / "default_setting_overrides.json").read_text())
    viewers = settings["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]
    assert theirs == "theirs" and viewers == {"markdown": "Markdown Preview"}


def test_nothing_is_written_where_a_link_of_the_folder_leads(here, opened, capsys):
    mine, outside = here / "mine", here / "outside"
    mine.mkdir()
    (mine / "README.md").symlink_to(outside)
    assert cli.main(["course", "mine"]) == 0
    assert not outside.exists() and "You have changed README.md: it is kept." in capsys.readouterr().out
    outside.write_text("{}")
    (mine / RECORD).unlink()
    (mine / RECORD).symlink_to(outside)
    assert cli.main(["course", "mine"]) == 2
    assert outside.read_text() == "{}" and "rename or delete it" in capsys.readouterr().err


def test_a_folder_of_a_files_name_is_kept_and_the_rest_comes(here, opened, capsys):
    (here / "mine" / "README.md").mkdir(parents=True)
    assert cli.main(["course", "mine"]) == 0
    assert (here / "mine" / "tour.ipynb").is_file() and (here / "mine" / RECORD).is_file()
    assert "You have changed README.md: it is kept. The new version is README-" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a folder that somebody is in")
def test_where_the_present_folder_is_gone_and_no_home_is_known_a_sentence_says_so(here, opened, monkeypatch,
                                                                                capsys):
    (here / "gone").mkdir()
    monkeypatch.chdir(here / "gone")
    (here / "gone").rmdir()

    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    assert cli.main(["course"]) == 2
    said = capsys.readouterr().err
    assert "no home folder is known" in said and "Name another folder with" in said
