"""load_image: every source and every Pillow mode becomes the right RGB, every failure one sentence."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageFile

from explorer.data import ImageError, load_image

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def noise(width: int = 20, height: int = 12) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def png(pixels: np.ndarray, *extra: tuple[bytes, bytes], size: tuple[int, int] | None = None) -> bytes:
    """A 16-bit PNG, which Pillow cannot write in colour. pixels: [H, W, C]; size: another one to claim."""
    height, width, channels = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", *(size or (width, height)), 16, colour_type, 0, 0, 0)
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def pixel(source, position=(0, 0), **options) -> tuple[int, int, int]:
    return load_image(source, **options).getpixel(position)


def assert_same(image: Image.Image, expected: Image.Image) -> None:
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


def sentence(source, **options) -> str:
    """The message of the ImageError; it must be one printable line that ends as a sentence does."""
    with pytest.raises(ImageError) as caught:
        load_image(source, **options)
    message = str(caught.value)
    assert message.endswith(".") and message.isprintable(), message
    assert len(message) < 300
    return message


# --- Sources ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, lambda path: path, lambda path: path.read_bytes(),
                                  lambda path: bytearray(path.read_bytes()),
                                  lambda path: memoryview(path.read_bytes())],
                         ids=["str", "Path", "bytes", "bytearray", "memoryview"])
def test_a_file_gives_the_same_photo_however_it_is_handed_over(tmp_path, kind):
    path = tmp_path / "photo.png"
    noise().save(path)
    assert_same(load_image(kind(path)), noise())


def test_an_open_file_is_read_from_its_start_and_left_where_it_was(tmp_path):
    stream = io.BytesIO(encoded(noise(), "PNG"))
    stream.seek(7)
    assert_same(load_image(stream), noise())
    assert stream.tell() == 7 and not stream.closed


def test_a_stream_that_cannot_seek_is_read():
    class Socket:
        def __init__(self, data):
            self.data = io.BytesIO(data)

        def read(self, size=-1):
            return self.data.read(size)

    assert_same(load_image(Socket(encoded(noise(), "PNG"))), noise())


def test_a_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    noise().save(tmp_path / "photo.png")
    assert_same(load_image("~/photo.png"), noise())


def test_the_photo_outlives_its_file(tmp_path):
    path = tmp_path / "photo.png"
    noise().save(path)
    image = load_image(path)
    path.unlink()
    assert_same(image, noise())


def test_changing_the_photo_leaves_a_pil_image_alone():
    source = noise()
    load_image(source).paste("white", (0, 0, 20, 12))
    assert_same(source, noise())


def test_changing_the_photo_leaves_an_array_alone():
    source = np.zeros((4, 4, 3), np.uint8)
    load_image(source).paste("white", (0, 0, 4, 4))
    assert source.max() == 0


def test_changing_the_array_leaves_the_photo_alone():
    source = np.zeros((4, 4, 3), np.uint8)
    image = load_image(source)
    source[:] = 255
    assert image.getpixel((0, 0)) == (0, 0, 0)


def test_changing_the_photo_leaves_a_tensor_alone():
    source = torch.zeros(3, 4, 4, dtype=torch.uint8)
    load_image(source).paste("white", (0, 0, 4, 4))
    assert source.max() == 0


def test_an_array_without_channels_last_in_memory_is_read_right():
    source = np.asarray(noise()).transpose(1, 0, 2)  # a view with strides
    assert_same(load_image(source), noise().transpose(Image.Transpose.TRANSPOSE))


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1), (2, 3, 3)])
@pytest.mark.parametrize("value, grey", [
    (np.uint8(200), 200), (np.uint16(200 * 257), 200), (np.bool_(True), 255), (np.float32(200 / 255), 200),
    (np.float64(0.5), 128), (np.float16(1), 255),
], ids=lambda value: type(value).__name__)
def test_arrays_of_each_type_and_shape_are_read(shape, value, grey):
    image = load_image(np.full(shape, value))
    assert image.mode == "RGB" and image.size == (3, 2)
    assert image.getpixel((2, 1)) == (grey, grey, grey)


def test_the_fourth_channel_of_an_array_is_transparency_over_white():
    assert pixel(np.full((2, 2, 4), (255, 0, 0, 51), np.uint8)) == pytest.approx((255, 204, 204), abs=1)


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3), (3, 2, 3), (1, 3, 2, 3), (1, 1, 2, 3)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16, torch.bfloat16, torch.bool])
def test_tensors_of_each_type_and_shape_are_read(shape, dtype):
    image = load_image(torch.ones(shape, dtype=dtype))
    assert image.mode == "RGB" and image.size == (3, 2)
    assert image.getpixel((2, 1)) == ((1, 1, 1) if dtype == torch.uint8 else WHITE)


def test_the_channels_of_a_tensor_become_red_green_and_blue():
    tensor = torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1)
    assert pixel(tensor) == (10, 20, 30)


def test_a_tensor_that_wants_gradients_is_read():
    assert pixel(torch.ones(3, 2, 2, requires_grad=True)) == WHITE


# --- Turning ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(format, orientation):
    # What a camera held in another way stores: the upright picture, turned.
    turns = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE",
             6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}
    upright = Image.new("RGB", (64, 32))
    upright.paste("red", (0, 0, 32, 16))
    upright.paste("lime", (32, 16, 64, 32))
    stored = upright.transpose(Image.Transpose[turns[orientation]]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = load_image(encoded(stored, format, exif=exif))
    assert image.size == (64, 32)
    for position in ((8, 8), (40, 8), (8, 24), (56, 24)):
        assert image.getpixel(position) == pytest.approx(upright.getpixel(position), abs=6)


def test_a_photo_is_not_turned_a_second_time():
    exif = Image.Exif()
    exif[0x0112] = 6
    once = load_image(encoded(noise(), "JPEG", exif=exif))
    assert_same(load_image(once), once)


def test_a_damaged_exif_block_does_not_spoil_the_photo():
    assert load_image(encoded(noise(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")).size == (20, 12)


def test_the_result_carries_no_metadata():
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    image = load_image(encoded(noise(), "JPEG", exif=exif, comment=b"and when"))
    assert image.info == {} and not dict(image.getexif())


# --- Modes -----------------------------------------------------------------------------------------


def lab(colour: tuple[int, int, int]) -> Image.Image:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.applyTransform(Image.new("RGB", (2, 2), colour),
                                   ImageCms.buildTransform(*profiles, "RGB", "LAB"))


@pytest.mark.parametrize("image, expected", [
    (Image.new("1", (2, 2), 1), WHITE),
    (Image.new("L", (2, 2), 77), (77, 77, 77)),
    (Image.new("LA", (2, 2), (0, 51)), (204, 204, 204)),
    (Image.new("La", (2, 2), (0, 51)), (204, 204, 204)),
    (Image.new("RGB", (2, 2), (1, 2, 3)), (1, 2, 3)),
    (Image.new("RGBA", (2, 2), (255, 0, 0, 51)), (255, 204, 204)),
    (Image.new("RGBA", (2, 2), (9, 9, 9, 0)), WHITE),
    (Image.new("RGBa", (2, 2), (51, 0, 0, 51)), (255, 204, 204)),
    (Image.new("RGBX", (2, 2), (1, 2, 3, 0)), (1, 2, 3)),
    (Image.new("CMYK", (2, 2), (0, 255, 255, 0)), RED),
    (Image.new("YCbCr", (2, 2), (76, 85, 255)), RED),
    (Image.new("HSV", (2, 2), (0, 255, 255)), RED),
    (lab((200, 30, 60)), (200, 30, 60)),
    (Image.new("I", (2, 2), 200), (200, 200, 200)),
    (Image.new("I", (2, 2), 200 * 257), (200, 200, 200)),
    (Image.new("I;16", (2, 2), 200 * 257), (200, 200, 200)),
    (Image.new("I;16L", (2, 2), 200 * 257), (200, 200, 200)),
    (Image.new("I;16B", (2, 2), 200 * 257), (200, 200, 200)),
    (Image.new("I;16N", (2, 2), 200 * 257), (200, 200, 200)),
    (Image.new("F", (2, 2), 0.2), (51, 51, 51)),
    (Image.new("F", (2, 2), 200), (200, 200, 200)),
], ids=lambda value: value.mode if isinstance(value, Image.Image) else "")
def test_each_mode_becomes_the_colour_it_means(image, expected):
    result = load_image(image)
    assert result.mode == "RGB"
    assert result.getpixel((1, 1)) == pytest.approx(expected, abs=3)  # LAB and YCbCr are stored rounded


def test_the_mode_of_the_source_image_stays():
    image = Image.new("RGBA", (2, 2), (255, 0, 0, 51))
    load_image(image)
    assert image.mode == "RGBA" and image.getpixel((0, 0)) == (255, 0, 0, 51)


@pytest.mark.parametrize("mode, values, expected", [
    ("I", [-100, 0, 100], [0, 128, 255]),
    ("I", [0, 100_000, 200_000], [0, 128, 255]),
    ("F", [-1.0, 0.0, 1.0], [0, 128, 255]),
    ("F", [0.0, 500.0, 1000.0], [0, 128, 255]),
    ("I", [100_000] * 3, [0, 0, 0]),
])
def test_deep_values_outside_the_usual_ranges_run_from_darkest_to_brightest(mode, values, expected):
    image = Image.new(mode, (3, 1))
    for x, value in enumerate(values):
        image.putpixel((x, 0), value)
    result = load_image(image)
    assert [result.getpixel((x, 0))[0] for x in range(3)] == expected


def palette_image() -> Image.Image:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    return image


def test_a_palette_gives_its_colours():
    assert pixel(encoded(palette_image(), "PNG")) == RED


def test_a_transparent_palette_index_becomes_white():
    data = encoded(palette_image(), "GIF", transparency=1)
    assert (pixel(data), pixel(data, (1, 0))) == (RED, WHITE)


def test_transparency_for_each_palette_entry_is_laid_over_white():
    data = encoded(palette_image(), "PNG", transparency=bytes([51, 255]))
    assert pixel(data) == pytest.approx((255, 204, 204), abs=1)
    assert pixel(data, (1, 0)) == (0, 0, 255)


def test_a_palette_with_alpha_is_laid_over_white():
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 255, 0))
    image = image.quantize(4).convert("PA")
    assert image.mode == "PA"
    assert (pixel(image), pixel(image, (1, 0))) == (RED, WHITE)


@pytest.mark.parametrize("image, colour", [(Image.new("RGB", (2, 2), (1, 2, 3)), (1, 2, 3)),
                                           (Image.new("L", (2, 2), 9), 9)], ids=["RGB", "L"])
def test_a_transparent_colour_becomes_white(image, colour):
    assert pixel(encoded(image, "PNG", transparency=colour)) == WHITE


def test_16_bit_grey_png_is_scaled_not_clipped():
    pixels = np.array([[0, 256, 32768, 65535]], np.uint16)[:, :, None]
    result = load_image(png(pixels))
    assert [result.getpixel((x, 0))[0] for x in range(4)] == [0, 1, 128, 255]


def test_a_dark_16_bit_grey_png_stays_dark():
    assert pixel(png(np.full((2, 2, 1), 200, np.uint16))) == (1, 1, 1)


def test_a_dark_16_bit_pgm_stays_dark():
    assert pixel(b"P5 1 1 65535\n" + struct.pack(">H", 200)) == (1, 1, 1)


def test_a_transparent_16_bit_grey_becomes_white():
    pixels = np.array([[5000, 30000]], np.uint16)[:, :, None]
    data = png(pixels, (b"tRNS", struct.pack(">H", 5000)))
    assert (pixel(data), pixel(data, (1, 0))) == (WHITE, (117, 117, 117))


def test_16_bit_colour_png_is_scaled():
    data = png(np.full((2, 2, 3), (65535, 32768, 257), np.uint16))
    assert pixel(data) == pytest.approx((255, 128, 1), abs=1)


def test_16_bit_png_with_transparency_is_laid_over_white():
    data = png(np.full((2, 2, 4), (65535, 0, 0, 13107), np.uint16))
    assert pixel(data) == pytest.approx((255, 204, 204), abs=1)


def test_16_bit_tiff_is_scaled():
    assert pixel(encoded(Image.new("I;16", (2, 2), 200 * 257), "TIFF")) == (200, 200, 200)


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_files_have_their_colours_not_the_negative(format):
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), format)
    assert pixel(data, (8, 8)) == pytest.approx(RED, abs=4)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation_is_taken(format):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert pixel(data) == RED


@pytest.mark.parametrize("format", ["PNG", "BMP", "GIF", "TIFF", "PPM", "TGA", "PCX", "SGI", "QOI", "JPEG",
                                    "WEBP", "AVIF", "JPEG2000", "ICO", "MPO"])
def test_each_raster_format_is_opened(format):
    Image.init()
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow was built without {format}")
    assert pixel(encoded(Image.new("RGB", (16, 16), "red"), format), (8, 8)) == pytest.approx(RED, abs=8)


# --- Failures --------------------------------------------------------------------------------------


def test_a_missing_file_is_named_with_the_nearest_one(tmp_path):
    noise().save(tmp_path / "chelsea.png")
    message = sentence(tmp_path / "chelsae.png")
    assert "no file" in message and "did you mean 'chelsea.png'" in message


def test_a_missing_folder_is_no_other_error(tmp_path):
    assert "no file" in sentence(tmp_path / "nowhere" / "photo.png")


def test_a_folder_is_called_a_folder(tmp_path):
    assert "folder" in sentence(tmp_path)


def test_a_very_long_name_is_shortened(tmp_path):
    assert "..." in sentence("x" * 5000)


def test_control_characters_of_a_name_never_reach_the_message(tmp_path):
    assert r"\x1b[2J" in sentence("evil\x1b[2J\n\u202egnp.exe")


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_cannot_be_a_name_is_refused(name):
    assert "not a file name" in sentence(name)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no devices on this system")
def test_a_device_is_not_read():
    assert "device" in sentence("/dev/zero")


@pytest.mark.parametrize("url", ["https://example.org/cat.jpg", "HTTP://x", "s3://b/c", "data:image/png,"])
def test_a_web_address_is_to_be_downloaded_first(url):
    assert "download the picture first" in sentence(url)


@pytest.mark.parametrize("data, clue", [
    (b"", "no content"),
    (b"These are my holidays.\n" * 50, "text file"),
    ("Größe und Maß\n".encode() * 60, "text file"),
    (b'<?xml version="1.0"?>\n<svg xmlns="x"></svg>', "SVG"),
    (b"<!DOCTYPE html><html></html>", "web page"),
    (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40), "HEIC"),
    (b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(40), "film"),
    (b"8BPS\0\1" + bytes(40), "Photoshop"),
    (b"\x93NUMPY\1\0" + bytes(40), "numpy"),
    (b"PK\x03\x04" + bytes(40), "archive"),
    (bytes(range(256)), "picture program"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_file_that_is_no_picture_is_recognised(data, clue):
    assert clue in sentence(data)


def test_the_name_of_a_file_that_is_no_picture_is_in_the_message(tmp_path):
    (tmp_path / "notes.jpg").write_text("milk, eggs")
    assert "notes.jpg" in sentence(tmp_path / "notes.jpg")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "TGA", "QOI"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_file_that_was_cut_off_is_refused(format, share):
    data = encoded(noise(80, 60), format)
    sentence(data[: int(len(data) * share)])


def test_a_header_that_lies_about_the_size_is_found_out():
    assert "broken or cut off" in sentence(png(np.zeros((2, 2, 3), np.uint16), size=(300, 300)))


def test_a_bomb_is_refused_from_its_header_before_anything_is_decoded(monkeypatch):
    def decode(*_):
        raise AssertionError("the picture was decoded")

    data = png(np.zeros((2, 2, 3), np.uint16), size=(12_000, 10_000))
    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    with pytest.warns(Image.DecompressionBombWarning):  # Pillow's own, beside our refusal
        assert "12000 x 10000" in sentence(data)


def test_a_bomb_beyond_pillows_own_limit_is_refused():
    assert "more pixels" in sentence(png(np.zeros((2, 2, 3), np.uint16), size=(100_000, 100_000)))


@pytest.mark.parametrize("source", [encoded(noise(), "PNG"), noise(), np.asarray(noise()),
                                    torch.zeros(3, 12, 20)], ids=["file", "PIL", "array", "tensor"])
def test_the_limit_of_pixels_is_the_callers(source):
    assert "20 x 12" in sentence(source, max_pixels=239)
    assert load_image(source, max_pixels=240).size == (20, 12)


def test_an_image_whose_file_was_closed_is_refused(tmp_path):
    noise().save(tmp_path / "photo.png")
    with Image.open(tmp_path / "photo.png") as image:
        pass
    sentence(image)


def test_a_file_in_text_mode_is_refused(tmp_path):
    (tmp_path / "photo.png").write_bytes(encoded(noise(), "PNG"))
    with open(tmp_path / "photo.png", encoding="latin-1") as file:
        assert "'rb'" in sentence(file)


def test_a_closed_file_is_refused():
    file = io.BytesIO(encoded(noise(), "PNG"))
    file.close()
    assert "closed" in sentence(file)


@pytest.mark.parametrize("array, clue", [
    (np.full((2, 2), np.nan), "NaN"),
    (np.full((2, 2), np.inf), "NaN or infinite"),
    (np.full((2, 2, 3), 200.0), "divide by 255"),
    (np.full((2, 2, 3), -2.0), "undo the normalisation"),
    (np.zeros((2, 2, 3), np.int64), "int64"),
    (np.zeros((2, 2, 3), object), "object"),
    (np.zeros((2, 2, 3), complex), "complex"),
    (np.zeros((3, 8, 8), np.uint8), "transpose(1, 2, 0)"),
    (np.zeros((5, 8, 8, 3), np.uint8), "array[0]"),
    (np.zeros(8, np.uint8), "[8]"),
    (np.zeros((8, 8, 2), np.int32), "known range"),
    (np.zeros((0, 8, 3), np.uint8), "empty"),
    (torch.full((3, 2, 2), float("nan")), "NaN"),
    (torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0)), "undo the normalisation"),
    (torch.zeros(8, 8, 3), "permute(2, 0, 1)"),
    (torch.zeros(2, 3, 8, 8), "tensor[0]"),
    (torch.zeros(8), "[8]"),
    (torch.zeros(3, 8, 8, dtype=torch.int64), "int64"),
    (torch.zeros(3, 0, 8), "empty"),
    (torch.zeros(3, 8, 8, device="meta"), "Tensor"),
], ids=lambda value: value if isinstance(value, str) else type(value).__name__)
def test_an_array_that_is_no_picture_is_refused_with_the_remedy(array, clue):
    assert clue in sentence(array)


def test_nan_in_a_float_picture_is_refused():
    assert "NaN" in sentence(Image.new("F", (2, 2), float("nan")))


def test_an_empty_picture_is_refused():
    assert "empty" in sentence(Image.new("RGB", (0, 3)))


@pytest.mark.parametrize("source", [None, 7, [1, 2], {"content": b""}, object()])
def test_anything_else_is_refused_with_what_is_possible(source):
    assert "give a path" in sentence(source)


def test_an_image_error_is_a_value_error():
    assert issubclass(ImageError, ValueError)


@pytest.mark.parametrize("seed", range(60))
def test_random_damage_gives_a_photo_or_an_image_error_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    format = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")[seed % 6]
    data = bytearray(encoded(noise(), format))
    for position in rng.integers(0, len(data), 8):
        data[position] = rng.integers(256)
    try:
        assert load_image(bytes(data), max_pixels=100_000).mode == "RGB"
    except ImageError as error:
        assert str(error).endswith(".")


# --- Manners ---------------------------------------------------------------------------------------


def test_no_setting_of_pillow_is_changed():
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    load_image(encoded(noise(), "PNG"), max_pixels=10**9)
    sentence(encoded(noise(), "PNG")[:100])
    after = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    assert after == before


def test_a_plain_photo_needs_neither_torch_nor_numpy(tmp_path):
    noise().save(tmp_path / "photo.jpg")
    code = ("import sys; from explorer.data import load_image; load_image(sys.argv[1]); "
            "print({'torch', 'numpy'} & set(sys.modules))")
    command = [sys.executable, "-c", code, str(tmp_path / "photo.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
