import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from training_helpers import write_pictures

from srflow.contract import DatasetError
from srflow.images import downscale_uint8
from srflow.pictures import load_image
from srflow.training import store as store_module
from srflow.training.patches import Batch, PatchSampler, orient
from srflow.training.prefetching import Prefetcher
from srflow.training.store import PictureStore, centre_crops


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures", [(80, 72), (51, 98), (64, 64), (30, 200)])


@pytest.fixture
def store(pictures: Path, tmp_path: Path) -> PictureStore:
    return PictureStore.open(pictures, tmp_path / "cache")


def sampler(store: PictureStore, **settings) -> PatchSampler:
    return PatchSampler(**{"store": store, "scale_factor": 4, "patch_size": 32, "batch_size": 6, "seed": 1} | settings)


def test_the_store_holds_the_pictures_cropped_to_multiples_of_8(store, pictures):
    assert len(store) == 4
    for index, name in enumerate(store.names):
        whole = load_image(pictures / name)
        height, width = (side // 8 * 8 for side in whole.shape[:2])
        np.testing.assert_array_equal(store[index], whole[:height, :width])


def test_the_store_is_built_once_and_again_when_a_picture_changes(pictures, tmp_path, monkeypatch):
    first = PictureStore.open(pictures, tmp_path / "cache")
    monkeypatch.setattr(store_module, "load_image", lambda path: pytest.fail(f"{path} was decoded again"))
    assert PictureStore.open(pictures, tmp_path / "cache").key == first.key
    monkeypatch.undo()
    write_pictures(pictures, [(40, 40)], seed=5)
    assert PictureStore.open(pictures, tmp_path / "cache").sizes[0].tolist() == [40, 40]


def test_a_store_from_before_there_were_reductions_is_still_good(pictures, store, tmp_path):
    digest = hashlib.sha256(f"1 {pictures.resolve()}".encode())
    for path in sorted(pictures.iterdir()):
        digest.update(f"\n{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    assert store.key == f"pictures-{digest.hexdigest()[:20]}"
    file = tmp_path / "cache" / store.key / "index.json"
    index = json.loads(file.read_text())
    for entry in index["pictures"]:
        del entry["reduction"]
    file.write_text(json.dumps(index))
    again = PictureStore.open(pictures, tmp_path / "cache")
    assert again.reductions.tolist() == [1, 1, 1, 1]
    assert "reduction" not in file.read_text()  # it was not built anew


def test_a_damaged_store_is_built_again(pictures, tmp_path):
    first = PictureStore.open(pictures, tmp_path / "cache")
    pixels = tmp_path / "cache" / first.key / "pixels.bin"
    expected = first[3].copy()
    pixels.write_bytes(pixels.read_bytes()[:1000])
    np.testing.assert_array_equal(PictureStore.open(pictures, tmp_path / "cache")[3], expected)


def test_a_build_that_fails_leaves_nothing_behind(pictures, tmp_path, monkeypatch):
    def full_disk(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module.os, "fsync", full_disk)
    with pytest.raises(DatasetError, match=r"No space left.*--cache"):
        PictureStore.open(pictures, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_unreadable_pictures_are_named_and_skipped_and_subfolders_read(pictures, tmp_path):
    (pictures / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    write_pictures(pictures / "more", [(4, 100), (48, 48)])
    messages: list[str] = []
    store = PictureStore.open(pictures, tmp_path / "cache", messages.append)
    assert len(store) == 5
    assert str(Path("more", "picture1.png")) in store.names
    assert sum("broken.png" in message for message in messages) == 1
    assert any(str(Path("more", "picture0.png")) in message and "100x4" in message for message in messages)


def test_linked_folders_count_and_each_folder_once(pictures, tmp_path):
    """DF2K is usually a folder of two links. Links back and second links must neither loop nor double anything."""
    write_pictures(pictures / "more", [(48, 48)], seed=1)
    root = tmp_path / "linked"
    write_pictures(root / "own", [(64, 64)], seed=2)
    (root / "a_link").symlink_to(pictures)
    (root / "second_link").symlink_to(pictures)
    (pictures / "more" / "back").symlink_to(root)
    messages: list[str] = []
    store = PictureStore.open(root, tmp_path / "cache", messages.append)
    expected = [f"a_link/picture{index}.png" for index in range(4)] + ["a_link/more/picture0.png", "own/picture0.png"]
    assert store.names == [str(Path(name)) for name in expected]
    assert f"Found 6 pictures in 3 folders of {root}." in messages


def test_a_folder_that_cannot_be_searched_is_an_error(pictures, monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "iterdir", lambda folder: (_ for _ in ()).throw(PermissionError(13, "denied")))
    with pytest.raises(DatasetError, match=r"searched.*denied"):
        PictureStore.open(pictures, tmp_path / "cache")


def test_a_picture_at_full_size_is_not_resized(pictures, monkeypatch, tmp_path):
    """MATLAB's bicubic at factor 1 is the identity, and takes five times as long as decoding."""
    monkeypatch.setattr(store_module, "downscale_uint8", lambda picture, factor: pytest.fail(f"resized by {factor}"))
    assert len(PictureStore.open(pictures, tmp_path / "cache")) == 4


def test_no_usable_picture_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="no folder"):
        PictureStore.open(tmp_path / "missing", tmp_path / "cache")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no pictures"):
        PictureStore.open(tmp_path / "empty", tmp_path / "cache")
    (tmp_path / "empty" / "a.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"None of the 1 files.*: .+"):
        PictureStore.open(tmp_path / "empty", tmp_path / "cache")


def test_pictures_smaller_than_a_patch_are_named_and_never_drawn(store):
    patches = sampler(store, patch_size=56)
    assert patches.too_small() == ["picture1.png", "picture3.png"]  # 48 and 24 high after cropping
    drawn = {int(row[0]) for step in range(10) for row in patches.batch(step).numbers}
    assert drawn == {0, 2}
    with pytest.raises(DatasetError, match=r"128x128.*72"):
        sampler(store, patch_size=128)


@pytest.mark.parametrize("scale_factor", [4, 8])
def test_lr_patches_equal_those_of_the_whole_turned_picture(store, scale_factor):
    """At every orientation, at the picture's borders too: no trace of the patch's own border."""
    size = 32
    patches = sampler(store, scale_factor=scale_factor, batch_size=8)
    seen_orientations, at_border = set(), 0
    for step in range(12):
        batch = patches.batch(step)
        for (index, top, left, orientation), hr, lr in zip(batch.numbers.tolist(), batch.hr, batch.lr, strict=True):
            whole = store[index]
            turned = orient(whole, orientation)
            # Where the patch's pixels went, found by turning their numbers.
            numbers = np.zeros(whole.shape, dtype=bool)
            numbers[top : top + size, left : left + size] = True
            rows, columns, _ = np.nonzero(orient(numbers, orientation))
            place = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            lr_place = tuple(slice(s.start // scale_factor, s.stop // scale_factor) for s in place)
            np.testing.assert_array_equal(as_uint8(hr), turned[place])
            np.testing.assert_array_equal(as_uint8(lr), downscale_uint8(turned, scale_factor)[lr_place])
            seen_orientations.add(orientation)
            at_border += top == 0 or left == 0 or top + size == whole.shape[0] or left + size == whole.shape[1]
    assert seen_orientations == set(range(8))
    assert at_border > 5


def as_uint8(patch: torch.Tensor) -> np.ndarray:
    values = patch.numpy().transpose(1, 2, 0) * 255
    np.testing.assert_allclose(values, values.round(), atol=1e-4)
    return values.round().astype(np.uint8)


def test_positions_reach_the_last_pixel_and_stay_on_the_grid(store):
    patches = sampler(store, batch_size=64)
    numbers = np.concatenate([patches.batch(step).numbers for step in range(6)])
    assert not (numbers[:, 1:3] % 4).any()
    first = numbers[numbers[:, 0] == 0]
    assert (first[:, 1].min(), first[:, 1].max()) == (0, 80 - 32)


def test_large_pictures_are_drawn_in_proportion_to_their_area(tmp_path):
    pictures = write_pictures(tmp_path / "pictures", [(64, 64), (192, 192)])
    patches = sampler(PictureStore.open(pictures, tmp_path / "cache"), batch_size=100)
    drawn = np.concatenate([patches.batch(step).numbers[:, 0] for step in range(5)])
    assert (drawn == 1).mean() == pytest.approx(0.9, abs=0.04)


def test_reduced_pictures_are_those_of_matlabs_bicubic_and_named(pictures, tmp_path):
    messages: list[str] = []
    store = PictureStore.open(pictures, tmp_path / "cache", messages.append, reductions=(1, 2, 3))
    whole = load_image(pictures / "picture1.png")[:48, :96]  # 51 x 98; 48 and 96 are multiples of 8, 16 and 24
    for reduction, name in [(1, "picture1.png"), (2, "picture1.png (1/2)"), (3, "picture1.png (1/3)")]:
        index = store.names.index(name)
        assert store.reductions[index] == reduction
        np.testing.assert_array_equal(store[index], downscale_uint8(whole, reduction))
    assert len(store) == 12
    assert store.key != PictureStore.open(pictures, tmp_path / "cache").key

    only = write_pictures(tmp_path / "only", [(40, 40)])
    with pytest.raises(DatasetError, match=r"None of the 1 files.*it has 40x40 pixels; at least 64x64"):
        PictureStore.open(only, tmp_path / "cache", reductions=(8,))

    write_pictures(pictures, [(16, 100)])
    too_small = PictureStore.open(pictures, tmp_path / "cache", messages.append, reductions=(1, 3))
    assert "picture0.png" in too_small.names
    assert any("Skipped picture0.png (1/3)" in message and "24x24" in message for message in messages)


def test_a_picture_that_is_too_small_only_when_reduced_is_not_named(pictures, tmp_path):
    store = PictureStore.open(pictures, tmp_path / "cache", reductions=(1, 2))
    patches = sampler(store, patch_size=40)
    assert patches.too_small() == ["picture3.png"]  # 24 high
    drawn = {store.names[row[0]] for step in range(20) for row in patches.batch(step).numbers}
    assert drawn == {"picture0.png", "picture1.png", "picture2.png"}


def test_what_is_never_drawn_is_said_with_the_reductions_counted(pictures, tmp_path):
    store = PictureStore.open(pictures, tmp_path / "cache", reductions=(1, 2))
    assert sampler(store, patch_size=8).left_out() is None
    words = sampler(store, patch_size=40).left_out()  # the halves' shorter sides are 32, 24, 32 and 8
    assert words.startswith(
        "5 of 8 stored pictures (downscaling factors 1, 2 counted) are smaller than a patch of 40x40"
    )
    assert words.endswith("not used at all: picture3.png.")
    only_reduced = sampler(PictureStore.open(pictures, tmp_path / "cache", reductions=(1, 3)), patch_size=24)
    assert only_reduced.left_out().endswith("never drawn.")


def test_every_reduction_is_drawn_about_equally_often(tmp_path):
    pictures = write_pictures(tmp_path / "pictures", [(192, 192), (240, 192)])
    store = PictureStore.open(pictures, tmp_path / "cache", reductions=(1, 2, 3))
    patches = sampler(store, batch_size=100)
    drawn = np.concatenate([patches.batch(step).numbers[:, 0] for step in range(6)])
    shares = [(store.reductions[drawn] == reduction).mean() for reduction in (1, 2, 3)]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.06)


def test_of_several_places_the_one_with_the_most_detail_in_lr_is_used(tmp_path):
    """Left half: a grid of LR-sized squares. Right half: plain but for a HR chequerboard, which LR does not show."""
    rows, columns = np.indices((128, 256))
    squares = (rows // 8 + columns // 8) % 2 * 255
    chequers = (rows + columns) % 2 * 255
    picture = np.where(columns < 128, squares, chequers).astype(np.uint8)
    (tmp_path / "pictures").mkdir()
    Image.fromarray(picture).convert("RGB").save(tmp_path / "pictures" / "picture.png")
    store = PictureStore.open(tmp_path / "pictures", tmp_path / "cache")
    shares = []
    for candidates in (1, 4):
        patches = sampler(store, batch_size=100, candidates=candidates)
        left = np.concatenate([patches.batch(step).numbers[:, 2] for step in range(3)])
        shares.append((left <= 128).mean())
        assert patches.batch(0).numbers.tolist() == patches.batch(0).numbers.tolist()
    assert shares[0] == pytest.approx(33 / 57, abs=0.08)
    assert shares[1] > 0.95


def test_one_candidate_draws_what_was_drawn_before_there_were_several(store):
    """Runs that were begun earlier go on with the same patches."""
    assert sampler(store, batch_size=3).batch(7).numbers.tolist() == [[0, 4, 36, 2], [0, 0, 0, 2], [0, 36, 12, 3]]


def test_without_flips_and_rotations_pictures_stay_upright(store):
    assert not sampler(store, flips=False, rotations=False).batch(0).numbers[:, 3].any()
    assert set(sampler(store, flips=False, batch_size=64).batch(0).numbers[:, 3]) == {0, 1, 2, 3}


def test_a_batch_is_a_function_of_seed_phase_and_step(store):
    batch = sampler(store).batch(3)
    assert torch.equal(batch.hr, sampler(store).batch(3).hr)
    for other in (sampler(store).batch(4), sampler(store, seed=2).batch(3), sampler(store, stream=1).batch(3)):
        assert not torch.equal(batch.hr, other.hr)


def test_processes_share_the_batch_of_one(store):
    patches = sampler(store, noise="gaussian", noise_scale=2.0)
    whole = patches.batch(5)
    shares = [patches.batch(5, rank, 3) for rank in range(3)]
    assert torch.equal(whole.hr, torch.cat([share.hr for share in shares]))
    assert torch.equal(whole.noise, torch.cat([share.noise for share in shares]))
    assert torch.equal(whole.lr, torch.cat([share.lr for share in shares]))


def test_noise_is_as_strong_as_said_and_apart_from_hr(store):
    quiet = sampler(store, batch_size=16).batch(0)
    gaussian = sampler(store, batch_size=16, noise="gaussian", noise_scale=2.3).batch(0)
    uniform = sampler(store, batch_size=16, noise="uniform", noise_scale=8.0).batch(0)
    assert torch.equal(quiet.lr, gaussian.lr)
    assert torch.equal(quiet.hr, gaussian.hr)
    assert not quiet.noise.any()
    noise = gaussian.noise * 255
    assert noise.std().item() == pytest.approx(2.3, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.05)
    assert not torch.allclose(noise[0], noise[1])
    width = uniform.noise * 255
    assert width.abs().max().item() == pytest.approx(4.0, abs=0.01)
    assert width.std().item() == pytest.approx(8 / 12**0.5, rel=0.02)


def test_centre_crops_lie_on_the_grid(store):
    crops = dict(centre_crops(store, 3, 48, 8))
    assert [crop.shape for crop in crops.values()] == [(48, 48, 3), (48, 48, 3), (48, 48, 3)]
    np.testing.assert_array_equal(crops["picture0.png"], store[0][16:64, 8:56])


def test_prefetched_batches_come_in_order_and_errors_reach_the_caller():
    def make(step: int) -> Batch:
        if step == 6:
            raise DatasetError("picture gone")
        picture = torch.full((1,), float(step))
        return Batch(picture, picture, picture, (), None, torch.zeros(2), np.zeros(1))

    with Prefetcher(make, 3, 10, depth=2) as patches:
        assert [patches.next_batch().hr.item() for _ in range(3)] == [3, 4, 5]
        with pytest.raises(DatasetError, match="picture gone"):
            patches.next_batch()


def test_a_prefetcher_that_is_left_early_ends_its_thread():
    empty = Batch(torch.zeros(1), torch.zeros(1), torch.zeros(1), (), None, torch.zeros(2), np.zeros(1))
    with Prefetcher(lambda step: empty, 0, 10**6, depth=2) as patches:
        patches.next_batch()
    assert not patches._thread.is_alive()
