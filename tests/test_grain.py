"""Grain of another region: what is added, how pieces meet, and the result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import test_editing as editing
import torch
from test_editing import draw, laid_in

from srflow.contract import GrainRequest, InputError, SampleRecipe, SampleRequest, SampleResult, Variant, Verdict
from srflow.images import downscale_uint8, upscale_uint8
from srflow.operations import Given, Mask, describe_list
from srflow.sampling import graining
from srflow.sampling.engine import SamplingEngine
from srflow.sampling.graining import Graining
from srflow.steering.grain import lay_grain

engine, lr, drawn = editing.engine, editing.lr, editing.drawn

MASK = Mask.from_array(np.pad(np.full((12, 12), 255, np.uint8), ((9, 11), (10, 10))))
INSIDE = np.s_[40:80, 44:84]  # HR, where nothing is faded


def stripes(height: int, width: int) -> np.ndarray:
    """Every 5 pixels, which an LR picture at x4 does not see."""
    wave = 128 + 50 * np.sin(2 * np.pi * np.arange(width) / 5)
    return np.broadcast_to(np.rint(wave)[None, :, None], (height, width, 3)).astype(np.uint8).copy()


def ask(
    engine: SamplingEngine, lr: np.ndarray, recipe: SampleRecipe, **changes: object
) -> tuple[list[Variant], Verdict]:
    values = {"lr": lr, "recipe": recipe, "mask": MASK, "source": stripes(64, 64)} | changes
    events = list(engine.grain(GrainRequest(**values)))
    verdict = events[-1]
    assert isinstance(verdict, Verdict)
    return [event for event in events if isinstance(event, Variant)], verdict


def stripe_strength(picture: np.ndarray) -> float:
    """How large the wave of 5 pixels is in the place, in grey levels."""
    luma = picture[INSIDE].astype(float).mean(2)
    return 2 * abs((luma.mean(0) * np.exp(-2j * np.pi * np.arange(luma.shape[1]) / 5)).mean())


def test_grain_is_laid_onto_what_the_input_has(lr: np.ndarray) -> None:
    plain = np.full((40, 40, 3), 90, np.uint8)
    without = lay_grain(lr, plain, (10, 9, 22, 21), 4, 0)
    rounding = np.abs(without.astype(int) - upscale_uint8(lr, 4)[36:84, 40:88])
    assert rounding.max() <= 1
    source = stripes(48, 48) + np.arange(48, dtype=np.uint8)[None, :, None]  # what the reduction keeps stays there
    with_grain = lay_grain(lr, source, (10, 9, 22, 21), 4, 0).astype(float)
    change = with_grain - without
    assert np.abs(change[4:-4, 4:-4].std() - 50 / np.sqrt(2)) < 5, "as strong as there"
    assert np.ptp(change[8:-8, 8:-8], axis=2).max() <= 60
    reduced = np.abs(downscale_uint8(with_grain.astype(np.uint8), 4).astype(float) - lr[9:21, 10:22])
    assert reduced[2:-2, 2:-2].mean() < 6, "the input is nearly as it was"


def test_pieces_of_a_small_source_fill_a_large_place_evenly() -> None:
    lr = np.full((40, 40, 3), 128, np.uint8)
    noise = np.random.default_rng(0).normal(128, 30, (40, 32)).clip(0, 255).astype(np.uint8)
    source = np.repeat(noise[..., None], 3, axis=2)
    laid = lay_grain(lr, source, (0, 0, 40, 40), 4, 5).astype(float)[..., 0] - 128
    for strips in (laid.reshape(40, 4, 160).std((1, 2)), laid.reshape(160, 40, 4).std((0, 2))):
        assert strips.min() > 0.85 * strips.mean(), "no seam is weaker"
        assert strips.max() < 1.15 * strips.mean()
    correlation = np.corrcoef(laid[:16, :16].ravel(), laid[:16, 22:38].ravel())[0, 1]
    assert abs(correlation) < 0.5, "pieces are cut at random"
    again = lay_grain(lr, source, (0, 0, 40, 40), 4, 5)
    np.testing.assert_array_equal(again[..., 0], laid + 128)
    assert (lay_grain(lr, source, (0, 0, 40, 40), 4, 6) != again).any()


def test_grain_comes_over_and_the_recipe_draws_it_again(
    engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult
) -> None:
    variants, verdict = ask(engine, lr, drawn.recipe)
    before = stripe_strength(drawn.picture)
    pictures = [laid_in(drawn.picture, variant) for variant in variants]
    assert stripe_strength(pictures[0]) > before + 30
    assert stripe_strength(pictures[1]) > before + 2
    assert min(variant.lr_psnr for variant in variants) > 60
    assert verdict.kept[0] > 0.7
    assert abs(verdict.deviations[1]) < abs(verdict.deviations[0])
    for variant, picture, origin in zip(variants, pictures, ("grain", "natural grain"), strict=True):
        [given] = variant.recipe.operations
        assert isinstance(given, Given)
        assert given.origin == origin
        again = SampleRecipe.from_json(variant.recipe.to_json())
        np.testing.assert_array_equal(draw(engine, SampleRequest.from_recipe(again, lr)).picture, picture)
    assert describe_list(variants[1].recipe.whole_list).endswith("given other grain and made natural")


def test_the_grain_of_another_sample_is_as_likely_as_a_sample(
    engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult
) -> None:
    other = draw(engine, SampleRequest(lr=lr, num_samples=1, seed=11, summaries=False))
    _, verdict = ask(engine, lr, drawn.recipe, source=other.picture[36:84, 40:88])
    assert abs(verdict.deviations[1]) < 2.5
    assert verdict.kept[1] > 0.5


def test_what_is_no_grain_is_refused(engine: SamplingEngine, lr: np.ndarray, drawn: SampleResult) -> None:
    with pytest.raises(InputError, match="has 40x20 pixels; at x4 each side needs at least 24"):
        ask(engine, lr, drawn.recipe, source=stripes(20, 40))
    with pytest.raises(InputError, match="of 8 bits"):
        ask(engine, lr, drawn.recipe, source=stripes(40, 40)[..., 0])
    with pytest.raises(InputError, match="mask is for a picture of 9x9"):
        ask(engine, lr, drawn.recipe, mask=Mask.from_array(np.full((9, 9), 255, np.uint8)))
    with pytest.raises(InputError, match="seed"):
        ask(engine, lr, drawn.recipe, seed=-1)
    with pytest.raises(InputError, match="another LR picture"):
        ask(engine, 255 - lr, replace(drawn.recipe))


def test_grain_is_tried_weaker_then_with_noise_then_stronger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graining, "to_usual", lambda drawn, *_: [torch.full_like(level, 2.0) for level in drawn])
    before, drawn = [torch.tensor([[[3.0]]])], [torch.tensor([[[10.0]]])]
    ways = [level.item() for [level] in Graining._natural(None, before, drawn, [], None)]
    assert ways[:4] == pytest.approx([20, 17, 14, 12]), "at the size of samples' latents, then weaker"
    assert ways[4] == pytest.approx(np.sqrt(0.4) * 3 + np.sqrt(0.6) * 20)
    assert ways[-6:] == pytest.approx([23, 26, 28, 30, 32, 36]), "all of it, stronger"
