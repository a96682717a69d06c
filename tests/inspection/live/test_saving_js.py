"""What the live page takes home: its saved block, and a .zip of class folders, in JavaScript."""

from __future__ import annotations

import base64
import io
import zipfile

import pytest

from tests.inspection.live.page_scripts import run_script

SCRIPTS = ["learning.js", "saving.js"]
HOSTILE = ["</script><img src=x onerror=alert(1)>", "<!-- a", "\"quotes\" & 'more'", "\u2028é😀",
           "\ud800 alone"]


def test_what_was_learnt_comes_back_from_its_block_whatever_a_class_is_called(tmp_path):
    body = """
        const photo = { name: "a<b", burst: 3, greys: Uint8Array.of(1, 2), thumb: Uint8Array.of(8),
                        jpeg: new Uint8Array(70000).fill(9),
                        embeddings: { 0: Float32Array.of(0.1, -1e-30, 3e8) } };
        const head = { labels: given, weights: [Float32Array.of(1, 2)], model: 0,
                       bias: Float32Array.of(-0.5), said: "x", table: [[1]] };
        const classes = given.map((name) => ({ name, photos: [photo] }));
        const text = blockText(packLesson({ classes, head }));
        const back = unpackLesson(JSON.parse(text)), one = back.classes[0].photos[0];
        const exact = [...one.embeddings[0]].every((value, k) => value === photo.embeddings[0][k]);
        return { open: text.includes("<"), names: back.classes.map(({ name }) => name),
                 labels: back.head.labels, bytes: one.jpeg.length, greys: [...one.greys],
                 exact, bias: [...back.head.bias], burst: one.burst };
    """
    found = run_script(SCRIPTS, body, tmp_path, HOSTILE)
    assert found["open"] is False and found["names"] == HOSTILE == found["labels"]
    assert found["exact"] and found["bytes"] == 70000 and found["greys"] == [1, 2] and found["burst"] == 3
    assert found["bias"] == [-0.5]


def test_a_form_that_it_does_not_know_is_refused_with_a_sentence(tmp_path):
    body = "try { unpackLesson({ format: 99 }); } catch (error) { return error.message; }"
    assert run_script(SCRIPTS, body, tmp_path) == "This page holds classes in a form that it can’t read."


def test_a_copy_changes_the_learnt_block_and_nothing_else(tmp_path):
    body = """
        const shell = { blocks: ["vx-model-0", "vx-learnt", "vx-facts"],
                        pieces: ["<a>", "<b>", "<c>", "<d>"] };
        return copyOf(shell, (id) => `[${id}]`, { classes: ["</script>"] }).join("");
    """
    expected = '<a>[vx-model-0]<b>{"classes":["\\u003c/script>"]}<c>[vx-facts]<d>'
    assert run_script(SCRIPTS, body, tmp_path) == expected


def test_python_reads_the_zip_and_the_page_reads_python_s(tmp_path):
    with zipfile.ZipFile(tmp_path / "theirs.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("my_classes/cup/burst-7-1.jpg", b"x" * 5000)
        packed.writestr("my_classes/größe/a.PNG", b"stored", zipfile.ZIP_STORED)
        packed.writestr("__MACOSX/cup/._burst-7-1.jpg", b"no")
        packed.writestr("readme.txt", b"no")
    body = """
        const jpeg = (seed) => Uint8Array.from({ length: 3000 }, (_, k) => (k * seed) % 256);
        const photos = [[1, 1], [1, 3], [2, 5]].map(([burst, seed]) => ({ burst, jpeg: jpeg(seed) }));
        const classes = [{ name: "cup/..", photos }, { name: "größe 😀", photos: photos.slice(2) }];
        const parts = zipOf(folderFiles(classes));
        writeFileSync("ours.zip", Buffer.concat(parts.map((part) => Buffer.from(part))));
        const read = async (name) => (await filesOfZip(new Uint8Array(readFileSync(name))));
        const theirs = classesOfFiles(await read("theirs.zip")), own = classesOfFiles(await read("ours.zip"));
        const each = ({ file, burst }) => [file.bytes.length, burst];
        const said = (found) => [...found].map(([name, all]) => [name, all.map(each)]);
        const broken = await filesOfZip(new Uint8Array(99)).catch((error) => error.message);
        const cut = new Uint8Array(readFileSync("theirs.zip"));
        cut.fill(255, 30, 60);
        const torn = await filesOfZip(cut).catch((error) => error.message);
        return { theirs: said(theirs), own: said(own), broken, cut: torn };
    """
    found = run_script(SCRIPTS, body, tmp_path)
    with zipfile.ZipFile(tmp_path / "ours.zip") as ours:
        assert ours.testzip() is None
        assert ours.namelist() == ["cup_/burst-1-1.jpg", "cup_/burst-1-2.jpg", "cup_/photo-3.jpg",
                                   "größe 😀/photo-1.jpg"]
        assert ours.read("cup_/burst-1-2.jpg") == bytes(k * 3 % 256 for k in range(3000))
    assert found["theirs"] == [["cup", [[5000, "7"]]], ["größe", [[6, None]]]]
    assert found["own"] == [["cup_", [[3000, "1"], [3000, "1"], [3000, None]]], ["größe 😀", [[3000, None]]]]
    assert found["broken"] == "This file is no .zip, or it is cut off." and "can’t be read" in found["cut"]


@pytest.mark.parametrize(("name", "taken", "expected"), [
    ("cup", [], "cup"), ("Cup", ["cup"], "Cup 2"), ("a/b\\c:d", [], "a_b_c_d"), ("..", [], "class"),
    ("con", [], "class con"),
    ("train", [], "class train"), ("../../etc", [], "etc"), (" x. ", [], "x"), ("", ["class"], "class 2"),
    ("<img src=x>", [], "img src=x_"), ("y" * 90, [], "y" * 60), ("\ud800a\x00", [], "a_")])
def test_a_class_s_folder_is_a_safe_name_on_every_system(tmp_path, name, taken, expected):
    assert run_script(SCRIPTS, "return folderName(given[0], given[1]);", tmp_path, [name, taken]) == expected


def test_the_folders_are_those_that_finetune_takes(tmp_path):
    from PIL import Image

    from explorer.data.collection import describe

    picture = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(picture, "JPEG")
    body = """
        const bytes = bytesOfText(given), photos = [1, 1, 2].map((burst) => ({ burst, jpeg: bytes }));
        const parts = zipOf(folderFiles([{ name: "cup", photos }, { name: "hand", photos }]));
        writeFileSync("ours.zip", Buffer.concat(parts.map((part) => Buffer.from(part))));
    """
    run_script(SCRIPTS, body + "return 0;", tmp_path, base64.b64encode(picture.getvalue()).decode())
    with zipfile.ZipFile(tmp_path / "ours.zip") as ours:
        ours.extractall(tmp_path / "my_classes")
    described = describe(tmp_path / "my_classes")
    assert described.problem == "" and list(described.counts) == ["cup", "hand"]
