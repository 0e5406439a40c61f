"""Drawing (a stream that must never change), scaling, mixing, editing and storing latents."""

from __future__ import annotations

import hashlib
import math
import pickle

import numpy as np
import pytest
import torch
from numpy.random import Philox
from safetensors.torch import save_file

from srflow import noise
from srflow.contract import InputError
from srflow.latents import Latents, draw, draw_region, mix, read_metadata, replace, resize_map, walk

SHAPES = [(6, 8, 12), (24, 4, 6)]


def identical(a: Latents, b: Latents) -> bool:
    return a.shapes == b.shapes and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def close(a: Latents, b: Latents, tolerance: float = 1e-6) -> bool:
    return a.shapes == b.shapes and all(float((x - y).abs().max()) <= tolerance for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def a() -> Latents:
    return draw(SHAPES, 3, seed=1)


@pytest.fixture(scope="module")
def b() -> Latents:
    return draw(SHAPES, 3, seed=2)


# -- the stream --------------------------------------------------------------------------------------------------------


def test_numpy_gives_philox_as_published():
    # Known answer of the Random123 library for counter 0 and key 0; numpy counts up before it draws.
    words = Philox(key=0, counter=2**256 - 1).random_raw(4)
    assert [hex(word) for word in words] == [
        "0x16554d9eca36314c",
        "0xdb20fe9d672d0fdc",
        "0xd7e772cee186176b",
        "0x7e68b68aec7ba23b",
    ]


def test_known_answers():
    """Saved recipes (seed, sample, size) must give these values for ever, on every machine."""
    drawn = draw([(6, 4, 5), (12, 2, 3)], 2, seed=0)
    assert drawn[0][0, :3, 0, 0].tolist() == [-2.916203260421753, -0.6468852758407593, 1.2855403423309326]
    assert drawn[0][1, 0, 3, 4].item() == 0.9204152226448059
    assert drawn[1][1, 11, 1, 2].item() == -1.2619198560714722

    last_seed = draw([(3, 2, 2)], 1, seed=2**64 - 1, first_sample=7)[0].flatten().tolist()
    assert [value.hex() for value in last_seed[:4]] == [
        "-0x1.3f19fe0000000p+0",
        "0x1.2965980000000p-6",
        "0x1.24e2600000000p+1",
        "0x1.7703e40000000p+0",
    ]
    many = draw([(12, 64, 64)], 1, seed=2026)[0].numpy().astype("<f4").tobytes()
    assert hashlib.sha256(many).hexdigest() == "ae7855e6e370037c65c5898a53add3201917817918c3668592c6d7c37f4afb49"


def test_transform_is_box_mullers():
    words = np.random.default_rng(0).integers(0, 2**64, 100_000, dtype=np.uint64)
    words[:4] = [0, 2**64 - 1, 2**32 - 1, 2**64 - 2**32]  # the ends of radius and angle
    u = ((words >> np.uint64(32)).astype(np.float64) + 0.5) / 2**32
    angle = 2 * np.pi * (((words & np.uint64(2**32 - 1)).astype(np.float64) + 0.5) / 2**32 - 0.5)
    radius = np.sqrt(-2 * np.log(u))
    expected = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()
    values = noise._box_muller(words)
    assert values.dtype == np.float32
    assert np.abs(values - expected).max() < 5e-7  # half of float32's spacing at 6.7, and a little
    assert np.abs(values).max() == pytest.approx(math.sqrt(66 * math.log(2)), abs=1e-5)


def test_sample_depends_on_seed_and_number_only():
    together = draw(SHAPES, 5, seed=3)
    for i in range(5):
        assert identical(draw(SHAPES, 1, seed=3, first_sample=i), together.samples(i))
    assert identical(draw(SHAPES, 2, seed=3, first_sample=2), together.samples(slice(2, 4)))


def test_drawing_ignores_torchs_and_numpys_own_seeds_and_dtype(a):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        again = draw(SHAPES, 3, seed=1)
    finally:
        torch.set_default_dtype(torch.float32)
    assert identical(a, again)
    assert again.dtype == torch.float32
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("rows", [slice(0, 1), slice(3, 9), slice(None), slice(-2, None)])
@pytest.mark.parametrize("columns", [slice(0, 1), slice(5, 11), slice(None), slice(10, 13)])
@pytest.mark.parametrize("channels", [1, 6, 7])
def test_region_is_cut_from_the_whole(rows, columns, channels):
    shape = (channels, 11, 13)
    whole = draw([(2, 3, 3), shape], 2, seed=9)[1][1]
    assert torch.equal(draw_region(shape, 1, 1, 9, rows, columns), whole[:, rows, columns])


def test_region_is_drawn_in_bands(monkeypatch):
    shape = (6, 40, 30)
    whole = draw_region(shape, 0, 0, 4)
    tile = draw_region(shape, 0, 0, 4, slice(3, 33), slice(2, 28))
    monkeypatch.setattr("srflow.latents.drawing._VALUES_PER_BAND", 1000)
    monkeypatch.setattr(noise, "_WORDS_PER_CHUNK", 64)
    assert torch.equal(draw_region(shape, 0, 0, 4), whole)
    assert torch.equal(draw_region(shape, 0, 0, 4, slice(3, 33), slice(2, 28)), tile)


def test_tile_of_a_very_large_level_costs_no_more_than_itself():
    # The whole level would take 400 GB.
    shape = (6, 2**17, 2**17)
    tile = draw_region(shape, 0, 0, 0, slice(2**17 - 2, None), slice(2**17 - 3, None))
    assert tile.shape == (6, 2, 3)
    wider = draw_region(shape, 0, 0, 0, slice(2**17 - 2, None), slice(2**17 - 9, None))
    assert torch.equal(wider[..., -3:], tile)


def test_values_are_standard_normal():
    values = draw([(16, 256, 256)], 1, seed=11)[0].double().flatten()
    n = values.numel()
    assert torch.isfinite(values).all()
    assert abs(values.mean()) < 5 / math.sqrt(n)
    assert abs(values.var() - 1) < 5 * math.sqrt(2 / n)
    assert abs(values.pow(3).mean()) < 5 * math.sqrt(15 / n)
    assert abs(values.pow(4).mean() - 3) < 5 * math.sqrt(96 / n)
    for bound in (0.1, 1.0, 2.0, 3.0, 4.0):  # the tails, both of them
        p = 0.5 * math.erfc(bound / math.sqrt(2))
        for share in ((values > bound).double().mean(), (values < -bound).double().mean()):
            assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / n)


def test_streams_are_independent():
    shapes = [(8, 128, 128), (8, 128, 128)]
    seeds = {s: draw(shapes, 2, seed=s) for s in (0, 1, 2, 2**32, 2**63)}
    streams = {(s, i, k): seeds[s][k][i].double().flatten() for s in seeds for i in range(2) for k in range(2)}
    matrix = torch.corrcoef(torch.stack(list(streams.values())))
    matrix.fill_diagonal_(0.0)
    assert matrix.abs().max() < 5.5 / math.sqrt(8 * 128 * 128)
    assert not torch.equal(seeds[1][0][0], seeds[0][0][1])  # what `seed + i` would do


def test_neighbours_are_independent():
    level = draw([(8, 128, 128)], 1, seed=5)[0][0].double()
    for x, y in [
        (level[:, :, 1:], level[:, :, :-1]),
        (level[:, 1:], level[:, :-1]),
        (level[1:], level[:-1]),
        (level[0::2], level[1::2]),  # the two values of a pair
        (level[0::2].square(), level[1::2].square()),
    ]:
        correlation = torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1]
        assert abs(correlation) < 5 / math.sqrt(x.numel())


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "1", None, True, np.bool_(True)])
def test_bad_seed(seed):
    with pytest.raises(InputError, match="seed"):
        draw(SHAPES, 1, seed=seed)


def test_numpy_integers_are_seeds():
    assert identical(draw(SHAPES, np.int32(1), seed=np.uint64(2**64 - 1)), draw(SHAPES, 1, seed=2**64 - 1))


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_samples": 0},
        {"num_samples": True},
        {"first_sample": -1},
        {"first_sample": 2**64},
        {"shapes": []},
        {"shapes": [(1, 2)]},
        {"shapes": [(1, 0, 2)]},
        {"shapes": [(1, 2.0, 2)]},
    ],
)
def test_bad_draw(arguments):
    with pytest.raises(InputError):
        draw(**{"shapes": SHAPES, "num_samples": 1, "seed": 0, **arguments})


@pytest.mark.parametrize("region", [slice(3, 3), slice(0, 4, 2), slice(9, 12), slice(4, 0, -1)])
def test_bad_region(region):
    with pytest.raises(InputError, match="rows"):
        draw_region((2, 8, 8), 0, 0, 0, rows=region)
    with pytest.raises(InputError, match="columns"):
        draw_region((2, 8, 8), 0, 0, 0, columns=region)


# -- the sequence ------------------------------------------------------------------------------------------------------


def test_is_an_immutable_sequence_of_levels(a):
    assert len(a) == 2
    assert [tuple(level.shape) for level in a] == [(3, 6, 8, 12), (3, 24, 4, 6)]
    assert a[-1] is a[1]
    assert a[:1] == (a[0],)
    assert (a.num_samples, a.shapes, a.dtype) == (3, ((6, 8, 12), (24, 4, 6)), torch.float32)
    assert a.device == torch.device("cpu")
    with pytest.raises(TypeError):
        a[0] = a[1]
    with pytest.raises(AttributeError):
        a.levels = []
    assert "(24, 4, 6)" in repr(a)
    assert identical(pickle.loads(pickle.dumps(a)), a)


def test_levels_must_fit_each_other():
    x = torch.zeros(2, 3, 4, 4)
    for levels in ([], [x[0]], [x.half()], [x.numpy()], [x, x[:1]], [x, x.double()], [x[:, :0]], [x.long()]):
        with pytest.raises(InputError):
            Latents(levels)


def test_samples_and_cat(a, b):
    assert identical(a.samples(-1), a.samples(2))
    assert a.samples(1).num_samples == 1
    assert torch.equal(a.samples(slice(None, None, -1))[0], a[0].flip(0))
    joined = Latents.cat([a, b.samples(0)])
    assert joined.num_samples == 4
    assert identical(joined.samples(3), b.samples(0))
    for index in (3, -4, slice(3, None)):
        with pytest.raises(InputError):
            a.samples(index)
    with pytest.raises(InputError):
        Latents.cat([])
    with pytest.raises(InputError, match="different sizes"):
        Latents.cat([a, draw(SHAPES[:1], 1, seed=0)])


def test_to_keeps_values_and_dtype(a):
    assert identical(a.to("cpu"), a)
    assert a.to("meta").device.type == "meta"


# -- temperature and density -------------------------------------------------------------------------------------------


def test_temperature_scales_the_same_noise(a):
    for temperature in (0.9, np.float32(0.9), torch.tensor(0.9), np.array(0.9)):
        for scaled in (a * temperature, temperature * a):
            assert close(scaled, Latents([level * 0.9 for level in a]))
    assert all(float(level.abs().max()) == 0.0 for level in a * 0)


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_temperature_per_level(a, kind):
    for scaled in (a * kind([0.5, 2.0]), kind([0.5, 2.0]) * a):
        assert close(scaled, Latents([0.5 * a[0], 2.0 * a[1]]))


@pytest.mark.parametrize("shape", [(8, 12), (1, 1, 8, 12), (3, 1, 8, 12)])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_temperature_map(a, shape, kind):
    values = np.linspace(0.1, 1.0, math.prod(shape), dtype=np.float32).reshape(shape)
    scaled = a * kind(values)
    assert close(scaled, kind(values) * a, 0.0)
    whole = torch.from_numpy(values).reshape(-1, 1, 8, 12)
    assert torch.allclose(scaled[0], a[0] * whole)  # the finest level has the map's size
    assert torch.allclose(scaled[1], a[1] * resize_map(whole, (4, 6)))


def test_temperature_map_of_one_value_is_that_number(a):
    for size in [(1, 1), (3, 5), (64, 96)]:
        assert close(a * np.full(size, 0.7), a * 0.7, 1e-5)


def test_temperature_map_stays_in_place(a):
    values = np.zeros((16, 24))
    values[:, 12:] = 1.0
    for level, scaled in zip(a, a * values, strict=True):
        half = level.shape[-1] // 2
        assert float(scaled[..., : half - 1].abs().max()) == 0.0
        assert torch.allclose(scaled[..., half + 1 :], level[..., half + 1 :])


def test_resized_maps_keep_their_range():
    values = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (1, 1, 37, 23)).astype(np.float32))
    for size in [(5, 7), (37, 23), (80, 100), (20, 100), (80, 7), (1, 1)]:
        resized = resize_map(values, size)
        assert tuple(resized.shape[-2:]) == size
        assert float(resized.min()) >= 0.0
        assert float(resized.max()) <= 1.0 + 1e-6
    assert float(resize_map(values, (1, 1))) == pytest.approx(float(values.mean()))


@pytest.mark.parametrize(
    "temperature",
    [
        *(-0.1, math.nan, math.inf, True, "1", None, 1j),
        *([1.0], [1.0, 2.0, 3.0], [1.0, -1.0], [1.0, True], [[1.0, 2.0], [3.0, 4.0]], np.array([1.0, np.nan])),
        *(np.full((2, 2), -1.0), np.full((2, 2), np.nan), np.full((2, 2), np.inf), np.zeros((0, 2))),
        *(
            np.ones((1, 2, 2)),
            np.ones((2, 1, 4, 4)),
            np.ones((1, 3, 4, 4)),
            np.full((2, 2), "x"),
            torch.zeros(2, 2) * 1j,
        ),
    ],
)
def test_bad_temperature(a, temperature):
    with pytest.raises(InputError):
        a * temperature


def test_bad_temperature_is_named(a):
    with pytest.raises(InputError, match=r"at least 0; got -0\.25"):
        a * -0.25
    with pytest.raises(InputError, match=r"2 levels; got 3 temperatures"):
        a * [1, 1, 1]
    with pytest.raises(InputError, match=r"got \(2, 1, 4, 4\)"):
        a * np.ones((2, 1, 4, 4))


def test_log_prob_is_the_normals(a):
    normal = torch.distributions.Normal(torch.tensor(0.0).double(), torch.tensor(1.0).double())
    expected = sum(normal.log_prob(level.double()).sum(dim=(1, 2, 3)) for level in a)
    assert a.log_prob().shape == (3,)
    assert torch.allclose(a.log_prob(), expected, rtol=1e-12)


# -- mixing and editing ------------------------------------------------------------------------------------------------


def test_mix(a, b):
    assert close(mix(a, b, 0.0), a)
    assert close(mix(a, b, math.pi / 2), b)
    assert close(mix(a, b, math.pi / 6), Latents([0.8660254 * x + 0.5 * y for x, y in zip(a, b, strict=True)]))
    assert close(mix(a.samples(0), b, 0.4).samples(2), mix(a.samples(0), b.samples(2), 0.4))


def test_mix_stays_standard_normal():
    a, b = draw([(8, 128, 128)], 1, seed=1), draw([(8, 128, 128)], 1, seed=2)
    for operation in (mix(a, b, 1.0), walk(a, b, 0.3), replace(a, b, np.full((4, 4), 0.3))):
        values = operation[0].double()
        assert abs(values.mean()) < 5 / math.sqrt(values.numel())
        assert abs(values.var() - 1) < 5 * math.sqrt(2 / values.numel())


def test_walk_ends_at_both(a, b):
    assert close(walk(a, b, 0.0), a)
    assert close(walk(a, b, 1.0), b)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.8])
def test_walk_turns_at_a_constant_rate_and_norms_change_linearly(a, b, t):
    b = b * [2.0, 0.5]
    for x, y, z in zip(a, b, walk(a, b, t), strict=True):
        x, y, z = (level.double().flatten(1) for level in (x, y, z))
        cos = torch.nn.functional.cosine_similarity
        assert torch.allclose(cos(x, z).acos(), t * cos(x, y).acos(), atol=1e-5)
        assert torch.allclose(cos(z, y).acos(), (1 - t) * cos(x, y).acos(), atol=1e-5)
        assert torch.allclose(z.norm(dim=1), (1 - t) * x.norm(dim=1) + t * y.norm(dim=1), rtol=1e-6)


def test_walk_leaves_alone_what_agrees(a, b):
    other = Latents([a[0], b[1]])
    assert close(walk(a, other, 0.5), Latents([a[0], walk(a, b, 0.5)[1]]))
    assert close(walk(a, a, 0.5), a)
    assert close(walk(a, a * 3.0, 0.5), a * 2.0)


def test_walk_to_the_opposite_and_to_zero(a):
    opposite = Latents([-level for level in a])
    for t in (0.0, 0.25, 0.5, 1.0):
        middle = walk(a, opposite, t)
        for x, z in zip(a, middle, strict=True):
            assert torch.allclose(x.flatten(1).norm(dim=1), z.flatten(1).norm(dim=1), rtol=1e-5)
            cos = torch.nn.functional.cosine_similarity(x.flatten(1), z.flatten(1))
            assert torch.allclose(cos, torch.tensor(math.cos(t * math.pi)), atol=1e-5)
    assert close(walk(a, a * 0, 0.25), a * 0.75)
    assert close(walk(a * 0, a, 0.25), a * 0.25)
    assert close(walk(a * 0, a * 0, 0.5), a * 0)
    single = Latents([torch.ones(1, 1, 1, 1)])  # one value has no way round
    assert torch.isfinite(walk(single, Latents([-single[0]]), 0.5)[0]).all()


def test_walk_goes_by_sample(a, b):
    assert close(walk(a, b, 0.3).samples(1), walk(a.samples(1), b.samples(1), 0.3))
    assert close(walk(a.samples(0), b, 0.3).samples(2), walk(a.samples(0), b.samples(2), 0.3))


def test_replace_by_a_hard_mask(a, b):
    mask = np.zeros((8, 12), dtype=bool)
    mask[2:6, 4:8] = True
    result = replace(a, b, mask)
    assert torch.equal(result[0], torch.where(torch.from_numpy(mask), b[0], a[0]))
    assert torch.equal(result[1][:, :, 0], a[1][:, :, 0])
    assert identical(replace(a, b, np.zeros((3, 3))), a)
    assert identical(replace(a, b, torch.ones(1, 1, 5, 5)), b)


def test_replace_by_a_soft_mask(a, b):
    mask = np.full((8, 12), 0.36)
    assert close(replace(a, b, mask), Latents([0.8 * x + 0.6 * y for x, y in zip(a, b, strict=True)]))
    each = np.stack([np.zeros((1, 4, 4)), np.ones((1, 4, 4)), np.zeros((1, 4, 4))])
    assert identical(replace(a, b, each).samples(1), b.samples(1))
    assert identical(replace(a, b.samples(0), each).samples(1), b.samples(0))


def test_results_do_not_touch_their_inputs(a, b):
    before = [level.clone() for level in (*a, *b)]
    _ = a * 2.0, mix(a, b, 1.0), walk(a, b, 0.5), replace(a, b, np.full((4, 4), 0.5)), a.log_prob()
    assert all(torch.equal(x, y) for x, y in zip(before, (*a, *b), strict=True))


def test_bad_edits(a, b):
    smaller = draw(SHAPES[:1], 3, seed=0)
    for edit in (
        lambda: mix(a, smaller, 0.0),
        lambda: mix(a, b.samples(slice(2)), 0.0),
        lambda: mix(a, b, math.inf),
        lambda: mix(a, Latents([level.double() for level in b]), 0.0),
        lambda: walk(a, b, 1.5),
        lambda: walk(a, b, math.nan),
        lambda: walk(a, b, "0.5"),
        lambda: replace(a, b, np.full((2, 2), 1.5)),
        lambda: replace(a, b, np.full((2, 2), -0.5)),
        lambda: replace(a, b, 0.5),
        lambda: replace(a, b, np.ones(4)),
    ):
        with pytest.raises(InputError):
            edit()


# -- files -------------------------------------------------------------------------------------------------------------


def test_save_and_load(a, tmp_path):
    path = tmp_path / "latents.safetensors"
    a.save(path, {"seed": "1", "note": "größer"})
    assert identical(Latents.load(path), a)
    assert read_metadata(path) == {"seed": "1", "note": "größer"}
    (a * 0.5).to("cpu").save(path)
    assert identical(Latents.load(path), a * 0.5)
    assert read_metadata(path) == {}
    assert [file.name for file in tmp_path.iterdir()] == ["latents.safetensors"]


def test_save_many_levels_and_views(tmp_path):
    many = Latents([torch.full((1, 1, 1, 12), float(i), requires_grad=True)[..., ::2] for i in range(12)])
    many.save(tmp_path / "x")
    assert [float(level[0, 0, 0, 0]) for level in Latents.load(tmp_path / "x")] == list(range(12))


def test_bad_metadata(a, tmp_path):
    for metadata in ({"seed": 1}, {1: "seed"}, {"format": "mine"}):
        with pytest.raises(InputError):
            a.save(tmp_path / "x", metadata)
    assert list(tmp_path.iterdir()) == []


def test_damaged_files(a, tmp_path):
    path = tmp_path / "latents.safetensors"
    a.save(path)
    content = path.read_bytes()
    damages = [b"", b"not latents", content[:4], content[:100], content[:-1], b"\xff" * 8 + content[8:]]
    for damaged in damages:
        path.write_bytes(damaged)
        for read in (Latents.load, read_metadata):
            with pytest.raises(InputError, match="damaged"):
                read(path)
    for read in (Latents.load, read_metadata):
        with pytest.raises(InputError, match="no such file"):
            read(tmp_path / "nowhere")


def test_other_safetensors_are_told_apart(a, tmp_path):
    path = tmp_path / "other.safetensors"
    for tensors, metadata in (
        ({"level_0": a[0]}, None),
        ({"weight": a[0]}, {"format": "srflow-latents"}),
        ({"level_1": a[0]}, {"format": "srflow-latents"}),
        ({}, {"format": "srflow-latents"}),
        ({"level_0": a[0].half()}, {"format": "srflow-latents"}),
        ({"level_0": a[0] * math.nan}, {"format": "srflow-latents"}),
    ):
        save_file(tensors, path, metadata)
        with pytest.raises(InputError):
            Latents.load(path)
