import numpy as np
import pytest

from srflow.contract import DatasetError, ImageError, InputError
from srflow.evaluation.pairing import find_pairs, find_samples
from srflow.images import downscale_uint8
from srflow.pictures import save_png


def save(path, height=40, width=48, value=128):
    save_png(path, np.full((height, width, 3), value, dtype=np.uint8))


def save_all(folder, names):
    for name in names:
        save(folder / f"{name}.png")
    return folder


def names_of(found):
    return {name: [f"{path.parent.name}/{path.name}" for path in paths] for name, paths in found.items()}


def test_pairs_are_sorted_and_limited(tmp_path):
    save_all(tmp_path, ["b", "c", "a"])
    assert [pair.name for pair in find_pairs(tmp_path, scale_factor=4)] == ["a", "b", "c"]
    assert [pair.name for pair in find_pairs(tmp_path, scale_factor=4, limit=2)] == ["a", "b"]
    assert all(pair.lr is None for pair in find_pairs(tmp_path, scale_factor=4))


@pytest.mark.parametrize(
    ("hr", "lr"),
    [
        ("0801", "0801x4"),
        ("baby", "baby"),
        ("baby", "babyx4"),
        ("baby", "baby_x4"),
        ("Baby_HR", "baby_LR"),
        ("img_001_SRF_4_HR", "img_001_SRF_4_LR"),
        ("baby", "baby_LRx4"),
        ("baby_GT", "babyx4"),
    ],
)
def test_lr_pictures_are_found_by_the_usual_names(tmp_path, hr, lr):
    save_all(tmp_path / "hr", [hr])
    save_all(tmp_path / "lr", [lr, "another", f"{hr}x8", f"{hr}2"])
    (pair,) = find_pairs(tmp_path / "hr", tmp_path / "lr", scale_factor=4)
    assert pair.lr.stem == lr


def test_the_same_name_goes_before_one_with_a_suffix(tmp_path):
    save_all(tmp_path / "hr", ["baby"])
    save_all(tmp_path / "lr", ["babyx4", "baby"])
    assert find_pairs(tmp_path / "hr", tmp_path / "lr", scale_factor=4)[0].lr.stem == "baby"


def test_what_is_missing_or_double_is_named(tmp_path):
    save_all(tmp_path / "hr", ["a", "b"])
    save_all(tmp_path / "lr", ["a", "bx8"])
    with pytest.raises(DatasetError, match=r"no LR picture of b\.png; it should be called b, bx4 or b_LR"):
        find_pairs(tmp_path / "hr", tmp_path / "lr", scale_factor=4)
    with pytest.raises(DatasetError, match="nowhere"):
        find_pairs(tmp_path / "nowhere", scale_factor=4)
    (tmp_path / "hr" / "a.bmp").write_bytes(b"")
    with pytest.raises(DatasetError, match="several pictures called a"):
        find_pairs(tmp_path / "hr", scale_factor=4)


@pytest.mark.parametrize("scale_factor", [0, 3, 16, -4])
def test_scale_factors_that_do_not_divide_8_are_refused(tmp_path, scale_factor):
    save_all(tmp_path, ["a"])
    with pytest.raises(InputError, match=f"scale factor {scale_factor} does not"):
        find_pairs(tmp_path, scale_factor=scale_factor)


def test_limit_of_none_is_refused(tmp_path):
    save_all(tmp_path, ["a"])
    with pytest.raises(InputError, match="limit is 0"):
        find_pairs(tmp_path, scale_factor=4, limit=0)


# -- loading -----------------------------------------------------------------------------------------------------------


def test_lr_is_made_from_the_cropped_picture(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (45, 39, 3), dtype=np.uint8)
    save_png(tmp_path / "a.png", picture)
    hr, lr = find_pairs(tmp_path, scale_factor=4)[0].load(4)
    np.testing.assert_array_equal(hr, picture[:40, :32])
    np.testing.assert_array_equal(lr, downscale_uint8(picture[:40, :32], 4))


@pytest.mark.parametrize(
    ("size", "fits"),
    [((10, 8), True), ((11, 9), True), ((12, 10), True), ((9, 8), False), ((13, 9), False), ((5, 4), False)],
)
def test_sizes_of_given_lr_pictures_are_checked(tmp_path, size, fits):
    save(tmp_path / "hr" / "a.png", 45, 39)  # 45/4 is 11.25 and 39/4 is 9.75; cropped, 10x8
    save(tmp_path / "lr" / "a.png", *size)
    pair = find_pairs(tmp_path / "hr", tmp_path / "lr", scale_factor=4)[0]
    if fits:
        assert pair.load(4)[1].shape[:2] == size
    else:
        with pytest.raises(ImageError, match=rf"a\.png is {size[1]}x{size[0]}, which is not a\.png \(39x45\) at 1/4"):
            pair.load(4)


def test_too_small_pictures_are_named(tmp_path):
    save(tmp_path / "tiny.png", 31, 64)
    with pytest.raises(ImageError, match=r"tiny\.png is 64x31; the metrics need 32"):
        find_pairs(tmp_path, scale_factor=4)[0].load(4)


# -- super-resolutions -------------------------------------------------------------------------------------------------


@pytest.fixture
def pairs(tmp_path):
    return find_pairs(save_all(tmp_path / "hr", ["a", "b"]), scale_factor=4)


@pytest.mark.parametrize(
    "files",
    [
        {"a": ["a"], "b": ["b"]},
        {"a": ["a_SR"], "b": ["b_x4_SR"]},
        {"a": ["ax4"], "b": ["b_out"]},
        {"a": ["a_sample0", "a_sample1", "a_sample10"], "b": ["b_sample00000", "b_sample00001", "b_sample00002"]},
        {"a": ["a-sample-3", "a-sample-20"], "b": ["b_SR_sample1", "b_SR_sample2"]},
        {"a": ["0/a", "1/a", "10/a"], "b": ["0/b", "1/b", "10/b"]},
        {"a": ["sample9/a_SR", "sample10/a_SR"], "b": ["sample9/bx4", "sample10/bx4"]},
        {"a": ["a/2", "a/10"], "b": ["b/x", "b/y"]},
        {"a": ["000000_sample00000", "000000_sample00001"], "b": ["000001_sample00000", "000001_sample00001"]},
        {"a": ["000000"], "b": ["000001"]},
    ],
    ids=lambda files: files["a"][-1],
)
def test_arrangements_of_super_resolutions(tmp_path, pairs, files):
    sr = tmp_path / "sr"
    for stems in files.values():
        save_all(sr, stems)
    found = names_of(find_samples(sr, pairs, scale_factor=4))
    expected = {name: [f"sr/{s}.png" if "/" not in s else f"{s}.png" for s in stems] for name, stems in files.items()}
    assert found == expected


def test_pictures_in_the_folder_go_before_those_in_sub_folders(tmp_path, pairs):
    save_all(tmp_path / "sr", ["a", "b", "thumbnails/a", "thumbnails/b"])
    assert names_of(find_samples(tmp_path / "sr", pairs, scale_factor=4)) == {"a": ["sr/a.png"], "b": ["sr/b.png"]}


def test_the_challenges_counting_follows_the_whole_folder(tmp_path):
    hr = save_all(tmp_path / "hr", ["001", "002", "003"])
    sr = save_all(tmp_path / "sr", ["000000_sample00000", "000001_sample00000", "000002_sample00000"])
    pairs = find_pairs(hr, scale_factor=4, limit=2)
    found = names_of(find_samples(sr, pairs, scale_factor=4, hr_folder=hr))
    assert found == {"001": ["sr/000000_sample00000.png"], "002": ["sr/000001_sample00000.png"]}


def test_numbers_that_are_the_names_are_not_counted(tmp_path):
    hr = save_all(tmp_path / "hr", ["0901", "0902"])
    sr = save_all(tmp_path / "sr", ["000901_sample00000", "000902_sample00000"])
    found = names_of(find_samples(sr, find_pairs(hr, scale_factor=4), scale_factor=4))
    assert found == {"0901": ["sr/000901_sample00000.png"], "0902": ["sr/000902_sample00000.png"]}


def test_missing_super_resolutions_are_named(tmp_path, pairs):
    save_all(tmp_path / "sr", ["a"])
    with pytest.raises(DatasetError, match=r"no super-resolution of b \(1 of 2 pictures have none\)"):
        find_samples(tmp_path / "sr", pairs, scale_factor=4)
    with pytest.raises(DatasetError, match="no folder"):
        find_samples(tmp_path / "nowhere", pairs, scale_factor=4)


def test_all_pictures_need_as_many_samples(tmp_path, pairs):
    save_all(tmp_path / "sr", ["a_sample0", "a_sample1", "b_sample0"])
    with pytest.raises(DatasetError, match="1 samples of b and 2 of a"):
        find_samples(tmp_path / "sr", pairs, scale_factor=4)


def test_a_sample_in_two_types_counts_once(tmp_path):
    save_all(tmp_path / "hr", ["a", "b"])
    save_all(tmp_path / "sr", ["a", "b"])
    for name in ("a", "b"):
        (tmp_path / "sr" / f"{name}.jpg").write_bytes(b"")
    pairs = find_pairs(tmp_path / "hr", scale_factor=4)
    lines = []
    found = find_samples(tmp_path / "sr", pairs, scale_factor=4, report=lines.append)
    assert names_of(found) == {"a": ["sr/a.png"], "b": ["sr/b.png"]}
    assert "a.jpg, b.jpg" in lines[0]


def test_pictures_in_folders_are_paired_by_their_place(tmp_path):
    save_all(tmp_path / "hr" / "x", ["a"])
    save_all(tmp_path / "hr" / "y", ["a"])
    for folder in ("x", "y"):
        save_all(tmp_path / "lr" / folder, ["ax4"])
        save_all(tmp_path / "sr" / folder, ["a_SR"])
    pairs = find_pairs(tmp_path / "hr", tmp_path / "lr", scale_factor=4)
    assert [(pair.name, pair.lr.parent.name) for pair in pairs] == [("x/a", "x"), ("y/a", "y")]
    found = find_samples(tmp_path / "sr", pairs, scale_factor=4)
    assert names_of(found) == {"x/a": ["x/a_SR.png"], "y/a": ["y/a_SR.png"]}
    with pytest.raises(DatasetError, match="no pictures"):
        find_pairs(tmp_path / "hr", scale_factor=4, recursive=False)
