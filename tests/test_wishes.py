"""Wishes: measures of made-up pictures, and aims with answers known beforehand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from srflow.contract import InputError
from srflow.steering.strokes import Stroke, open_share
from srflow.steering.wishes import (
    Brightness,
    Colour,
    Like,
    Roughness,
    Scribble,
    Stripes,
    TwoTone,
    Wish,
    angle_for,
    find_aim,
    remark,
    wish_from_values,
)

RNG = np.random.default_rng
ONES = np.ones((32, 32))


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(np.rint(values), 0, 255).astype(np.uint8)[..., None], 3, 2)


def waves(period: float, direction: float, height: float = 40.0, side: int = 32) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side]
    along = columns * math.cos(math.radians(direction)) + rows * math.sin(math.radians(direction))
    return grey(128 + height * np.sin(2 * math.pi * along / period))


NOISE = grey(RNG(0).uniform(100, 160, (32, 32)))


def test_roughness_is_the_slope_of_a_ramp() -> None:
    rows, columns = np.mgrid[:32, :32]
    assert Roughness().measure(grey(3 * columns + 4 * rows), ONES) == pytest.approx(5, abs=1e-6)
    assert Roughness().measure(grey(np.full((32, 32), 80.0)), ONES) == 0
    assert Roughness().measure(NOISE, ONES) > 5


def test_only_the_place_counts() -> None:
    weight = np.zeros((32, 32))
    weight[4:8, 4:8] = 1
    picture = np.full((32, 32, 3), 10, np.uint8)
    picture[4:8, 4:8] = 250, 100, 0
    luma = 250 * 0.299 + 100 * 0.587
    assert Brightness().measure(picture, weight) == pytest.approx(luma)
    assert Colour(250, 100, 0).measure(picture, weight) == 0
    assert Colour(250, 97, 4).measure(picture, weight) == pytest.approx(-5)
    assert Roughness().measure(picture, weight) < Roughness().measure(picture, weight + 0.1) * 10


def test_two_levels_are_cleaner_than_a_ramp_whatever_their_contrast() -> None:
    rows, _ = np.mgrid[:32, :32]
    clean = [TwoTone().measure(grey(np.where(rows < 16, 100, 100 + step)), ONES) for step in (8, 100)]
    assert clean == pytest.approx([0, 0], abs=1e-9)
    soft = TwoTone().measure(grey(100 + 3 * rows), ONES)
    noisy = TwoTone().measure(NOISE, ONES)
    assert max(soft, noisy) < -0.1
    assert TwoTone().measure(np.full((32, 32, 3), 7, np.uint8), ONES) == 0, "one level is clean"


@pytest.mark.parametrize(("period", "direction"), [(6, 0), (6, 90), (8, 45), (5.5, 120)])
def test_stripes_are_found_by_period_and_direction(period: float, direction: float) -> None:
    picture = waves(period, direction, height=40)
    right = Stripes(period, direction).measure(picture, ONES)
    # The covariance of a sine with itself is 40² / 2, and with its opposite the negative of it.
    assert right == pytest.approx(1600, rel=0.15)
    assert Stripes(period, (direction + 90) % 180).measure(picture, ONES) < 0.3 * right
    assert Stripes(period / 2, direction).measure(picture, ONES) < -0.3 * right
    assert abs(Stripes(period, direction).measure(NOISE, ONES)) < 0.2 * right


def test_a_picture_is_most_like_its_own_texture() -> None:
    wish = Like(waves(6, 0))
    own, shifted, other = (wish.measure(picture, ONES) for picture in (waves(6, 0), waves(6, 0)[:, ::-1], waves(6, 90)))
    assert own >= shifted > other
    assert wish.measure(waves(6, 0) // 2 + 60, ONES) > other, "brightness does not count"


def test_an_aim_weighs_rolls_by_how_far_they_are_from_their_mean() -> None:
    values = RNG(1).normal(50, 3, 64)
    aim = find_aim(Brightness(), values.tolist(), 56.0, RNG(2).normal(-100, 5, 64).tolist())
    assert np.corrcoef(aim.weights, values)[0, 1] == pytest.approx(1, abs=1e-6)
    assert max(map(abs, aim.weights)) == 32767
    assert aim.deviations(values.mean()) == pytest.approx(0)
    assert aim.deviations(values.mean() + 2 * values.std(ddof=1)) == pytest.approx(2)
    assert aim.log_probs == tuple(sorted(aim.log_probs))
    middle = float(np.median(aim.log_probs))
    assert aim.plausibility(middle) == 1
    assert aim.plausibility(aim.log_probs[0] - 1) == aim.plausibility(aim.log_probs[-1] + 30) == 0
    assert 0.2 < aim.plausibility(middle + 3.4) < 0.8, "a sample's usual distance"


def test_an_aim_of_a_linear_measure_reaches_as_many_deviations_as_the_root_of_the_rolls() -> None:
    """A flow made by hand: picture = noise, measure = the noise's projection on one direction."""
    rng = RNG(3)
    noises, direction = rng.standard_normal((64, 20_000)), rng.standard_normal(20_000)
    direction /= np.linalg.norm(direction)
    values = noises @ direction
    aim = find_aim(Brightness(), values.tolist(), 0.0, [0.0] * 64)
    mixture = np.array(aim.weights) @ noises / np.linalg.norm(aim.weights)
    assert np.square(mixture).mean() == pytest.approx(1, abs=0.03), "ordinary noise"
    assert aim.deviations(mixture @ direction) == pytest.approx(8, abs=0.5)


def test_where_nothing_differs_or_little_is_known_there_is_no_aim() -> None:
    with pytest.raises(InputError, match="neither darker nor brighter"):
        find_aim(Brightness(), [3.0] * 20, 3.0, [0.0] * 20)
    with pytest.raises(InputError, match="16 rolls"):
        find_aim(Brightness(), [1.0, 2.0], 1.0, [0.0, 0.0])
    with pytest.raises(InputError, match="16 rolls"):
        find_aim(Brightness(), [math.nan] * 20, 1.0, [0.0] * 20)


def test_a_target_is_reached_at_the_smallest_angle() -> None:
    angles, values = [-2.0, -1.0, 0.0, 1.0, 2.0], [5.0, 3.0, 0.0, 4.0, 6.0]
    assert angle_for(2.0, angles, values) == (pytest.approx(0.5), True)
    assert angle_for(3.0, angles, values) == (pytest.approx(0.75), True)
    assert angle_for(9.0, angles, values) == (2.0, False)
    assert angle_for(-1.0, angles, values) == (0.0, False)


@pytest.mark.parametrize(
    "wish", [Roughness(), Brightness(), TwoTone(), Stripes(6, 45), Colour(1, 2, 3), Like(waves(5, 0, side=8))]
)
def test_wishes_survive_json(wish: Wish) -> None:
    again = wish_from_values(wish.to_values())
    assert again.to_values() == wish.to_values()
    assert again.measure(NOISE, ONES) == wish.measure(NOISE, ONES)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (None, "one of"),
        ({"type": ["roughness"]}, "one of"),
        ({"type": "wealth"}, "wealth"),
        ({"type": "roughness", "amount": 3}, "nothing else"),
        ({"type": "stripes", "period": 6}, "period, direction"),
        ({"type": "stripes", "period": 1.5, "direction": 0}, "1.5"),
        ({"type": "stripes", "period": math.nan, "direction": 0}, "nan"),
        ({"type": "stripes", "period": True, "direction": 0}, "True"),
        ({"type": "colour", "red": 1, "green": 2, "blue": 256}, "256"),
        ({"type": "like", "reference": [[1, 2], [3]]}, "rows of pixels"),
        ({"type": "like", "reference": [[[1, 2, 3]]]}, r"\(1, 1, 3\)"),
        ({"type": "like", "reference": "all"}, "rows of pixels"),
        ({"type": "like", "reference": [[[1.5, 2, 3]] * 8] * 8}, "rows of pixels"),
        ({"type": "like", "reference": [[["1", "2", "3"]] * 8] * 8}, "rows of pixels"),
        ({"type": "like", "reference": [[[1, 2, 256]] * 8] * 8}, "rows of pixels"),
    ],
)
def test_anything_else_is_refused_by_name(values: object, what: str) -> None:
    with pytest.raises(InputError, match=what):
        wish_from_values(values)


def test_a_place_too_small_for_a_patch_is_refused() -> None:
    with pytest.raises(InputError, match="4x4"):
        Like(waves(6, 0)).measure(NOISE[:4, :4], np.ones((4, 4)))


def test_a_place_too_narrow_for_stripes_is_refused() -> None:
    with pytest.raises(InputError, match="too narrow for stripes every 12"):
        Stripes(12, 0).measure(NOISE[:, :12], ONES[:, :12])
    Stripes(12, 90).measure(NOISE[:, :12], ONES[:, :12])


# ---------------------------------------------------------------- scribbles


def line(want: str = "brighter", width: float = 2, points: tuple = (4, 8, 20, 8), colour: tuple = ()) -> Stroke:
    return Stroke(want, width, points, colour)


def test_a_stroke_covers_what_it_says() -> None:
    coverage = line().coverage(16, 24)
    assert (coverage[7:9, 4:20] == 1).all()  # y = 8 is the edge of two rows
    assert coverage[:6].max() == coverage[10:].max() == 0
    assert coverage.sum() == pytest.approx(2 * 16 + math.pi, abs=0.6), "with round ends"
    assert line(width=3, points=(10, 8)).coverage(16, 24).sum() == pytest.approx(math.pi * 1.5**2, rel=0.05), "a dot"
    assert np.allclose(line(points=(4, 8, 20, 8, 20, 2)).coverage(16, 24)[3:7, 19:21], 1), "round the corner"
    assert line(points=(4.1, 8.13, 1.0, 2)).points == (4.0, 8.25, 1.0, 2.0)


def test_a_scribble_is_measured_under_its_strokes_alone() -> None:
    picture = np.full((16, 24, 3), 100, np.uint8)
    picture[7:9] = 160
    ones = np.ones((16, 24))
    middle = line(points=(8, 8, 16, 8), width=1)  # half of both rows: nothing else
    assert Scribble((middle,)).measure(picture, ones) == pytest.approx(160)
    assert Scribble((line("darker", 1, (8, 8, 16, 8)),)).measure(picture, ones) == pytest.approx(-160)
    red = Scribble((line("colour", 1, (8, 8, 16, 8), (160, 160, 130)),))
    assert red.measure(picture, ones) == pytest.approx(-math.sqrt(300))
    below = line("darker", 1, (8, 12, 16, 12))
    assert Scribble((middle, below)).measure(picture, ones) == pytest.approx((160 - 100) / 2), "by area"
    assert Scribble((middle,)).measure(picture, ones) > Scribble((middle,)).measure(picture[::-1] // 2, ones)
    with pytest.raises(InputError, match="No stroke is inside"):
        Scribble((line(points=(500, 500)),)).measure(picture, ones)


def test_a_scribble_comes_back_from_its_values() -> None:
    scribble = Scribble((line(), line("colour", 1.5, (1, 2), (1, 2, 3))))
    assert wish_from_values(json.loads(json.dumps(scribble.to_values()))) == scribble


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"want": "lighter"}, "brighter, darker, colour; got 'lighter'"),
        ({"width": 0.5}, "1 to 4 pixels wide; got 0.5"),
        ({"width": float("nan")}, "1 to 4 pixels wide"),
        ({"width": True}, "1 to 4 pixels wide"),
        ({"points": [1, 2, 3]}, "x and y of 1 to 128"),
        ({"points": []}, "x and y of 1 to 128"),
        ({"points": [1, 2] * 129}, "x and y of 1 to 128"),
        ({"points": [1, -1]}, "from 0 to 1024"),
        ({"points": [1, "2"]}, "from 0 to 1024"),
        ({"points": "1, 2"}, "are lists"),
        ({"colour": [1, 2, 3]}, "others none"),
        ({"want": "colour"}, "take red, green and blue"),
        ({"want": "colour", "colour": [1, 2, 256]}, "from 0 to 255"),
        ({"more": 1}, "want, width and points"),
    ],
)
def test_strokes_that_cannot_be_are_refused(changes: dict, message: str) -> None:
    stroke = {"want": "brighter", "width": 2, "points": [1, 2, 3, 4]} | changes
    with pytest.raises(InputError, match=message):
        wish_from_values({"type": "scribble", "strokes": [stroke]})


@pytest.mark.parametrize("strokes", [None, [], "none", [1], [{"want": "brighter", "width": 2, "points": [1, 2]}] * 33])
def test_too_many_strokes_or_none_are_refused(strokes: object) -> None:
    with pytest.raises(InputError):
        wish_from_values({"type": "scribble", "strokes": strokes})


def test_what_the_input_fixes_of_strokes_is_known() -> None:
    everywhere = [line(width=4, points=(0, y, 48, y)) for y in range(0, 49, 2)]
    assert open_share(everywhere, 48, 48, 4) < 0.1, "all of a place: the input knows its mean"
    comb = [line("darker" if y % 2 else "brighter", 1, (0, y + 0.5, 48, y + 0.5)) for y in range(48)]
    assert open_share(comb, 48, 48, 4) > 0.9, "rows in turns: the input sees nothing of them"
    wide, narrow = (open_share([line(width=width, points=(8, 20, 40, 20))], 48, 48, 4) for width in (4, 1))
    assert wide < 0.4 < narrow


def test_of_strokes_it_is_said_what_contradicts_the_input() -> None:
    loose = find_aim(Scribble((line(),)), list(np.linspace(0, 40, 24)), 20, [0.0] * 24)
    tight = find_aim(Scribble((line(),)), list(np.linspace(0, 1, 24)), 0.5, [0.0] * 24)
    broad, fine = Scribble((line(width=4, points=(4, 4, 30, 30)),)), Scribble((line(width=1, points=(9, 9)),))
    assert "The input determines 8" in (remark(broad, loose, (12, 12), 4) or "")
    assert remark(fine, loose, (12, 12), 4) is None
    assert "The model leaves little freedom along these strokes" in (remark(fine, tight, (12, 12), 4) or "")
    assert "only ±0.3 grey levels. More would contradict the input." in (remark(Brightness(), tight, (12, 12), 4) or "")
