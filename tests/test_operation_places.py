"""Places found by a rule: on pictures made so that the right place is known."""

from __future__ import annotations

import numpy as np
import pytest

from srflow.errors import OperationError
from srflow.operations import flat_areas, uncertain_areas

RNG = np.random.default_rng(0)


def textured(height: int = 40, width: int = 60) -> np.ndarray:
    """Detail everywhere."""
    return RNG.integers(60, 200, (height, width, 3)).astype(np.uint8)


def test_a_plain_sky_over_grass_is_flat_and_the_grass_is_not():
    picture = textured()
    picture[:20] = (90, 140, 220)
    found = flat_areas(picture).array()
    assert (found[:16] == 255).all()
    assert not found[22:].any()


def test_a_gentle_gradient_with_a_little_noise_is_flat_too():
    picture = textured()
    ramp = np.linspace(60, 120, 30)[None, :, None] + RNG.normal(0, 1, (40, 30, 3))
    picture[:, :30] = np.rint(ramp)
    found = flat_areas(picture).array()
    assert found[:, 1:25].mean() > 240
    assert not found[:, 34:].any()


def test_flat_is_said_by_degrees():
    found = []
    for noise in (4, 5):
        grain = np.rint(90 + RNG.normal(0, noise, (20, 40, 1))).astype(np.uint8)
        found.append(flat_areas(np.broadcast_to(grain, (20, 40, 3))).array().mean())
    assert 255 > found[0] > found[1] > 0


def test_lettering_on_a_plain_wall_is_left_out_with_what_is_between_its_strokes():
    picture = np.full((40, 60, 3), 180, np.uint8)
    picture[15:25, 10:50:3] = 20  # strokes, two pixels of wall between them
    found = flat_areas(picture).array()
    assert not found[15:25, 10:50].any()
    assert (found[:10] == 255).all()


def test_where_there_is_detail_everywhere_nothing_is_flat():
    with pytest.raises(OperationError, match="detail everywhere"):
        flat_areas(textured())


def test_places_of_twice_the_usual_deviation_come_to_half_the_temperature():
    deviation = np.full((160, 240), 3.0)
    deviation[40:100, 60:140] = 6.0  # LR rows 10 to 25, columns 15 to 35
    deviation[120:160, 200:] = 1.0
    found = uncertain_areas(deviation, 60, 40).array()
    assert found[12:22, 18:32] == pytest.approx(255 / 2, abs=20)
    assert not found[:6].any()
    assert not found[33:, 53:].any(), "what is calm stays as it is"


def test_no_place_is_made_calmer_than_a_fifth():
    deviation = np.full((40, 60), 1.0)
    deviation[10:30, 10:30] = 1000.0
    assert uncertain_areas(deviation, 60, 40).array().max() == pytest.approx(255 * 0.8, abs=20)


def test_sizes_and_maps_that_give_no_place_are_refused():
    with pytest.raises(OperationError, match="equally everywhere"):
        uncertain_areas(np.full((160, 240), 2.0), 60, 40)
    with pytest.raises(OperationError, match="equally everywhere"):
        uncertain_areas(np.zeros((160, 240)), 60, 40)
    with pytest.raises(OperationError, match="240x160"):
        uncertain_areas(np.full((160, 240), 2.0), 61, 40)
