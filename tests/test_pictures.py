"""Files as people have them: colours by what profiles and chunks do, TIFF of all kinds, opacity, depth, metadata."""

from __future__ import annotations

import errno
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from srflow.contract import DatasetError, ImageError, InputError, Metadata, OutputError
from srflow.pictures import find_pictures, read_picture, read_png_text, save_png
from srflow.pictures.folders import output_names


def smooth(height: int = 24, width: int = 32) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (height + width)], axis=-1).astype(np.uint8)


def deep(height: int = 24, width: int = 32) -> np.ndarray:
    """16 bits, no value of which is a multiple of 257."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 2000 + y, y * 2500 + x, (x + y) * 1100], axis=-1).astype(np.uint16)


def encoded(array: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def tiff(array: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def png(header: tuple[int, ...], rows: bytes, **chunks: bytes) -> bytes:
    """A PNG by hand: width, height, bits, colour type; unfiltered rows; chunks before the pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    more = b"".join(chunk(name.encode(), content) for name, content in chunks.items())
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)) + more
    return start + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def with_chunk(name: bytes, content: bytes, array: np.ndarray | None = None) -> bytes:
    info = PngInfo()
    info.add(name, content)
    return encoded(smooth() if array is None else array, pnginfo=info)


def srgb(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def unsrgb(coded: np.ndarray) -> np.ndarray:
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


# Linear Display P3 and Adobe RGB → linear sRGB, all under D65: known matrices (CSS Color 4, section 17).
P3 = np.array([[1.2249402, -0.2249402, 0.0], [-0.0420570, 1.0420570, 0.0], [-0.0196376, -0.0786361, 1.0982736]])
ADOBE = np.array([[1.3983557, -0.3983557, 0.0], [0.0, 1.0, 0.0], [0.0, -0.0429290, 1.0429290]])


# -- colours -----------------------------------------------------------------------------------------------------------


def chrm(*points: float) -> bytes:
    return struct.pack(">8I", *(round(point * 100_000) for point in points))


ADOBE_CHRM = chrm(0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
GAMMA_1, GAMMA_22 = struct.pack(">I", 100_000), struct.pack(">I", 45_455)


@pytest.mark.parametrize(
    ("chunks", "expected", "note"),
    [
        ({"gAMA": GAMMA_1}, lambda x: srgb(x), "gamma 1 → sRGB"),
        ({"gAMA": GAMMA_22}, lambda x: x, None),
        ({"gAMA": GAMMA_1, "sRGB": b"\0"}, lambda x: x, None),
        ({"gAMA": bytes(4)}, lambda x: x, None),
        ({"cHRM": ADOBE_CHRM, "gAMA": GAMMA_22}, lambda x: srgb(x**2.2 @ ADOBE.T), "primaries by cHRM"),
        ({"cHRM": bytes(32)}, lambda x: x, None),
        ({"cICP": bytes([1, 13, 0, 1])}, lambda x: x, None),
        ({"cICP": bytes([1, 8, 0, 1]), "sRGB": b"\0"}, lambda x: srgb(x), "linear"),
        ({"cICP": bytes([12, 13, 0, 1]), "gAMA": GAMMA_1}, lambda x: srgb(unsrgb(x) @ P3.T), "Display P3 → sRGB"),
        ({"cICP": bytes([1, 13, 0, 0])}, lambda x: np.clip((x * 255 - 16) / 219, 0, 1), "BT.709 → sRGB"),
    ],
)
@pytest.mark.parametrize("bits", [8, 16])
def test_a_pngs_chunks_say_what_its_colours_are(chunks, expected, note, bits):
    values = smooth() if bits == 8 else deep()
    rows = np.insert(values.astype(">u2" if bits == 16 else np.uint8).view(np.uint8).reshape(24, -1), 0, 0, axis=1)
    picture = read_picture(png((32, 24, bits, 2), rows.tobytes(), **chunks))
    right = np.rint(np.clip(expected(values / float(2**bits - 1)), 0, 1) * 255)
    assert np.abs(picture.pixels - right).max() <= 1
    assert (note is None) == (not [each for each in picture.notes if "sRGB" in each])
    assert note is None or any(note in each for each in picture.notes)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG"), (200, "200")])
def test_hdr_and_unknown_codings_are_refused_by_name(transfer, name):
    with pytest.raises(ImageError, match=name):
        read_picture(with_chunk(b"cICP", bytes([9, transfer, 0, 1])))


def linear_profile(name: bytes = b"sRGB built-in") -> bytes:
    """Of sRGB's primaries without its curve, under the name of what it is not."""
    tag = {b"rXYZ": (0.4361, 0.2225, 0.0139), b"gXYZ": (0.3851, 0.7169, 0.0971), b"bXYZ": (0.1431, 0.0606, 0.7141)}
    tag |= {b"wtpt": (0.9642, 1.0, 0.8249)}
    tags = {key: b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in xyz)) for key, xyz in tag.items()}
    tags |= {b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(79)}
    curve = b"para" + bytes(4) + struct.pack(">HHi", 0, 0, 65536)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, data = struct.pack(">I", len(tags)), b""
    for key, content in tags.items():
        table += key + struct.pack(">II", 132 + 12 * len(tags) + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = b"lcms\x02\x10\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    body = header + struct.pack(">3i", 63190, 65536, 54061) + bytes(48) + table + data
    return struct.pack(">I", len(body) + 4) + body


def test_a_linear_profile_keeps_the_shadows_of_16_bits():
    values = (np.linspace(0, 1, 96).reshape(4, 8, 3) ** 3 * 65535).astype(np.uint16)
    content = tiff(values, photometric="rgb", iccprofile=linear_profile())
    expected = np.rint(srgb(values / 65535) * 255)
    picture = read_picture(content)
    assert np.abs(picture.pixels - expected).max() <= 1
    assert any("→ sRGB" in note for note in picture.notes)
    assert len(np.unique(picture.pixels)) > 80  # in 8 linear bits half of them would have been lost
    assert np.abs(read_picture(content, bits=16).pixels / 65535 - srgb(values / 65535)).max() < 1e-3


def test_adobe_rgb_is_known_by_exif_data_alone():
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 65535, 0xA005: {1: "R03"}}
    plain = encoded(smooth(64, 64), "JPEG", quality=95, subsampling=0)
    marked = encoded(smooth(64, 64), "JPEG", quality=95, subsampling=0, exif=exif)
    expected = srgb((read_picture(plain).pixels / 255) ** 2.2 @ ADOBE.T) * 255
    assert np.abs(read_picture(marked).pixels - expected).max() <= 2
    assert "Adobe RGB (by its EXIF data) → sRGB" in read_picture(marked).notes


# -- TIFF --------------------------------------------------------------------------------------------------------------

EIGHT = np.rint(deep() / 257).astype(np.uint8)


@pytest.mark.parametrize(
    ("array", "options", "expected"),
    [
        (deep(), {"photometric": "rgb"}, EIGHT),
        (deep(), {"photometric": "rgb", "byteorder": ">"}, EIGHT),
        (deep(), {"photometric": "rgb", "tile": (16, 16)}, EIGHT),
        (deep(), {"photometric": "rgb", "compression": "zlib", "predictor": 2}, EIGHT),
        (np.moveaxis(deep(), 2, 0), {"photometric": "rgb", "planarconfig": "separate", "byteorder": ">"}, EIGHT),
        (np.moveaxis(smooth(), 2, 0), {"photometric": "rgb", "planarconfig": "separate"}, smooth()),
        (65535 - deep()[..., 0], {"photometric": "miniswhite"}, EIGHT[..., :1].repeat(3, 2)),
        (255 - smooth()[..., 0], {"photometric": "miniswhite"}, smooth()[..., :1].repeat(3, 2)),
        ((smooth() / 255).astype(np.float32), {"photometric": "rgb"}, smooth()),
        ((smooth() / 255).astype(np.float16), {"photometric": "rgb"}, smooth()),
        (smooth().astype(np.int32), {"photometric": "rgb"}, smooth()),
        (smooth().astype(np.uint32) * 16843009, {"photometric": "rgb"}, smooth()),
        (np.dstack([deep(), deep()[..., 0]]), {"photometric": "rgb", "extrasamples": ["unspecified"]}, EIGHT),
        (deep() >> 4, {"photometric": "rgb"}, EIGHT),  # 12 bits in 16, by the values
        (deep() >> 2, {"photometric": "rgb", "extratags": [(281, "H", 1, 16383, True)]}, EIGHT),  # 14 bits, by a tag
    ],
)
def test_tiffs_are_read_as_their_tags_say(array, options, expected):
    picture = read_picture(tiff(array, **options))
    assert np.abs(picture.pixels.astype(int) - expected).max() <= 1
    assert picture.alpha is None


@pytest.mark.parametrize("compression", [5, 32773])
@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_lzw_and_packbits_need_no_further_package(compression, tiled, dtype):
    """tifffile writes these only with imagecodecs, so libtiff packs the bytes, as of a grey picture of one row."""
    array = deep() if dtype == np.uint16 else (deep() / 65535).astype(np.float32)
    content = tiff(array, photometric="rgb", tile=(16, 16) if tiled else None, rowsperstrip=None if tiled else 5)
    stream = io.BytesIO(content)
    name = {5: "tiff_lzw", 32773: "packbits"}[compression]
    with tifffile.TiffFile(stream, mode="r+b") as tif:
        page = tif.pages[0]
        offsets, sizes = [], []
        for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
            raw = np.frombuffer(content[offset : offset + size], np.uint8)[None]
            packed = encoded(raw, "TIFF", compression=name)
            with tifffile.TiffFile(io.BytesIO(packed)) as inner:
                (start,), (count,) = inner.pages[0].dataoffsets, inner.pages[0].databytecounts
            stream.seek(0, 2)
            offsets.append(stream.tell())
            sizes.append(count)
            stream.write(packed[start : start + count])
        page.tags[324 if tiled else 273].overwrite(tuple(offsets), dtype="I")
        page.tags[325 if tiled else 279].overwrite(tuple(sizes), dtype="I")
        page.tags[259].overwrite(compression)
    assert np.array_equal(read_picture(stream.getvalue()).pixels, read_picture(content).pixels)
    assert np.abs(read_picture(content).pixels.astype(int) - EIGHT).max() <= 1


def test_the_first_page_that_is_no_thumbnail_is_read():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(smooth(8, 8), photometric="rgb", subfiletype=1)
        writer.write(smooth(), photometric="rgb")
        writer.write(255 - smooth(), photometric="rgb")
    picture = read_picture(file.getvalue())
    assert np.array_equal(picture.pixels, smooth())
    assert "page 2 of 3;" in picture.notes[0]


def test_a_chain_of_pages_that_leads_back_is_no_endless_one():
    content = bytearray(tiff(np.stack([smooth(), smooth()]), photometric="rgb"))
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as tif:
        first, second = (page.offset for page in tif.pages)
        (tags,) = struct.unpack_from("<H", content, second)
    struct.pack_into("<I", content, second + 2 + 12 * tags, first)
    picture = read_picture(bytes(content))
    assert np.array_equal(picture.pixels, smooth())
    assert picture.notes == ("first of 2 pages",)


@pytest.mark.parametrize(
    ("array", "options", "said"),
    [
        (deep()[..., 0], {"photometric": 32803}, "raw sensor data"),
        (smooth()[..., 0].astype(np.int16) - 100, {"photometric": "minisblack"}, "negative"),
        (np.full((8, 8), 70_000, np.int32), {"photometric": "minisblack"}, "which of them is white"),
        ((smooth() / 100).astype(np.float32), {"photometric": "rgb"}, "from 0 to 1"),
        (smooth(), {"photometric": "rgb", "extratags": [(50706, "B", 4, (1, 4, 0, 0), True)]}, "raw camera file"),
    ],
)
def test_tiffs_that_are_no_picture_are_refused_by_name(array, options, said):
    with pytest.raises(ImageError, match=said):
        read_picture(tiff(array, **options))


# -- opacity -----------------------------------------------------------------------------------------------------------


def test_alpha_is_kept_and_what_cannot_be_seen_continues_what_can():
    rgba = np.zeros((16, 16, 4), np.uint8)
    rgba[:, 8:] = (200, 100, 50, 255)  # the hidden half is black, as editors leave it
    picture = read_picture(encoded(rgba))
    assert np.array_equal(picture.alpha, rgba[..., 3])
    assert (picture.pixels == (200, 100, 50)).all()
    assert "alpha kept" in picture.notes
    assert (picture.on_white()[:, :8] == 255).all()
    opaque = read_picture(encoded(np.full((4, 4, 4), 255, np.uint8)))
    assert opaque.alpha is None


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_known_in_every_bit_depth(bits):
    top = (1 << bits) - 1
    levels = np.array([0, 1, top] if bits > 1 else [0, 1, 1], np.uint16)
    packed = levels.astype(">u2").tobytes() if bits == 16 else b""
    if bits < 16:
        number = 0
        for level in levels.tolist():
            number = number << bits | level
        count = -(-3 * bits // 8)
        packed = (number << (8 * count - 3 * bits)).to_bytes(count, "big")
    picture = read_picture(png((3, 1, bits, 0), b"\0" + packed, tRNS=struct.pack(">H", 1)))
    assert (picture.alpha[0] == 0).tolist() == (levels == 1).tolist()
    assert picture.is_grey


def test_a_transparent_colour_of_16_bits_is_compared_in_all_of_them():
    values = np.array([[[257, 514, 771], [258, 514, 771]]], np.uint16)  # the same in the upper 8 bits
    rows = b"\0" + values.astype(">u2").tobytes()
    picture = read_picture(png((2, 1, 16, 2), rows, tRNS=struct.pack(">HHH", 258, 514, 771)))
    assert picture.alpha.tolist() == [[255, 0]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_premultiplied_colours_are_divided(dtype):
    top = np.iinfo(dtype).max
    colour, alpha = np.array([200, 100, 50]) / 255 * top, 0.5
    row = np.array([*(colour * alpha), top * alpha]).round().astype(dtype)
    picture = read_picture(tiff(np.tile(row, (4, 4, 1)), photometric="rgb", extrasamples=["assocalpha"]))
    assert np.abs(picture.pixels.astype(int) - [200, 100, 50]).max() <= 1
    assert np.abs(picture.alpha.astype(int) - 128).max() <= 1


# -- depth, ends, frames -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_pngs_lose_nothing(channels, tmp_path):
    array = deep() if channels > 2 else deep()[..., 0]
    alpha = deep()[..., 1] if channels in (2, 4) else None
    save_png(tmp_path / "a.png", array, alpha=alpha)
    picture = read_picture(tmp_path / "a.png", bits=16)
    if alpha is None:
        assert np.array_equal(picture.pixels, array if channels == 3 else array[..., None].repeat(3, 2))
    else:
        assert np.array_equal(picture.alpha, alpha)
        seen = alpha > 0
        assert np.array_equal(picture.pixels[..., 0][seen], (array if channels == 2 else array[..., 0])[seen])
    rounded = read_picture(tmp_path / "a.png")
    shown = np.ones((24, 32), bool) if alpha is None else rounded.alpha > 0
    assert np.abs(rounded.pixels - picture.pixels / 257)[shown].max() <= 0.5
    assert "16 → 8 bits" in rounded.notes


@pytest.mark.parametrize("missing", [2, 5])
def test_a_jpeg_that_lacks_little_more_than_its_end_is_read(missing):
    content = encoded(smooth(96, 96), "JPEG", quality=90)
    whole, picture = read_picture(content), read_picture(content[:-missing])
    assert np.array_equal(picture.pixels[:78], whole.pixels[:78])
    assert "end of the file is missing" in picture.notes[0]
    with pytest.raises(ImageError, match="cut off"):
        read_picture(content[: int(0.6 * len(content))])


def test_frames_are_counted():
    frames = [Image.fromarray(smooth()), Image.fromarray(255 - smooth())]
    for kind in ("PNG", "GIF"):
        file = io.BytesIO()
        frames[0].save(file, kind, save_all=True, append_images=[*frames[1:], frames[0].rotate(90)])
        assert read_picture(file.getvalue()).notes[0] == "first of 3 frames"
    assert read_picture(encoded(smooth())).notes == ()


def test_grey_is_known(tmp_path):
    grey = smooth()[..., 0]
    for array in (grey, np.stack([grey] * 3, axis=2)):
        assert read_picture(encoded(array)).is_grey
    nearly = np.stack([grey] * 3, axis=2)
    nearly[13, 7, 2] ^= 1
    assert not read_picture(encoded(nearly)).is_grey


# -- what is carried over ----------------------------------------------------------------------------------------------


def test_metadata_is_carried_over(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    exif[0x8769] = {0x829A: 0.01, 0xA002: 32, 0xA003: 24}
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6">title</x:xmpmeta>'
    (tmp_path / "a.jpg").write_bytes(encoded(smooth(), "JPEG", exif=exif, dpi=(300, 300), xmp=xmp))
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.pixels.shape == (32, 24, 3)
    save_png(tmp_path / "b.png", picture.pixels, metadata=picture.metadata, text={"srflow": "new"})
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        found = image.getexif()
        assert found[0x010F] == "Maker"
        assert found.get(0x0112, 1) == 1
        details = found.get_ifd(0x8769)
        assert float(details[0x829A]) == pytest.approx(0.01)
        assert 0xA002 not in details
        assert b'tiff:Orientation="1"' in image.info["XML:com.adobe.xmp"].encode()
    assert read_picture(tmp_path / "b.png").pixels.shape == (32, 24, 3)  # not turned a second time


def test_a_pngs_own_text_is_kept_and_ours_is_not_taken_for_it(tmp_path):
    text = {"parameters": "a cat, 20 steps", "Größe": "groß", "srflow": "old recipe", "srflow-input": "old"}
    save_png(tmp_path / "a.png", smooth(), text=text)
    metadata = read_picture(tmp_path / "a.png").metadata
    save_png(tmp_path / "b.png", smooth(), text={"srflow": "new recipe"}, metadata=metadata)
    expected = {"parameters": "a cat, 20 steps", "Größe": "groß", "srflow": "new recipe"}
    assert read_png_text(tmp_path / "b.png") == expected


def test_written_pngs_say_that_they_are_srgb(tmp_path, monkeypatch):
    for limit in (1 << 28, 0):  # by Pillow, and strip by strip
        monkeypatch.setattr("srflow.pictures.writing._LARGE_BYTES", limit)
        metadata = Metadata(dpi=(72, 144))
        save_png(tmp_path / "a.png", smooth(), alpha=smooth()[..., 0], metadata=metadata, text={"a": "b"})
        content = (tmp_path / "a.png").read_bytes()
        assert content.index(b"sRGB") < content.index(b"IDAT")
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            assert image.mode == "RGBA"
            assert image.info["dpi"] == pytest.approx((72, 144), abs=0.1)
            assert np.array_equal(np.asarray(image), np.dstack([smooth(), smooth()[..., 0]]))
            assert image.text == {"a": "b"}


def test_opacity_of_another_size_is_refused(tmp_path):
    for alpha in (np.zeros((3, 3), np.uint8), deep()[..., 0]):
        with pytest.raises(InputError, match="opacity"):
            save_png(tmp_path / "a.png", smooth(), alpha=alpha)


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "no room"), (errno.EACCES, "permission"), (errno.EROFS, "only be read"), (errno.EIO, "disk")],
)
def test_what_cannot_be_written_is_one_line(number, said, tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "from the system")

    monkeypatch.setattr("os.open", fail)
    with pytest.raises(OutputError, match=rf"a\.png cannot be written: .*{said}"):
        save_png(tmp_path / "a.png", smooth())


def test_a_full_disk_leaves_no_half_file(tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OutputError, match="no room"):
        save_png(tmp_path / "a.png", smooth())
    assert list(tmp_path.iterdir()) == []


def test_long_names_in_other_scripts_can_be_written(tmp_path):
    save_png(tmp_path / f"{'日' * 80}.png", smooth())
    with pytest.raises(OutputError, match="too long"):
        save_png(tmp_path / f"{'a' * 300}.png", smooth())


# -- kinds that need a package, addresses ------------------------------------------------------------------------------

HEIC = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(40)
JXL = b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(40)


@pytest.mark.parametrize(
    ("content", "package"), [(HEIC, "pillow-heif"), (JXL, "pillow-jxl"), (b"\xff\x0a", "pillow-jxl")]
)
def test_the_missing_package_is_named(content, package, monkeypatch):
    for name in ("HEIF", "JXL"):
        monkeypatch.delitem(Image.OPEN, name, raising=False)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr("srflow.pictures.kinds.register_plugins", lambda: ())
    monkeypatch.setattr("srflow.pictures.opening.register_plugins", lambda: ())
    with pytest.raises(ImageError, match=f"pip install {package}"):
        read_picture(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"<!DOCTYPE html><p>404", "web page"), (b"%PDF-1.4", "PDF"), (b"8BPS\0\1", "Photoshop"), (b"PK\3\4", "ZIP")],
)
def test_what_a_file_is_instead_is_said(content, said):
    with pytest.raises(ImageError, match=said):
        read_picture(content)


def test_an_address_is_refused_kindly():
    for source in ("https://example.com/cat.png", Path("https://example.com/cat.png")):
        with pytest.raises(ImageError, match="download"):
            read_picture(source)


# -- folders -----------------------------------------------------------------------------------------------------------


def test_one_rule_for_what_a_folder_holds(tmp_path):
    files = {"a.png": encoded(smooth()), "sub/b.jpg": encoded(smooth(), "JPEG"), "noending": encoded(smooth())}
    files |= {"notes.txt": b"text", "c.heic": HEIC, ".hidden.png": b"", "Thumbs.db": b"", "d.tga": bytes(40)}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    save_png(tmp_path / "a_sample0.png", smooth(), text={"srflow": "{}"})
    save_png(tmp_path / "sub" / "likelihood.png", smooth(), text={"srflow-output": "x"})
    listing = find_pictures(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in listing.pictures]
    assert names == ["a.png", "noending", "sub/b.jpg"]
    line = listing.describe_left_out()
    assert line.startswith("Left out 5 files")
    for said in ("2 of no known picture kind (d.tga, notes.txt)", "2 made by this program", "pillow-heif"):
        assert said in line
    flat = find_pictures(tmp_path, recursive=False)
    assert [path.name for path in flat.pictures] == ["a.png", "noending"]
    assert "a_sample0.png" in [path.name for path in find_pictures(tmp_path, own=True).pictures]
    assert "sub/b.jpg" not in [p.as_posix() for p in find_pictures(tmp_path, exclude=[tmp_path / "sub"]).pictures]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no pictures"):
        find_pictures(tmp_path / "empty")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a.png", "b.png"], ["a", "b"]),
        (["p.png", "p.jpg"], ["p.png", "p.jpg"]),
        (["photo.png", "photo.jpg", "photo.jpg.png"], ["photo.png", "photo.jpg", "photo.jpg.png"]),
        (["A.png", "a.png"], ["A.png", "a.png-2"]),
        (["x/a.png", "y/a.png", "a.png"], ["x/a", "y/a", "a"]),
        (["Photo.png", "photo.jpg"], ["Photo.png", "photo.jpg"]),
    ],
)
def test_names_of_results_are_unique_whatever_the_letter_case(given, expected):
    root = Path("folder")
    names = output_names([root / name for name in given], root)
    assert [names[root / name] for name in given] == expected
    assert len({name.casefold() for name in names.values()}) == len(given)


def test_icc_profiles_of_another_kind_are_ignored():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert np.array_equal(read_picture(encoded(smooth(), icc_profile=lab)).pixels, smooth())
