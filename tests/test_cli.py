"""The command line: what a person types, sees and gets as an exit code."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import PIL.Image
import pytest

from explorer import __version__, cli
from explorer.cli import copying, finetune, tour
from explorer.cli.printing import CommandError, printable
from explorer.data.samples import assets_dir
from tests.number_photos import bright, table

PHOTOS = assets_dir() / "photos"
ROOT = Path(__file__).resolve().parent.parent


def run(*words: str, **options) -> subprocess.CompletedProcess:
    """The command in a process of its own, as from a shell."""
    command = [sys.executable, "-m", "explorer", *words]
    return subprocess.run(command, capture_output=True, text=True, **options)


# --- words that are wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "sentence"), [
    (["lst"], "there is no command 'lst', but there is 'list'"),
    (["dance"], "there is no command 'dance'; there are tour, course, list, show, predict"),
    (["predict"], "the following arguments are required: PHOTO"),
    (["predict", "a.jpg", "--topk", "0"], "'0' is not a number from 1 up"),
    (["predict", "a.jpg", "--model", "resnet5O"], "Unknown model 'resnet5O'. Did you mean 'resnet50'"),
    (["predict", "a.jpg", "--checkpoint", "no.pth"], "There is no weight file at 'no.pth'"),
    (["list", "--family", "resnett"], "Unknown family 'resnett'. Did you mean 'resnet'"),
    (["list", "--task", "dancing"], "Unknown task 'dancing'. Known: "),
    (["list", "--licence", "mitt"], "No weights are under the licence 'mitt'. There are: apache-2.0, "),
    (["show"], "the following arguments are required: NAME"),
    (["compare"], "the following arguments are required: PHOTO"),
    (["compare", "a.jpg", "--models", "resnet50", "resnet5O"],
     "Unknown model 'resnet5O'. Did you mean 'resnet50'"),
    (["compare", "a.jpg", "--models", "resnet50"], "Compare takes 2 to 8 models, not 1"),
    (["compare", "a.jpg", "--csv", "no/where.csv"], "There is no folder 'no'"),
    (["compare", "a.jpg", "--figure", "it.bmp"], "A figure is a .png, .svg or .pdf file"),
    (["finetune", "resnet18"], "the following arguments are required: DATA"),
    (["finetune", "resnet18", "flowers5", "--epochs", "0"], "'0' is not a number from 1 up"),
    (["evaluate", "resnet18", "flowers5", "--topk", "many"], "'many' is not a number from 1 up"),
    (["tour", "--port", "http"], "'http' is not a port"),
    (["tour", "--port", "70000"], "'70000' is not a port"),
    (["tour", "--lang", "fr"], "'fr'"),
    (["tour", "somewhere"], "unrecognized arguments: somewhere"),
    (["list", "--tpyo"], "unrecognized arguments: --tpyo"),
])
def test_a_wrong_word_gives_one_sentence_and_exit_code_2(words, sentence, capsys):
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("vision-explorer: ") and sentence in err


def test_debug_shows_the_traceback_wherever_it_stands(capsys):
    for words in (["--debug", "list", "--family", "x"], ["list", "--family", "x", "--debug"]):
        assert cli.main(words) == 2
        assert "Traceback" in capsys.readouterr().err


def test_an_unforeseen_error_is_a_sentence_too(monkeypatch, capsys):
    monkeypatch.setattr("explorer.cli.list.run", lambda args: {}["lost\nkey"])
    assert cli.main(["list"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "KeyError" in err and "--debug" in err


def test_no_command_shows_the_help(capsys):
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    assert all(f"\n    {command} " in out for command in ("tour", "list", "show", "predict"))


def test_the_version_is_the_packages():
    assert run("--version").stdout == f"vision-explorer {__version__}\n"


def test_ctrl_c_ends_without_a_traceback(monkeypatch, capsys):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr("explorer.cli.list.run", interrupted)
    assert cli.main(["list"]) == 130
    assert capsys.readouterr().err == ""


# --- list ---------------------------------------------------------------------------------------------------


def test_piped_names_are_plain_lines_in_natural_order():
    done = run("list", "resnet1*", "--exclude", "*t", "--exclude", "*[cds]", "--exclude", "*clip*")
    assert (done.returncode, done.stdout.split()) == (0, ["resnet18", "resnet101", "resnet152"])


def test_several_patterns_and_a_family_are_understood(capsys):
    assert cli.main(["list", "vgg11", "vgg13*", "resnet18", "--family", "vgg"]) == 0
    assert capsys.readouterr().out.split() == ["vgg11", "vgg13", "vgg13_bn"]


def test_a_terminal_gets_aligned_columns_with_parameters_year_and_family(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert cli.main(["list", "vgg16", "resnet18"]) == 0
    assert capsys.readouterr().out == (
        "name      parameters  year  family\n"
        "resnet18      11.7 M  2015  resnet\n"
        "vgg16        138.4 M  2014  vgg\n"
    )


def test_the_list_as_json_has_the_same_facts(capsys):
    assert cli.main(["list", "vgg16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == \
        [{"name": "vgg16", "parameters": 138_357_544, "year": 2014, "family": "vgg"}]


def test_pretrained_names_carry_their_tags(capsys):
    assert cli.main(["list", "resnet18", "--pretrained"]) == 0
    names = capsys.readouterr().out.split()
    assert "resnet18.a1_in1k" in names and all(name.startswith("resnet18.") for name in names)


def test_here_lists_what_works_without_a_network(capsys, monkeypatch, tmp_path):
    # not what this user may have downloaded
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert cli.main(["list", "--here"]) == 0
    classifiers = [f"tf_efficientnet_lite{n}" for n in range(3)]
    assert capsys.readouterr().out.split() == ["retinanet_lite0", *classifiers, "unet_lite0"]


def test_a_licence_lists_the_names_that_have_weights_under_it(capsys):
    assert cli.main(["list", "resnet18", "resnet152", "--licence", "CC-BY-NC-4.0"]) == 0
    assert capsys.readouterr().out.split() == ["resnet18"]


def test_a_licence_and_pretrained_list_the_sets_of_weights_under_it(capsys):
    assert cli.main(["list", "resnet18", "--pretrained", "--license", "cc-by-nc-4.0"]) == 0
    assert capsys.readouterr().out.split() == ["resnet18.fb_ssl_yfcc100m_ft_in1k",
                                               "resnet18.fb_swsl_ig1b_ft_in1k"]


def test_a_task_lists_the_names_that_do_it(capsys):
    assert cli.main(["list", "vgg11", "--task", "classification"]) == 0
    assert capsys.readouterr().out.split() == ["vgg11"]


@pytest.mark.parametrize(("words", "hint"), [
    (["resnet5"], "near it are resnet50"),
    (["zzz"], "patterns need wildcards"),
    (["*zzz*"], "No model matches."),
])
def test_no_match_is_said_on_stderr_with_exit_code_1(words, hint, capsys):
    assert cli.main(["list", *words]) == 1
    out, err = capsys.readouterr()
    assert out == "" and hint in err


def test_a_reader_that_stops_early_is_no_error():
    command = subprocess.Popen([sys.executable, "-m", "explorer", "list", "--json"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    command.stdout.read(10)
    command.stdout.close()
    assert command.stderr.read() == b""
    command.wait()


# --- show ---------------------------------------------------------------------------------------------------


def test_show_prints_the_models_card(capsys, monkeypatch):
    from explorer.models.card import model_card

    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["show", "resnet50.tv_in1k"]) == 0
    assert capsys.readouterr().out == model_card("resnet50.tv_in1k").as_text(80) + "\n"


def test_a_narrow_terminal_gets_lines_broken_between_words(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert cli.main(["show", "resnet50"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60


def test_the_card_as_json_has_the_same_facts(capsys):
    assert cli.main(["show", "resnet50", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert (card["architecture"], card["tag"], card["parameters"]) == ("resnet50", "a1_in1k", 25_557_032)
    assert card["stages"][-1] == {"name": "layer4", "channels": 2048, "reduction": 32}


@pytest.mark.parametrize(("name", "sentence"), [
    ("resnet5O", "Unknown model 'resnet5O'. Did you mean 'resnet50'"),
    ("resnet50.a9", "Unknown tag 'a9' of 'resnet50'"), ("timm/resnet50", "has no card"),
])
def test_a_model_that_is_not_known_is_one_sentence_and_exit_code_1(name, sentence, capsys):
    assert cli.main(["show", name]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and sentence in err


@pytest.mark.parametrize("words", [["list", "--licence", "mit"], ["show", "resnet50"]])
def test_listing_and_showing_need_no_torch(words):
    code = f"import sys; from explorer import cli; cli.main({words}); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout and not done.stderr


# --- predict ------------------------------------------------------------------------------------------------


def test_a_photo_gets_a_table_of_its_best_classes(capsys):
    assert cli.main(["predict", str(PHOTOS / "daisy.jpg"), "--topk", "3"]) == 0
    head, best, *rest = capsys.readouterr().out.splitlines()
    assert head.split() == ["photo", "class", "probability"] and len(rest) == 2
    assert "daisy.jpg" in best and best.split()[1] == "daisy" and 80 < float(best.split()[2]) < 100


def test_the_numbers_are_those_of_the_library(capsys):
    import explorer

    photo = PHOTOS / "school_bus.jpg"
    assert cli.main(["predict", str(photo), "--model", "tf_efficientnet_lite1", "--topk", "2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"] == "tf_efficientnet_lite1.in1k" and answer["notes"] == []
    expected = explorer.predict("tf_efficientnet_lite1", photo, topk=2)
    said = answer["photos"][0]["predictions"]
    assert [p["index"] for p in said] == [p.index for p in expected] and said[0]["label"] == "school bus"
    assert [p["probability"] for p in said] == pytest.approx([p.probability for p in expected], rel=1e-5)


def test_a_broken_photo_is_named_the_others_go_on_and_the_exit_code_is_1(tmp_path, capsys):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((PHOTOS / "daisy.jpg").read_bytes()[:2000])
    photos = [str(broken), str(PHOTOS / "pizza.jpg"), str(tmp_path / "missing.jpg")]
    assert cli.main(["predict", *photos]) == 1
    out, err = capsys.readouterr()
    assert "pizza" in out and "broken" not in out
    first, second = err.splitlines()
    assert "broken.jpg" in first and "missing.jpg" in second

    assert cli.main(["predict", *photos, "--json"]) == 1
    out, err = capsys.readouterr()
    rows = json.loads(out)["photos"]
    assert [bool(row["error"]) for row in rows] == [True, False, True] and err == ""


def test_a_folder_stands_for_the_pictures_in_it(tmp_path, capsys):
    for name in ("photo10.jpg", "photo2.jpg"):
        (tmp_path / name).write_bytes((PHOTOS / "daisy.jpg").read_bytes())
    (tmp_path / "notes.txt").write_text("no picture")
    assert cli.main(["predict", str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["photos"]
    assert [Path(row["name"]).name for row in rows] == ["photo2.jpg", "photo10.jpg"]


def test_a_folder_without_pictures_is_said(tmp_path, capsys):
    assert cli.main(["predict", str(tmp_path)]) == 1
    assert "holds no picture" in capsys.readouterr().err


def test_own_weights_are_used(tmp_path, capsys):
    import torch

    import explorer

    torch.manual_seed(0)
    model = explorer.create_model("mobilenetv2_035", num_classes=4)
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    photo = PHOTOS / "cat_tabby.jpg"
    words = ["--model", "mobilenetv2_035", "--checkpoint", str(tmp_path / "mine.pth"), "--json"]
    assert cli.main(["predict", str(photo), *words]) == 0
    said = json.loads(capsys.readouterr().out)["photos"][0]["predictions"]
    expected = explorer.predict(model, photo)
    assert len(said) == 4
    assert [p["logit"] for p in said] == pytest.approx([p.logit for p in expected], rel=1e-4, abs=1e-6)


def test_weights_that_are_not_here_are_one_sentence_without_a_network(tmp_path):
    done = run("predict", str(PHOTOS / "daisy.jpg"), "--model", "resnet18",
               env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)})
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "tf_efficientnet_lite0" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such file names")
def test_control_characters_in_a_file_name_never_reach_the_terminal(tmp_path):
    photo = tmp_path / "evil\x1b[2J\nname\u202e.jpg"
    photo.write_bytes((PHOTOS / "daisy.jpg").read_bytes())
    done = run("predict", str(photo), str(photo) + "missing")
    assert done.returncode == 1
    shown = done.stdout + done.stderr
    assert "\x1b" not in shown and "\u202e" not in shown and len(done.stderr.splitlines()) == 1
    assert "evil\\x1b[2J\\nname\\u202e.jpg" in done.stdout


def test_a_console_that_knows_few_characters_gets_escapes(tmp_path):
    photo = tmp_path / "猫.jpg"
    photo.write_bytes((PHOTOS / "daisy.jpg").read_bytes())
    done = run("predict", str(photo), env={**os.environ, "PYTHONIOENCODING": "cp1252:strict"})
    assert done.returncode == 0 and "\\u732b.jpg" in done.stdout


def test_printable_keeps_ordinary_letters_of_every_language():
    assert printable("Müller 猫 ñ'\"") == "Müller 猫 ñ'\""
    assert printable("a\tb\x00\udcff") == "a\\tb\\x00\\udcff"


@pytest.mark.parametrize(("model", "set_name", "head", "key"), [
    ("retinanet_lite0.bccd", "bccd", "photo class score left top right bottom", "boxes"),
    ("unet_lite0.nuclei", "nuclei", "photo class share", "classes"),
])
def test_boxes_and_masks_get_tables_of_their_own(model, set_name, head, key, tmp_path, capsys):
    import explorer

    photo = str(explorer.sample_photos(set_name)[0].path)
    words = ["predict", photo, str(tmp_path / "missing.jpg"), "--model", model]
    assert cli.main([*words, "--csv", str(tmp_path / "table.csv")]) == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == head.split() and Path(photo).name in lines[1] and "missing.jpg" in err
    assert cli.main([*words, "--json"]) == 1
    known, missing = json.loads(capsys.readouterr().out)["photos"]
    ask = explorer.detect if key == "boxes" else explorer.segment
    expected = ask(model, photo).as_rows()
    assert len(lines) == 1 + len(expected) and missing[key] == [] and "missing.jpg" in missing["error"]
    assert [part["label"] for part in known[key]] == [part["label"] for part in expected]
    assert len((tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()) == 2 + len(expected)
    assert cli.main([*words, "--topk", "3"]) == 2
    assert f"--topk is for models that find classes, and '{model}' finds" in capsys.readouterr().err


def test_masks_are_written_and_only_those(tmp_path, capsys):
    import explorer

    photo = explorer.sample_photos("nuclei")[0].path
    words = ["predict", str(photo), "--masks", str(tmp_path / "masks")]
    assert cli.main([*words, "--model", "unet_lite0.nuclei"]) == 0
    assert {path.name for path in (tmp_path / "masks").iterdir()} == {f"{photo.stem}.png", "masks.csv"}
    assert cli.main(words) == 2
    assert "--masks is for models that find masks, and 'tf_efficientnet_lite0' finds classes" in \
        capsys.readouterr().err


def test_a_photo_without_a_box_has_a_line_that_says_so(tmp_path, capsys, monkeypatch):
    import explorer

    net = explorer.create_model("retinanet", backbone="lcnet_050", num_classes=2, img_size=64)
    monkeypatch.setattr("explorer.models.create.create_model", lambda *_, **__: net)
    PIL.Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    (tmp_path / "empty").mkdir()
    words = [str(tmp_path / "black.png"), str(tmp_path / "empty"), "--model", "retinanet_lite0.bccd"]
    assert cli.main(["predict", *words]) == 1
    out, err = capsys.readouterr()
    assert out.endswith("black.png  (nothing found)\n") and "holds no picture" in err


def test_the_predictions_of_classes_are_written_as_a_table(tmp_path, capsys):
    words = ["predict", str(PHOTOS / "daisy.jpg"), "--csv", str(tmp_path / "it.csv")]
    assert cli.main(words) == 0
    assert (tmp_path / "it.csv").read_text(encoding="utf-8").splitlines()[1].split(",")[2] == "daisy"
    assert cli.main([*words[:-1], str(tmp_path / "no" / "it.csv")]) == 2
    assert "There is no folder" in capsys.readouterr().err


# --- finetune -----------------------------------------------------------------------------------------------

SMALL = ["mobilenetv3_small_050", "flowers5_nano", "--from-scratch", "--size", "32", "--threads", "1",
         "--device", "cpu"]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The present folder, an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_finetune_teaches_saves_and_says_how_to_judge(here, capsys):
    assert cli.main(["finetune", *SMALL, "--epochs", "2", "--save", "mine"]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"Best epoch [12] of 2: [\d.]+ % of 40 photos right, loss [\d.]+\.\n"
                        r"The model is in mine\. Judge it: vision-explorer evaluate mine flowers5_nano\n",
                        out)
    assert err.count("judged: loss") == 2 and "Traceback" not in err
    saved = {path.name for path in (here / "mine").iterdir()}
    # epochs: a small run brings its checkpoints
    assert saved == {"README.md", "config.json", "epochs", "model.safetensors", "run.json"}
    assert (here / "runs" / "mobilenetv3_small_050-flowers5_nano" / "last.pt").is_file()


def test_a_table_of_numbers_is_learnt_and_judged_from_the_terminal(here, capsys):
    table(here / "levels", bright(12), "file,level")
    words = ["mobilenetv3_small_050", "levels/table.csv", *SMALL[2:], "--epochs", "2", "--loss", "huber",
             "--save", "mine"]
    assert cli.main(["finetune", *words, "--target", "level"]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"Best epoch [12] of 2: MAE [\d.]+ over 2 photos, loss [\d.]+\.\n"
                        r"The model is in mine\. Judge it: vision-explorer evaluate mine levels/table.csv "
                        r"--target=level\n", out)
    assert err.count("MAE") >= 4 and "right" not in err
    assert cli.main(["evaluate", "mine", "levels/table.csv", "--target=level", "--csv", "out.csv"]) == 0
    out = capsys.readouterr().out
    assert "2 photos, MAE" in out and "worst photos" in out
    assert "predicted level" in (here / "out.csv").read_text()
    assert cli.main(["evaluate", "mine", "levels/table.csv", "--split", "all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["photos"] == 12
    assert cli.main(["finetune", *words[:-2], "--outputs", "one", "--target", "height"]) == 1
    assert "has no column 'height'" in capsys.readouterr().err


def test_a_yes_or_no_is_asked_for_in_the_terminal(here, capsys):
    assert cli.main(["finetune", *SMALL, "--outputs", "yes/no"]) == 1
    assert "outputs='yes/no' tells two classes apart, and 'flowers5_nano' has 5" in capsys.readouterr().err
    assert cli.main(["finetune", *SMALL, "--outputs", "maybe"]) == 1
    assert "expected one of 'one', 'yes/no'" in capsys.readouterr().err


def test_settings_reach_the_recipe_and_json_has_history_and_best(here, capsys):
    words = ["--epochs", "2", "--train", "all", "--lr", "0.004", "--body-lr", "0.002", "--batch-size", "40",
             "--optimizer", "sgd", "--schedule", "one_cycle", "--augment", "none", "--seed", "3",
             "--label-smoothing", "0.1", "--clip", "1", "--balance", "--run-dir", "run", "--json"]
    assert cli.main(["finetune", *SMALL, *words]) == 0
    facts = json.loads(capsys.readouterr().out)
    expected = {"epochs": 2, "train": "all", "lr": 0.004, "body_lr": 0.002, "batch_size": 40,
                "optimizer": "sgd", "schedule": "one_cycle", "augment": "none", "seed": 3,
                "label_smoothing": 0.1, "clip": 1.0, "class_weights": "balanced", "threads": 1}
    assert facts["recipe"].items() >= expected.items()
    assert [row["epoch"] for row in facts["history"]] == [0, 1] and facts["best"] in facts["history"]
    assert (facts["state"], facts["run_dir"], facts["saved"]) == ("finished", "run", None)
    assert len(facts["labels"]) == 5


def test_the_help_names_every_choice():
    from explorer.training.loop.recipe import AUGMENTATIONS, OPTIMIZERS, SCHEDULES, TRAIN

    text = run("finetune", "--help").stdout
    assert text.startswith("usage: vision-explorer finetune MODEL DATA [options]\n")
    assert [name for name in (*TRAIN, *SCHEDULES, *AUGMENTATIONS, *OPTIMIZERS) if name not in text] == []
    assert "Ctrl-C stops after the batch" in text


@pytest.mark.parametrize(("words", "sentence"), [
    (["resnet5O", "flowers5"], "Unknown model 'resnet5O'. Did you mean 'resnet50'"),
    (["resnet18", "no folder"], "There is no folder 'no folder'. Give a folder of class folders"),
    (["resnet18", "flowers5_nano", "--from-scratch", "--train", "tail"],
     "train is 'tail': expected one of head"),
    (["resnet18", "flowers5_nano", "--from-scratch", "--schedule", "round"],
     "schedule is 'round': expected one of"),
    (["resnet18", "flowers5_nano", "--from-scratch", "--lr", "-1"], "lr is -1.0: give a number above 0"),
    (["resnet18", "flowers5_nano", "--resume"], "Which run should go on? Name its folder with --run-dir."),
    (["resnet18", "flowers5_nano", "--save", "full"], "'full' is there already and holds something else"),
    # whose weights are here, while these can't be had
    (["resnet18", "flowers5_nano"], "tf_efficientnet_lite0"),
])
def test_what_cannot_be_learnt_is_one_sentence_and_exit_code_1(words, sentence, here, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(here / "cache"))
    (here / "full").mkdir()
    (here / "full" / "thesis.txt").write_text("mine")
    assert cli.main(["finetune", *words]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and sentence in err


def test_a_training_that_breaks_is_one_sentence_and_exit_code_1(here, capsys):
    assert cli.main(["finetune", *SMALL, "--train", "all", "--optimizer", "sgd", "--lr", "1e30", "--epochs",
                     "3"]) == 1
    out, err = capsys.readouterr()
    assert "The loss became" in err.splitlines()[-1] and "Traceback" not in err and out == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no Ctrl-C to one process")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_ctrl_c_stops_saves_and_the_command_that_is_shown_goes_on(name, here, capsys, monkeypatch):
    from explorer.training.loop.events import Batch, Epoch
    from explorer.training.run.listeners import print_progress

    batches = []

    def and_ctrl_c():
        printer = print_progress()

        def listen(event):
            printer(event)
            batches.extend([event] * isinstance(event, Batch))
            if isinstance(event, Epoch):
                os.kill(os.getpid(), getattr(signal, name))
                # until the main thread has heard it
                while "stopping after this batch" not in sys.stderr.getvalue():
                    time.sleep(0.01)
        return listen

    monkeypatch.setattr("explorer.training.run.listeners.print_progress", and_ctrl_c)
    handler = signal.getsignal(signal.SIGINT)
    words = ["finetune", *SMALL, "--epochs", "900", "--rounds", "1", "--run-dir", "my run", "--save", "mine"]
    assert cli.main(words) == 130
    assert signal.getsignal(signal.SIGINT) is handler
    err = capsys.readouterr().err
    command = err.splitlines()[-1].removeprefix("vision-explorer: Stopped. To go on: ")
    assert shlex.split(command)[0] == "vision-explorer" and not (here / "mine").exists()
    assert len(batches) == 3  # of one epoch; the second had not begun

    monkeypatch.undo()
    monkeypatch.chdir(here)
    again = shlex.split(command)[1:]
    again[again.index("900")] = "2"
    assert cli.main(again) == 0
    assert "training goes on behind step 3" in capsys.readouterr().err
    assert (here / "mine" / "config.json").is_file()


@pytest.mark.parametrize(("words", "kept"), [
    (["finetune", "a", "b"], "finetune a b"), (["finetune", "a", "b", "--run-dir", "x y"], "finetune a b"),
    (["finetune", "a", "--run-dir=x", "b", "--resume", "--lr", "1"], "finetune a b --lr 1"),
])
def test_the_command_to_go_on_keeps_all_other_words(words, kept):
    assert finetune._resume_command(words, Path("x y")) == f"vision-explorer {kept} --run-dir 'x y' --resume"


def test_another_models_run_is_refused_and_stays_as_it_is(here, capsys):
    """case A1"""
    assert cli.main(["finetune", *SMALL, "--epochs", "1", "--run-dir", "r"]) == 0
    before = {path: path.read_bytes() for path in (here / "r").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert cli.main(["finetune", "resnet10t", *SMALL[1:], "--epochs", "2", "--run-dir", "r", "--resume"]) == 1
    err = capsys.readouterr().err
    assert ("started with the model mobilenetv3_small_050, not resnet10t" in err
            and "Give another run_dir" in err)
    assert {path: path.read_bytes() for path in (here / "r").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("words", [
    ["finetune", *SMALL, "--save", ""], ["finetune", *SMALL, "--run-dir", " "],
    ["finetune", *SMALL, "--tensorboard", ""], ["finetune", SMALL[0], ""], ["finetune", "", "flowers5_nano"],
    ["evaluate", "", "flowers5_nano"], ["evaluate", "tf_efficientnet_lite0", "flowers5_nano", "--csv", ""],
    ["evaluate", "tf_efficientnet_lite0", ""], ["predict", ""], ["predict", "x.jpg", "--checkpoint", ""],
    ["predict", "x.jpg", "--model", ""], ["compare", ""],
    ["compare", "x.jpg", "--csv", ""], ["compare", "x.jpg", "--figure", ""],
    ["compare", "x.jpg", "--answers", ""], ["tour", "--to", ""],
])
def test_an_empty_path_is_a_sentence_and_not_the_present_folder(words, here, capsys):
    """case B4"""
    try:
        code = cli.main(words)
    except SystemExit as ended:  # argparse
        code = ended.code
    err = capsys.readouterr().err
    assert code in (1, 2) and err.count("\n") == 1 and ("''" in err or "' '" in err or "There is no" in err
                                                        or "is empty" in err), err
    assert not list(here.iterdir())


def test_the_home_folder_is_meant_by_its_sign(here, capsys, monkeypatch):
    """case B4: quoted, the shell leaves it as it is."""
    monkeypatch.setenv("HOME", str(here / "home"))
    assert cli.main(["finetune", *SMALL, "--epochs", "1", "--run-dir", "~/run", "--save", "~/mine"]) == 0
    assert cli.main(["evaluate", "~/mine", "flowers5_nano", "--csv", "~/rows.csv"]) == 0
    assert {"mine", "rows.csv", "run"} <= {path.name for path in (here / "home").iterdir()}
    assert [path.name for path in here.iterdir()] == ["home"]


def test_a_folder_of_another_run_is_never_taken_by_default(here):
    assert finetune._free_run_dir("timm/a.b", "photos of mine/") == Path("runs/a.b-photos-of-mine")
    for number, folder in enumerate(("a-b", "a-b-2"), start=2):
        (here / "runs" / folder).mkdir(parents=True)
        assert finetune._free_run_dir("a", "b").name == folder  # a run that never began holds nothing
        (here / "runs" / folder / "history.jsonl").write_text("")
        assert finetune._free_run_dir("a", "b") == Path(f"runs/a-b-{number}")


# --- evaluate -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with a saved model and the run_dir it came from."""
    folder = tmp_path_factory.mktemp("trained")
    assert cli.main(["finetune", *SMALL, "--epochs", "1", "--run-dir", str(folder / "run"), "--save",
                     str(folder / "mine"), "--json"]) == 0
    return folder


@pytest.mark.parametrize("kind", ["mine", "run"])
def test_predict_opens_a_saved_model_and_a_run_dir(trained, kind, capsys):
    import explorer

    assert cli.main(["predict", str(PHOTOS / "daisy.jpg"), "--model", str(trained / kind), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    expected = explorer.predict(explorer.load_run(trained / kind).model, PHOTOS / "daisy.jpg")
    said = answer["photos"][0]["predictions"]
    assert [p["label"] for p in said] == [p.label for p in expected] and answer["notes"] == []
    assert [p["probability"] for p in said] == pytest.approx([p.probability for p in expected], rel=1e-4)


@pytest.mark.parametrize("kind", ["mine", "run"])
def test_show_opens_a_saved_model_and_a_run_dir(trained, kind, capsys):
    assert cli.main(["show", str(trained / kind)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^architecture +mobilenetv3_small_050$", out, re.MULTILINE)
    assert "5: daisy, dandelion, roses" in out and re.search(r"^epochs +1 of 1$", out, re.MULTILINE)
    assert re.search(r"^best +[\d.]+ % .*in epoch 1$", out, re.MULTILINE)
    assert cli.main(["show", str(trained / kind), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["task"], facts["labels"][0], facts["best"]["epoch"]) == ("classification", "daisy", 0)


@pytest.mark.parametrize(("folder", "sentence"), [("no/folder", "There is no folder 'no/folder'"),
                                                  ("empty", "holds no run")])
def test_a_folder_without_a_model_is_not_shown(folder, sentence, here, capsys):
    (here / "empty").mkdir()
    assert cli.main(["show", folder]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and sentence in err


def test_compare_opens_a_saved_model_and_a_run_dir(trained, capsys):
    models = ["tf_efficientnet_lite0", str(trained / "mine"), str(trained / "run")]
    assert cli.main(["compare", str(PHOTOS / "daisy.jpg"), "--models", *models]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["tf_efficientnet_lite0", "mine", "run"]
    assert cli.main(["compare", str(PHOTOS / "daisy.jpg"), "--models", *models[:2], models[0]]) == 2
    assert "'tf_efficientnet_lite0' is there twice" in capsys.readouterr().err


def test_compare_tells_the_speed_where_it_is_asked_for(trained, capsys):
    words = ["compare", str(PHOTOS / "daisy.jpg"), "--models", str(trained / "mine"), str(trained / "run")]
    for more, timed in (([], 0), (["--speed"], 2)):
        assert cli.main([*words, *more]) == 0
        out = capsys.readouterr().out
        assert len(re.findall(r"^(?:mine|run) .*[\d.]+ ms", out, re.MULTILINE)) == timed, out


def test_a_folder_and_other_weights_do_not_go_together(trained, capsys):
    words = ["--model", str(trained / "mine"), "--checkpoint", "x.pth"]
    assert cli.main(["predict", str(PHOTOS / "daisy.jpg"), *words]) == 2
    assert "has its weights: leave --checkpoint out" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["mine", "run"])
def test_a_trained_model_learns_on(trained, kind, here, capsys):
    words = [str(trained / kind), "flowers5_nano", "--size", "32", "--epochs", "1", "--threads", "1",
             "--device", "cpu"]
    assert cli.main(["finetune", *words]) == 0
    assert (here / "runs" / f"{kind}-flowers5_nano" / "last.pt").is_file()


def test_without_tensorboard_nothing_begins(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert cli.main(["finetune", *SMALL, "--tensorboard", "curves"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "pip install tensorboard" in err and list(here.iterdir()) == []


@pytest.mark.parametrize("kind", ["mine", "run"])
def test_evaluate_opens_a_saved_model_and_a_run_dir_and_has_the_librarys_figures(trained, kind, capsys):
    import explorer

    assert cli.main(["evaluate", str(trained / kind), "flowers5_nano", "--json"]) == 0
    out, err = capsys.readouterr()
    facts, expected = json.loads(out), explorer.evaluate(explorer.load_run(trained / kind), "flowers5_nano")
    assert (facts["top1"], facts["photos"], facts["confusion"]) == (expected.top1, 40,
                                                                    expected.confusion.tolist())
    assert facts["loss"] == pytest.approx(expected.loss, rel=1e-5) and err == ""


def test_evaluate_prints_tables_and_writes_a_line_a_photo(trained, tmp_path, capsys):
    words = [str(trained / "mine"), "flowers5_nano", "--tta", "--csv", str(tmp_path / "photos.csv")]
    assert cli.main(["evaluate", *words]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^run on flowers5_nano: 40 photos, top-1 [\d.]+ %, loss", out)
    assert "Each photo and its mirror image, averaged." in out
    assert re.search(r"^daisy .* 8$", out, re.MULTILINE)
    assert len((tmp_path / "photos.csv").read_text(encoding="utf-8").splitlines()) == 41


@pytest.mark.parametrize(("words", "sentence"), [
    (["resnet5O", "flowers5_nano"], "Unknown model 'resnet5O'. Did you mean 'resnet50'"),
    (["tf_efficientnet_lite0", "flowers5_nano"], "The model knows 1000 classes"),
    (["MINE", "nowhere"], "There is no folder 'nowhere'"),
    (["MINE", "flowers5_nano", "--split", "half"], "split is 'half'"),
    (["no/folder", "flowers5_nano"], "There is no folder 'no/folder'. Give the folder of a trained model"),
    (["MINE", "flowers5_nano", "--csv", "no/where.csv"], "There is no folder 'no'"),
    ([".", "flowers5_nano"], "holds no run"),
])
def test_what_cannot_be_judged_is_one_sentence_and_exit_code_1(words, sentence, trained, here, capsys):
    assert cli.main(["evaluate", *(str(trained / "mine") if word == "MINE" else word for word in words)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and sentence in err


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such file names")
def test_a_broken_photo_is_named_the_others_are_judged_and_the_exit_code_is_1(trained, here, capsys):
    for flower in ("daisy", "roses"):
        (here / "photos" / flower).mkdir(parents=True)
        (here / "photos" / flower / "one.jpg").write_bytes((PHOTOS / "daisy.jpg").read_bytes())
    (here / "photos" / "roses" / "evil\x1b[2J.jpg").write_bytes(b"no picture")
    assert cli.main(["evaluate", str(trained / "mine"), "photos", "--split", "all"]) == 1
    out, err = capsys.readouterr()
    assert ": 2 photos, top-1" in out and "Left out, roses/evil\\x1b[2J.jpg" in err
    assert "\x1b" not in out + err


@pytest.mark.parametrize(("name", "figure", "head"), [("retinanet", "map", "AP50"), ("unet", "miou", "IoU")])
def test_boxes_and_masks_are_judged_with_the_table_of_their_kind(name, figure, head, here, capsys,
                                                                 monkeypatch):
    import explorer

    classes = 2 if name == "retinanet" else 3  # of masks the background too
    net = explorer.create_model(name, backbone="lcnet_050", num_classes=classes, img_size=64).eval()
    net.config = net.config.with_(labels=("background", "cat", "dog")[-classes:])
    monkeypatch.setattr("explorer.inspection.look.model.create_model", lambda *_, **__: net)
    for i in range(2):
        (here / f"{i}.jpg").write_bytes((PHOTOS / "daisy.jpg").read_bytes())
    with PIL.Image.open(here / "0.jpg") as photo:
        width, height = photo.size
    things = [{"id": i, "image_id": i, "category_id": 1, "bbox": [5, 5, 25, 25], "area": 625, "iscrowd": 0,
               "segmentation": [[5, 5, 30, 5, 30, 30, 5, 30]]} for i in range(2)]
    images = [{"id": i, "file_name": f"{i}.jpg", "width": width, "height": height} for i in range(2)]
    names = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    Path("things.json").write_text(json.dumps({"images": images, "annotations": things, "categories": names}))
    words = ["evaluate", "local-dir:mine", "things.json"]
    assert cli.main([*words, "--csv", "photos.csv"]) == 0
    out = capsys.readouterr().out
    assert "2 photos" in out and head in out and "worst photos" in out
    assert len(Path("photos.csv").read_text(encoding="utf-8").splitlines()) == 3
    assert cli.main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[figure] is not None
    assert cli.main([*words, "--tta"]) == 1
    assert "mirror images are for models that tell classes" in capsys.readouterr().err


# --- compare ------------------------------------------------------------------------------------------------


LITES = ["tf_efficientnet_lite0", "tf_efficientnet_lite1"]


def test_compare_prints_sizes_and_answers_and_writes_its_files(tmp_path, capsys):
    import csv

    photos = [str(PHOTOS / "daisy.jpg"), str(PHOTOS / "cat_tabby.jpg")]
    files = [tmp_path / name for name in ("table.csv", "answers.csv", "it.svg")]
    words = ["compare", *photos, "--models", *LITES, "--csv", str(files[0]), "--answers",
             str(files[1]), "--figure", str(files[2])]
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert re.search(r"^tf_efficientnet_lite1 +5.42 M", out, re.MULTILINE)
    assert re.search(r"^daisy.jpg +daisy +daisy$", out, re.MULTILINE)
    assert "Compared with 2 photos." in err
    table, answers = (list(csv.DictReader(file.open(encoding="utf-8"))) for file in files[:2])
    assert [row["model"] for row in table] == LITES
    assert [row["photo"] for row in answers] == ["daisy.jpg", "cat_tabby.jpg"]
    assert "<svg" in files[2].read_text(encoding="utf-8")


def test_compare_names_the_model_that_it_leaves_out_and_gives_exit_code_1(capsys):
    words = ["compare", str(PHOTOS / "daisy.jpg"), "--models", LITES[0], "resnet18", "--markdown"]
    assert cli.main(words) == 1
    out = capsys.readouterr().out
    assert out.startswith("| model | parameters |") and "resnet18: The weights of" in out


# --- tour: the notebooks ------------------------------------------------------------------------------------


@pytest.fixture
def shipped(tmp_path):
    """What explorer brings along."""
    folder = tmp_path / "shipped"
    (folder / ".ipynb_checkpoints").mkdir(parents=True)
    (folder / ".ipynb_checkpoints" / "tour-checkpoint.ipynb").write_text("old")
    (folder / "tour.ipynb").write_text("tour 1")
    (folder / "extra").mkdir()
    (folder / "extra" / "more.ipynb").write_text("more 1")
    return folder


def files_of(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*")
            if path.is_file() and path.name != copying.RECORD}


def test_the_notebooks_are_copied_without_checkpoints(shipped, tmp_path):
    (tmp_path / "mine").mkdir()
    assert tour.copy_notebooks(shipped, tmp_path / "mine") == []
    assert files_of(tmp_path / "mine") == {"tour.ipynb": "tour 1", "extra/more.ipynb": "more 1"}


def test_an_untouched_notebook_is_replaced_by_a_newer_version(shipped, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    tour.copy_notebooks(shipped, mine)
    (shipped / "tour.ipynb").write_text("tour 2")
    assert tour.copy_notebooks(shipped, mine) == []
    assert files_of(mine)["tour.ipynb"] == "tour 2"


def test_a_changed_notebook_is_kept_and_the_newer_version_put_beside_it_once(shipped, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    tour.copy_notebooks(shipped, mine)
    (mine / "tour.ipynb").write_text("tour 1 and my notes")
    (shipped / "tour.ipynb").write_text("tour 2")
    beside = f"tour-{__version__}.ipynb"
    for _ in range(2):  # the second time finds it there
        [sentence] = tour.copy_notebooks(shipped, mine)
        assert "changed tour.ipynb" in sentence and beside in sentence
        assert files_of(mine) == \
            {"tour.ipynb": "tour 1 and my notes", beside: "tour 2", "extra/more.ipynb": "more 1"}


def test_a_changed_notebook_beside_the_changed_one_is_kept_too(shipped, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "tour.ipynb").write_text("mine")
    (mine / f"tour-{__version__}.ipynb").write_text("mine too")
    tour.copy_notebooks(shipped, mine)
    files, beside = files_of(mine), f"tour-{__version__}"
    kept = [files[f"{name}.ipynb"] for name in ("tour", beside, beside + "-2")]
    assert kept == ["mine", "mine too", "tour 1"]


def test_without_a_newer_version_a_changed_notebook_gets_no_neighbour(shipped, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    tour.copy_notebooks(shipped, mine)
    (mine / "tour.ipynb").write_text("tour 1 and my notes")
    assert "start afresh" in tour.copy_notebooks(shipped, mine)[0]
    assert set(files_of(mine)) == {"tour.ipynb", "extra/more.ipynb"}


@pytest.mark.parametrize("record", ["", "[1]", "{broken", '{"tour.ipynb": 3}'])
def test_a_lost_record_never_costs_a_notebook(shipped, tmp_path, record):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "tour.ipynb").write_text("mine")
    (mine / copying.RECORD).write_text(record)
    tour.copy_notebooks(shipped, mine)
    assert files_of(mine)["tour.ipynb"] == "mine"


def test_the_folder_is_here_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tour.tour_folder(None) == tmp_path / tour.TOUR_FOLDER


def test_the_folder_is_at_home_where_this_one_can_not_be_written(tmp_path, monkeypatch):
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()
    home.mkdir()
    (here / tour.TOUR_FOLDER).write_text("a file in the way: permissions would not stop root")
    monkeypatch.chdir(here)
    monkeypatch.setattr(Path, "home", lambda: home)
    assert tour.tour_folder(None) == home / tour.TOUR_FOLDER


def test_a_folder_that_was_asked_for_is_never_replaced_by_another(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="Can't write in .*--to FOLDER"):
        tour.tour_folder(tmp_path / "file" / "tour")


# --- tour: JupyterLab ---------------------------------------------------------------------------------------


def test_what_stands_behind_two_dashes_goes_to_jupyterlab_as_it_is(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(tour, "copy_notebooks", lambda source, folder: [])
    monkeypatch.setattr(tour, "run_until_ctrl_c", lambda command, folder: commands.append(command) or 0)
    words = ["--to", str(tmp_path), "--no-browser", "--port", "8899", "--", "--ip=0.0.0.0", "--collaborative"]
    assert cli.main(["tour", *words]) == 0
    [command] = commands
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert command[-2:] == ["--ip=0.0.0.0", "--collaborative"]
    assert {"--no-browser", "--ServerApp.port=8899", f"--ServerApp.root_dir={tmp_path}"} <= set(command)


@pytest.mark.parametrize(("words", "opened"), [([], "tour.ipynb"), (["--lang", "zh"], "tour_zh.ipynb")])
def test_the_tour_opens_in_the_language_that_was_asked_for(words, opened, tmp_path, monkeypatch, capsys):
    commands = []
    monkeypatch.setattr(tour, "run_until_ctrl_c", lambda command, folder: commands.append(command) or 0)
    assert cli.main(["tour", "--to", str(tmp_path), *words]) == 0
    assert (tmp_path / opened).is_file() and f"--LabApp.default_url=/lab/tree/{opened}" in commands[0]
    assert f"JupyterLab opens {opened};" in capsys.readouterr().out


def test_a_missing_jupyterlab_is_said_with_the_cure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["tour", "--to", str(tmp_path)]) == 2
    assert "-m pip install jupyterlab" in capsys.readouterr().err


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def start_tour(tmp_path, jupyter_env):
    """Start the real thing; gives (process, URL). Whatever a test leaves running is ended."""
    started = []

    def start(*words: str, port: int) -> tuple[subprocess.Popen, str]:
        log = (tmp_path / "log").open("w")
        command = [sys.executable, "-m", "explorer", "tour", "--to", str(tmp_path / "tour"), "--no-browser",
                   "--port", str(port), "--", "--IdentityProvider.token=", *words]
        process = subprocess.Popen(command, env=jupyter_env, stdout=log, stderr=subprocess.STDOUT)
        started.append(process)
        return process, f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(f"{url} never answered:\n{log.read_text()}")


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no Ctrl-C to one process")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_tour_opens_in_jupyterlab_and_ctrl_c_ends_both(start_tour, tmp_path, name):
    process, url = start_tour(port=free_port())
    wait_for(url + "/api/contents/tour.ipynb?content=0", process, tmp_path / "log")
    with urllib.request.urlopen(url + "/", timeout=30) as answer:  # where a browser would be sent
        assert answer.url.endswith("/lab/tree/tour.ipynb")
    process.send_signal(getattr(signal, name))
    assert process.wait(30) == 0
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=5)
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_port_that_is_taken_is_an_error_in_words(start_tour, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process, _ = start_tour(port=taken.getsockname()[1])
        assert process.wait(60) == 2
    assert "vision-explorer: JupyterLab ended with an error" in (tmp_path / "log").read_text()


def test_a_closed_output_is_survived():
    """Some launchers close the streams; then there is nobody to tell."""
    stream = io.StringIO()  # has no reconfigure()
    before, sys.stdout = sys.stdout, stream
    try:
        assert cli.main(["list", "vgg11"]) == 0
    finally:
        sys.stdout = before
    assert stream.getvalue() == "vgg11\n"


# --- doors, and streams that nobody reads -------------------------------------------------------------------


def run_cli(*words: str, prelude: str = "", suffix: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    command = f"{prelude}{shlex.quote(sys.executable)} -m explorer {shlex.join(words)} {suffix}"
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=os.environ | env,
                          timeout=120)


@pytest.mark.parametrize(("pattern", "listed"),
                         [("torchvision/resnet18", "torchvision/resnet18"),
                          ("timm/mnasnet_s*", "timm/mnasnet_small")])
def test_other_libraries_names_are_listed(pattern, listed, capsys):
    """case C8"""
    assert cli.main(["list", pattern]) == 0
    assert capsys.readouterr().out.split() == [listed]
    assert cli.main(["list", pattern, "--json"]) == 0


@pytest.mark.parametrize(("words", "code", "said"), [
    (["list", "hf-hub:x"], 2, "only timm/ and torchvision/ can be listed"),
    (["list", "timm/*", "--here"], 2, "leave them out"),
    (["list", "xception"], 1, "now called legacy_xception"),
    (["predict", "http://a.invalid/b.jpg"], 2, "download the photo first"),
    (["compare", "https://a.invalid/b.jpg"], 2, "download"),
    (["predict", ""], 2, "photo's name is empty"),
    (["predict", "a.jpg", "--model", ""], 2, "model's name is empty"),
    (["evaluate", "", "flowers5"], 1, "model's name is empty"), (["predict", "a\0b.jpg"], 2, "NUL character"),
    (["show", ""], 1, "Unknown model"),
    (["predict", "a.jpg", "--model", "torchvision/nope"], 2, "torchvision has no classifier"),
    (["evaluate", "torchvision/nope", "flowers5"], 1, "torchvision has no classifier"),
    (["finetune", "torchvision/nope", "flowers5", "--run-dir", "never"], 1, "torchvision has no classifier"),
])
def test_what_can_not_be_is_a_sentence(words, code, said, capsys, tmp_path, monkeypatch):
    """case C8: a door in every command that takes a model, and the sentence where it leads nowhere."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == code
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error and error.startswith("vision-explorer: ")


@pytest.mark.parametrize("suffix", [">&-", ">&- 2>&-", "| head -1"])
def test_a_stream_that_nobody_reads_ends_it_quietly(suffix):
    """case C8: `list >&-` was a traceback."""
    done = run_cli("list", "resnet*", suffix=suffix)
    assert done.returncode == 0 and done.stderr == ""


def test_a_terminal_that_knows_ascii_only_gets_all_words(tmp_path):
    done = run_cli("show", "resnet50", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is always full is Linux's")
def test_output_to_a_full_disk_is_a_sentence():
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "explorer", "list"], stdout=full, stderr=subprocess.PIPE,
                              text=True)
    assert done.returncode == 2 and "disk is full" in done.stderr and "Errno" not in done.stderr
    assert done.stderr.count("\n") == 1


# --- live ---------------------------------------------------------------------------------------------------


def test_a_live_page_is_written_as_it_was_asked_for(tmp_path, monkeypatch, capsys):
    asked = []

    def live_page(model, path, **more):
        asked.append((model, more))
        path.write_bytes(bytes(2_000_000))
        return path

    monkeypatch.setattr("explorer.inspection.live.page.live_page", live_page)
    page = tmp_path / "page.html"
    words = ["--maps", "layer1", "--precision", "float32", "--gpu"]
    assert cli.main(["live", "resnet18", str(page), *words]) == 0
    more = {"photos": None, "maps": ["layer1"], "precision": "float32", "runtime": None, "gpu": True}
    assert asked == [("resnet18", more)]
    assert capsys.readouterr().out == f"Wrote {page} (2 MB): open it in a browser.\n"


@pytest.mark.parametrize(("words", "sentence"), [
    (["resnet5O", "page.html"], "Unknown model 'resnet5O'. Did you mean"),
    (["resnet18", "page.pdf"], "expected a file that ends in .html"),
    (["resnet18", "page.html", "--photos", "https://example.org/cat.jpg"], "is an address on the web"),
    (["resnet18", "page.html", "--precision", "int8"], "invalid choice: 'int8'"),
])
def test_a_live_page_that_cant_be_written_is_one_sentence(words, sentence, capsys):
    assert cli.main(["live", *words]) == 2
    assert sentence in capsys.readouterr().err
