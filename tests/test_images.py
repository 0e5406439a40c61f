"""Reading any picture safely, writing exact ones, and MATLAB's bicubic scaling to the last bit."""

from __future__ import annotations

import contextlib
import io
import math
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, features
from PIL.PngImagePlugin import PngInfo

from srflow.contract import DatasetError, ImageError, ImageTooLargeError, InputError
from srflow.images import (
    bicubic_downscale,
    bicubic_upscale,
    crop_to_multiple,
    downscale_uint8,
    to_tensor,
    to_uint8,
    to_uint8_batch,
    to_uint16,
    upscale_uint8,
)
from srflow.pictures import list_images, load_image, read_png_text, save_png


def random_picture(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def smooth_picture(height: int = 24, width: int = 32) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (height + width)], axis=-1).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# -- loading: formats --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("PPM", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG2000", {}, 0),
        ("JPEG", {"quality": 95, "subsampling": 0}, 12),
        ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}, 12),
        ("MPO", {"quality": 95, "subsampling": 0}, 12),
        ("AVIF", {"quality": 95, "subsampling": "4:4:4"}, 12),
        ("GIF", {}, 40),
    ],
)
def test_formats(kind, options, tolerance, tmp_path):
    needed = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}.get(kind)
    if needed and not features.check(needed):
        pytest.skip(f"this Pillow was built without {needed}")
    picture = smooth_picture()
    content = encoded(picture, kind, **options)
    path = tmp_path / "name.wrong"  # the content tells the format
    path.write_bytes(content)
    for source in (content, path, str(path), io.BytesIO(content), bytearray(content)):
        loaded = load_image(source)
        assert loaded.dtype == np.uint8
        assert loaded.shape == picture.shape
        assert np.abs(loaded.astype(int) - picture).max() <= tolerance
        loaded[0, 0] = 0  # the caller's own


def test_an_open_file_is_read_and_left_open(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(smooth_picture()))
    with (tmp_path / "a.png").open("rb") as file:
        assert np.array_equal(load_image(file), smooth_picture())
        assert not file.closed


@pytest.mark.parametrize("kind", ["EPS", "PDF", "TGA", "ICO"])
def test_other_formats_are_refused(kind):
    with pytest.raises(ImageError, match=r"of a readable kind \(PNG, JPEG"):
        load_image(encoded(smooth_picture(), kind))


def test_first_frame_of_an_animation():
    frames = [np.full((6, 7, 3), value, dtype=np.uint8) for value in (10, 200, 90)]
    more = [Image.fromarray(frame) for frame in frames[1:]]
    for kind, options in (("GIF", {}), ("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        if kind == "WEBP" and not features.check("webp"):
            continue
        content = encoded(frames[0], kind, save_all=True, append_images=more, **options)
        assert np.array_equal(load_image(content), frames[0])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(kind, orientation):
    if kind == "WEBP" and not features.check("webp"):
        pytest.skip("this Pillow was built without webp")
    # One bright quarter of a dark picture; `upright` says where it belongs once turned.
    stored = np.zeros((16, 32), dtype=np.uint8)
    stored[:8, :16] = 255
    turned = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.T,
        6: stored.T[:, ::-1],
        7: stored.T[::-1, ::-1],
        8: stored.T[::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load_image(encoded(np.stack([stored] * 3, axis=-1), kind, exif=exif))
    assert loaded.shape == (*turned.shape, 3)
    assert np.abs(loaded[..., 0].astype(int) - turned).max() < 30


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_is_ignored():
    for exif in (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02"):
        content = encoded(smooth_picture(), "JPEG", quality=95, subsampling=0, exif=exif)
        assert np.abs(load_image(content).astype(int) - smooth_picture()).max() < 12


# -- loading: colours --------------------------------------------------------------------------------------------------


def test_grey_and_bilevel():
    grey = random_picture(5, 6)
    assert np.array_equal(load_image(encoded(grey)), np.stack([grey] * 3, axis=-1))
    bits = grey > 127
    assert np.array_equal(load_image(encoded(Image.fromarray(bits))), np.stack([bits] * 3, axis=-1) * np.uint8(255))


def test_palette():
    image = Image.fromarray(random_picture(5, 6) % 4)
    palette = random_picture(4, 3, seed=1)
    image.putpalette(palette.ravel().tolist())
    for kind in ("PNG", "GIF", "BMP"):
        assert np.array_equal(load_image(encoded(image, kind)), palette[np.asarray(image)])


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    weight = alpha[..., None] / 255.0
    return colour * weight + 255.0 * (1.0 - weight)


def test_transparent_parts_are_laid_on_white():
    rgba = random_picture(9, 8, 4)
    rgba[0, :, 3], rgba[1, :, 3] = 0, 255
    loaded = load_image(encoded(rgba))
    assert np.abs(loaded - on_white(rgba[..., :3], rgba[..., 3])).max() <= 1.0
    assert (loaded[0] == 255).all()
    assert np.array_equal(loaded[1], rgba[1, :, :3])

    la = random_picture(9, 8, 2)
    loaded = load_image(encoded(Image.fromarray(la, "LA")))
    assert np.abs(loaded - on_white(np.stack([la[..., 0]] * 3, axis=-1), la[..., 1])).max() <= 1.0


def test_transparency_by_colour():
    palette_image = Image.fromarray(np.array([[0, 1], [2, 0]], dtype=np.uint8))
    palette_image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    expected = np.array([[[255] * 3, [40, 50, 60]], [[70, 80, 90], [255] * 3]])
    assert np.array_equal(load_image(encoded(palette_image, transparency=0)), expected)
    assert np.array_equal(load_image(encoded(palette_image, "GIF", transparency=0)), expected)
    partly = load_image(encoded(palette_image, transparency=bytes([255, 0, 128])))
    assert np.abs(partly - np.array([[[10, 20, 30], [255] * 3], [[162, 167, 172], [10, 20, 30]]])).max() <= 1

    colour = np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8)
    expected = [[[255, 255, 255], [4, 5, 6]]]
    assert np.array_equal(load_image(encoded(colour, transparency=(1, 2, 3))), expected)
    assert load_image(encoded(np.array([[7, 9]], dtype=np.uint8), transparency=9))[0, :, 0].tolist() == [7, 255]


def test_sixteen_bit_grey_is_scaled_and_rounded():
    values = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16)
    expected = [0, 0, 1, 1, 128, 255]
    big_endian_tiff = encoded(Image.frombytes("I;16B", (6, 1), values.astype(">u2").tobytes()), "TIFF")
    for content in (
        encoded(values),
        encoded(values, "TIFF"),
        big_endian_tiff,
        encoded(values.astype(np.int32), "TIFF"),
        b"P5 6 1 65535\n" + values.astype(">u2").tobytes(),
    ):
        assert load_image(content)[0, :, 0].tolist() == expected


def test_floats_are_from_zero_to_one():
    values = np.array([[0.0, 0.25, 1.0]], dtype=np.float32)
    assert load_image(encoded(values, "TIFF"))[0, :, 0].tolist() == [0, 64, 255]
    for bad in (1.5, -0.5, math.nan):
        with pytest.raises(ImageError, match="from 0 to 1"):
            load_image(encoded(np.array([[0.0, bad]], dtype=np.float32), "TIFF"))
    with pytest.raises(ImageError, match="16 bits"):
        load_image(encoded(np.array([[0, 70000]], dtype=np.int32), "TIFF"))


def test_cmyk_and_ycbcr():
    cmyk = np.zeros((8, 8, 4), dtype=np.uint8)
    cmyk[:, 4:, 0] = 255  # paper and cyan
    for kind, options in (("TIFF", {}), ("JPEG", {"quality": 95})):
        loaded = load_image(encoded(Image.fromarray(cmyk, "CMYK"), kind, **options)).astype(int)
        assert np.abs(loaded[:, :3] - 255).max() < 6
        assert np.abs(loaded[:, 5:] - [0, 255, 255]).max() < 6
    ycbcr = Image.fromarray(smooth_picture()).convert("YCbCr")
    loaded = load_image(encoded(ycbcr, "TIFF", compression="tiff_lzw")).astype(int)
    assert np.abs(loaded - smooth_picture()).max() < 4


def test_lab():
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.fromarray(smooth_picture()), srgb, lab, outputMode="LAB")
    assert np.abs(load_image(encoded(image, "TIFF")).astype(int) - smooth_picture()).mean() < 3


# -- loading: profiles -------------------------------------------------------------------------------------------------


def icc_profile(primaries: dict[bytes, tuple[float, float, float]], gamma: float, name: bytes = b"Test") -> bytes:
    """A minimal profile of matrix and gamma: primaries as XYZ under D50; without primaries, of grey pictures."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    white = (0.9642, 1.0, 0.8249)
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(79),
        b"wtpt": b"XYZ " + bytes(4) + fixed(*white),
        **{tag: b"XYZ " + bytes(4) + fixed(*xyz) for tag, xyz in primaries.items()},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC") if primaries else (b"kTRC",), curve),
    }
    table, data = struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        table += tag + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    space = b"RGB " if primaries else b"GRAY"
    header = b"lcms" + bytes.fromhex("02100000") + b"mntr" + space + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    body = header + fixed(*white) + bytes(48) + table + data
    return struct.pack(">I", len(body) + 4) + body


SRGB_D50 = {b"rXYZ": (0.4361, 0.2225, 0.0139), b"gXYZ": (0.3851, 0.7169, 0.0971), b"bXYZ": (0.1431, 0.0606, 0.7141)}
SWAPPED = {b"rXYZ": SRGB_D50[b"gXYZ"], b"gXYZ": SRGB_D50[b"rXYZ"], b"bXYZ": SRGB_D50[b"bXYZ"]}


def srgb_curve(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_profiles_are_converted_to_srgb():
    picture = random_picture(8, 8, 3)
    linear = icc_profile(SRGB_D50, gamma=1.0)
    expected = srgb_curve(picture / 255.0) * 255.0
    for kind in ("PNG", "TIFF", "WEBP"):
        if kind == "WEBP" and not features.check("webp"):
            continue
        options = {"lossless": True} if kind == "WEBP" else {}
        loaded = load_image(encoded(picture, kind, icc_profile=linear, **options))
        assert np.abs(loaded - expected).max() <= 2.5

    swapped = load_image(encoded(picture, icc_profile=icc_profile(SWAPPED, gamma=1.0)))
    assert np.abs(swapped - expected[..., [1, 0, 2]]).max() <= 2.5


def test_profile_of_a_transparent_picture():
    rgba = random_picture(8, 8, 4)
    loaded = load_image(encoded(rgba, icc_profile=icc_profile(SRGB_D50, gamma=1.0)))
    expected = on_white(srgb_curve(rgba[..., :3] / 255.0) * 255.0, rgba[..., 3])
    assert np.abs(loaded - expected).max() <= 3.5


def test_profile_of_a_grey_picture():
    grey = random_picture(8, 8)
    loaded = load_image(encoded(grey, icc_profile=icc_profile({}, gamma=1.8)))
    assert np.abs(loaded[..., 0] - srgb_curve((grey / 255.0) ** 1.8) * 255.0).max() <= 2.5


def test_srgb_pictures_stay_as_they_are():
    picture = random_picture(32, 32, 3)
    builtin = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(load_image(encoded(picture, icc_profile=builtin)), picture)


@pytest.mark.parametrize("name", [b"sRGB IEC61966-2.1", b"Test"])
def test_a_profile_is_judged_by_what_it_does_and_not_by_its_name(name):
    picture = random_picture(32, 32, 3)
    loaded = load_image(encoded(picture, icc_profile=icc_profile(SRGB_D50, 1.0, name=name)))
    assert np.abs(loaded - srgb_curve(picture / 255.0) * 255.0).max() <= 2.5


@pytest.mark.parametrize(
    "profile", [b"nonsense", bytes(200), icc_profile(SRGB_D50, 1.0)[:100], icc_profile(SRGB_D50, 1.0)[:200]]
)
def test_broken_profiles_are_ignored(profile):
    picture = random_picture(8, 8, 3)
    assert np.array_equal(load_image(encoded(picture, icc_profile=profile)), picture)
    assert load_image(encoded(Image.fromarray(picture).convert("CMYK"), "TIFF", icc_profile=profile)).shape == (8, 8, 3)


def test_profile_of_another_kind_of_picture_is_ignored():
    grey = random_picture(8, 8)
    loaded = load_image(encoded(grey, icc_profile=icc_profile(SRGB_D50, 1.0)))
    assert np.array_equal(loaded[..., 0], grey)


# -- loading: what is refused ------------------------------------------------------------------------------------------


def huge_png(width: int, height: int) -> bytes:
    """A PNG that claims to be large and has nearly nothing in it."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8001, 9500, 50_000])
def test_decompression_bombs_are_refused_by_their_header(side):
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow's own limit is not to speak up
        with pytest.raises(
            ImageTooLargeError, match=rf"{side}x{side} is {side * side:,} pixels; the maximum is 64,000,000"
        ):
            load_image(huge_png(side, side))
        with pytest.raises(ImageTooLargeError):
            read_png_text(huge_png(side, side))
    assert limit == Image.MAX_IMAGE_PIXELS


def test_max_pixels_is_the_callers():
    content = encoded(smooth_picture(10, 20))
    assert load_image(content, max_pixels=200).shape == (10, 20, 3)
    with pytest.raises(ImageTooLargeError, match="20x10 is 200 pixels; the maximum is 199"):
        load_image(content, max_pixels=199)
    # Above Pillow's own limit as well: this one fails for what is missing in it, not for its size.
    with pytest.raises(ImageError, match="cut off") as caught:
        load_image(huge_png(20_000, 10_000), max_pixels=10**9)
    assert not isinstance(caught.value, ImageTooLargeError)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("share", [0.1, 0.6])
def test_truncated_files(kind, share, tmp_path):
    needed = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}.get(kind)
    if needed and not features.check(needed):
        pytest.skip(f"this Pillow was built without {needed}")
    content = encoded(random_picture(64, 64, 3), kind)
    path = tmp_path / "cut.png"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ImageError, match=r"^cut\.png: damaged or cut off"):
        load_image(path)


@pytest.mark.filterwarnings("ignore")  # Pillow speaks of some damages that it can read past
def test_flipped_bits_give_a_picture_or_a_named_error():
    rng = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "PPM"):
        content = encoded(random_picture(16, 16, 3), kind)
        for _ in range(40):
            damaged = bytearray(content)
            for place in rng.integers(0, min(len(content), 400), 3):
                damaged[place] ^= 1 << int(rng.integers(8))
            with contextlib.suppress(ImageError):
                assert load_image(bytes(damaged), max_pixels=10**6).shape[2] == 3


def test_what_is_no_picture(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("Dear reader, this is no picture.")
    with pytest.raises(ImageError, match=r"^empty\.png: the file is empty"):
        load_image(tmp_path / "empty.png")
    with pytest.raises(ImageError, match=r"^text\.png: not a picture"):
        load_image(tmp_path / "text.png")
    with pytest.raises(ImageError, match="no such file"):
        load_image(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="is a folder"):
        load_image(tmp_path)
    for source in (b"", None, 5, io.StringIO("text"), "bad\0name"):
        with pytest.raises(ImageError):
            load_image(source)


# -- saving ------------------------------------------------------------------------------------------------------------


def test_saved_pictures_read_back_exactly(tmp_path):
    path = tmp_path / "a.png"
    colour, grey = random_picture(7, 5, 3), random_picture(7, 5)
    save_png(path, colour)
    assert np.array_equal(load_image(path), colour)
    save_png(path, colour[:, ::-1])  # a view that runs backwards
    assert np.array_equal(load_image(path), colour[:, ::-1])
    save_png(path, grey)
    assert np.array_equal(load_image(path)[..., 2], grey)
    deep = np.random.default_rng(0).integers(0, 65536, (7, 5), dtype=np.uint16)
    save_png(path, deep)
    assert np.array_equal(np.asarray(Image.open(path)), deep)
    save_png(path, deep.astype(">u2"))
    assert np.array_equal(np.asarray(Image.open(path)), deep)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_text_is_carried_along(tmp_path):
    text = {
        "srflow": '{"seed": 1}',
        "Größe": "τ = 0.9 · 超解像",
        "Title": "Zürich",
        "empty": "",
        "lines": "a\nb",
        "x" * 79: "y",
    }
    save_png(tmp_path / "a.png", random_picture(4, 4, 3), text=text)
    assert read_png_text(tmp_path / "a.png") == text
    assert all(type(value) is str for value in read_png_text(tmp_path / "a.png").values())
    save_png(tmp_path / "a.png", random_picture(4, 4, 3), text={"long": "z" * 100_000})
    assert read_png_text((tmp_path / "a.png").read_bytes()) == {"long": "z" * 100_000}
    save_png(tmp_path / "a.png", random_picture(4, 4, 3))
    assert read_png_text(tmp_path / "a.png") == {}


def test_text_of_a_file_that_is_no_png():
    with pytest.raises(ImageError, match=r"of a readable kind \(PNG\)"):
        read_png_text(encoded(smooth_picture(), "JPEG"))
    with pytest.raises(ImageError, match="empty"):
        read_png_text(b"")


def test_text_that_inflates_is_refused():
    info = PngInfo()
    info.add_text("bomb", "0" * 5_000_000, zip=True)
    with pytest.raises(ImageError):
        read_png_text(encoded(smooth_picture(), pnginfo=info))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), dtype=np.float32),
        np.zeros((4, 4, 4), dtype=np.uint8),
        np.zeros((4, 4, 3), dtype=np.int16),
        np.zeros((1, 4, 4, 3), dtype=np.uint8),
        np.zeros((0, 4, 3), dtype=np.uint8),
        np.zeros((0, 4), dtype=np.uint8),
        [[0]],
    ],
)
def test_bad_arrays_are_not_saved(array, tmp_path):
    with pytest.raises(InputError):
        save_png(tmp_path / "a.png", array)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", [{"": "x"}, {"x" * 80: "x"}, {"σ": "x"}, {"a\0b": "x"}, {"a": "x\0y"}, {"a": 1}, {1: "a"}, {"a\n": "x"}]
)
def test_bad_text_is_not_saved(text, tmp_path):
    with pytest.raises(InputError):
        save_png(tmp_path / "a.png", random_picture(2, 2, 3), text=text)
    assert list(tmp_path.iterdir()) == []


def test_list_images(tmp_path):
    for name in ("x10.png", "x2.PNG", "x1.jpeg", "X3.webp", "notes.txt", ".hidden.png", "7.tif", "a"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["7.tif", "x1.jpeg", "x2.PNG", "X3.webp", "x10.png"]
    assert list_images(str(tmp_path)) == list_images(tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        list_images(tmp_path / "missing")
    with pytest.raises(DatasetError, match="no such folder"):
        list_images(tmp_path / "notes.txt")
    with pytest.raises(DatasetError, match="no pictures"):
        list_images(tmp_path / "folder.png")


# -- arrays and tensors ------------------------------------------------------------------------------------------------


def test_arrays_and_tensors_round_trip():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = np.stack([values, values.T, values[::-1]], axis=-1)
    tensor = to_tensor(picture)
    assert tensor.shape == (1, 3, 16, 16)
    assert tensor.dtype == torch.float32
    assert float(tensor[0, 1, 2, 3]) == pytest.approx(picture[2, 3, 1] / 255)
    assert (float(tensor.min()), float(tensor.max())) == (0.0, 1.0)
    for each in (tensor, tensor[0], tensor.double(), tensor.contiguous(memory_format=torch.channels_last)):
        assert np.array_equal(to_uint8(each), picture)
    assert np.array_equal(to_uint8_batch(torch.cat([tensor, 1 - tensor])), np.stack([picture, 255 - picture]))


def test_to_uint8_clips_and_rounds():
    values = torch.tensor([-1.0, -0.001, 0.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 1.0, 1.7, math.inf, -math.inf])
    result = to_uint8(values.expand(3, 1, -1).requires_grad_())
    assert result[0, :, 0].tolist() == [0, 0, 0, 0, 1, 255, 255, 255, 255, 0]
    assert to_uint8(torch.full((3, 1, 1), 0.5, dtype=torch.bfloat16)).tolist() == [[[128, 128, 128]]]


def test_to_uint16_clips_and_rounds():
    values = torch.tensor([-1.0, 0.0, 0.49 / 65535, 0.51 / 65535, 0.5, 1.0, math.inf])
    result = to_uint16(values.expand(3, 1, -1).requires_grad_())
    assert result.dtype == np.uint16
    assert result[0, :, 0].tolist() == [0, 0, 0, 1, 32768, 65535, 65535]
    assert to_uint16(torch.rand(1, 3, 2, 5)).shape == (2, 5, 3)
    for bad in (torch.zeros(2, 3, 4, 4), torch.zeros(1, 4, 4), torch.zeros(4, 4), torch.full((3, 1, 1), math.nan)):
        with pytest.raises(InputError):
            to_uint16(bad)


def test_bad_tensors_and_arrays():
    for bad in (
        torch.zeros(2, 3, 4, 4),
        torch.zeros(1, 4, 4),
        torch.zeros(4, 4),
        torch.zeros(3, 4, 4, dtype=torch.uint8),
        torch.full((3, 1, 1), math.nan),
    ):
        with pytest.raises(InputError):
            to_uint8(bad)
    for shape, dtype in (((4, 4), float), ((4, 4, 3), float), ((4, 4, 1), np.uint8), ((0, 4, 3), np.uint8)):
        with pytest.raises(InputError):
            to_tensor(np.zeros(shape, dtype))
    for bad in (None, [[[0, 0, 0]]]):
        with pytest.raises(InputError):
            to_tensor(bad)


def test_crop_to_multiple():
    picture = random_picture(13, 22, 3)
    assert np.array_equal(crop_to_multiple(picture, 8), picture[:8, :16])
    assert crop_to_multiple(picture[..., 0], 4).shape == (12, 20)
    assert crop_to_multiple(picture, 1).shape == picture.shape
    with pytest.raises(InputError, match="22x13 pixels is too small"):
        crop_to_multiple(picture, 14)
    for bad in (0, -1, 2.0, True):
        with pytest.raises(InputError):
            crop_to_multiple(picture, bad)


# -- MATLAB's bicubic --------------------------------------------------------------------------------------------------


def cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def imresize_matrix(size: int, factor: int, down: bool) -> np.ndarray:
    """The weights of MATLAB's imresize along one axis as a dense (new size, size) matrix, from its documentation."""
    scale = 1 / factor if down else factor
    widening = factor if down else 1
    matrix = np.zeros((math.ceil(size * scale), size))
    for row, weights in enumerate(matrix):
        center = (row + 0.5) / scale - 0.5
        places = np.arange(math.floor(center - 2 * widening), math.ceil(center + 2 * widening) + 1)
        values = cubic((places - center) / widening)
        for place, value in zip(places, values / values.sum(), strict=True):
            mirrored = place % (2 * size)
            weights[mirrored if mirrored < size else 2 * size - 1 - mirrored] += value
    return matrix


def imresize_uint8(picture: np.ndarray, factor: int, down: bool) -> np.ndarray:
    """One axis after the other, vertical first, to uint8 after each: clipped, halves up."""
    for axis in (0, 1):
        matrix = imresize_matrix(picture.shape[axis], factor, down)
        values = np.moveaxis(np.tensordot(matrix, picture.astype(np.float64), axes=(1, axis)), 0, axis)
        picture = np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
    return picture


SIZES = [(1, 1), (1, 9), (8, 1), (3, 2), (16, 24), (17, 31), (40, 33)]


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("size", SIZES)
def test_uint8_scaling_is_matlabs(size, factor):
    picture = random_picture(*size, 3, seed=factor)
    picture[: size[0] // 2] = picture[: size[0] // 2] // 128 * 255  # hard edges, which overshoot and are clipped
    assert np.array_equal(downscale_uint8(picture, factor), imresize_uint8(picture, factor, down=True))
    assert np.array_equal(upscale_uint8(picture, factor), imresize_uint8(picture, factor, down=False))
    assert np.array_equal(downscale_uint8(picture[..., 1], factor), downscale_uint8(picture, factor)[..., 1])


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("size", SIZES)
def test_float_scaling_is_matlabs(size, factor):
    tensor = torch.from_numpy(np.random.default_rng(factor).random((2, 3, *size)))
    for scale, down in ((bicubic_downscale, True), (bicubic_upscale, False)):
        vertical, horizontal = (torch.from_numpy(imresize_matrix(n, factor, down)) for n in size)
        expected = vertical @ tensor @ horizontal.T
        assert scale(tensor, factor).shape == expected.shape
        assert torch.allclose(scale(tensor, factor), expected, rtol=0, atol=1e-13)
        assert torch.allclose(scale(tensor.float(), factor), expected.float(), rtol=0, atol=1e-5)


def test_halves_are_rounded_up():
    # The reflection of two values is symmetric about their middle, so their mean comes out exactly: 0.5, 128.5, 254.5.
    for low in (0, 128, 254):
        column = np.array([[low], [low + 1]], dtype=np.uint8)
        assert downscale_uint8(column, 2).tolist() == [[low + 1]]
        assert downscale_uint8(column.T, 2).tolist() == [[low + 1]]


def test_vertical_comes_first():
    picture = random_picture(32, 32)
    assert np.array_equal(downscale_uint8(picture, 4), imresize_uint8(picture, 4, down=True))
    assert not np.array_equal(downscale_uint8(picture, 4), imresize_uint8(picture.T, 4, down=True).T)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_grey_stays_grey(factor):
    for value in (0, 1, 127, 255):
        picture = np.full((19, 26, 3), value, dtype=np.uint8)
        assert (downscale_uint8(picture, factor) == value).all()
        assert (upscale_uint8(picture, factor) == value).all()
    tensor = torch.full((1, 3, 19, 26), 0.3, dtype=torch.float64)
    for scale in (bicubic_downscale, bicubic_upscale):
        assert torch.allclose(scale(tensor, factor), torch.tensor(0.3, dtype=torch.float64), atol=1e-14)


def test_uint8_and_float_forms_differ_by_rounding_only():
    picture = smooth_picture(64, 48)
    rounded = to_tensor(downscale_uint8(picture, 4))
    assert float((bicubic_downscale(to_tensor(picture), 4) - rounded).abs().max()) < 1.2 / 255


@pytest.mark.parametrize("scale", [bicubic_downscale, bicubic_upscale])
def test_float_scaling_is_differentiable(scale):
    tensor = torch.from_numpy(np.random.default_rng(0).random((1, 2, 5, 3))).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: scale(x, 2), tensor)


def test_bad_scaling():
    tensor, picture = torch.zeros(1, 3, 8, 8), np.zeros((8, 8, 3), dtype=np.uint8)
    for factor in (0, -2, 2.0, True, "2", None):
        for scale, argument in ((bicubic_downscale, tensor), (downscale_uint8, picture), (upscale_uint8, picture)):
            with pytest.raises(InputError, match="factor"):
                scale(argument, factor)
    for bad in (tensor[0], tensor.half(), tensor.long(), tensor[..., :0]):
        with pytest.raises(InputError):
            bicubic_upscale(bad, 2)
    for bad in (picture[None], picture[:0], picture[..., :2], picture.astype(float), tensor):
        with pytest.raises(InputError):
            downscale_uint8(bad, 2)


def test_real_photographs_survive_loading_and_saving(tmp_path):
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "test" / "Set5"
    if not folder.is_dir():
        pytest.skip("the reference photographs are not here")
    for path in list_images(folder):
        picture = load_image(path)
        assert np.array_equal(picture, np.asarray(Image.open(path)))
        save_png(tmp_path / path.name, picture)
        assert np.array_equal(load_image(tmp_path / path.name), picture)
        small = crop_to_multiple(picture, 8)[:64, :64]
        assert np.array_equal(downscale_uint8(small, 4), imresize_uint8(small, 4, down=True))
