"""More ways without a browser: five of many, families, extremes, children, and one between two."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import test_app_exploring as exploring
from test_app_exploring import ask, mask_of, picture, pixels

from app.mixing import child_ways
from app.pools import MAX_FAMILY
from app.ways import NUM_WAYS
from srflow.contract import SampleRecipe, SampleRequest
from srflow.operations import Mask, Mix, Reroll, Sample

harness = exploring.harness


def labels(harness) -> list[str]:
    return [picture(harness, name).label for name in harness.scene.walk.ids]


def recipe_of(harness, name: str) -> SampleRecipe:
    return harness.session.view.explored.find(name).recipe


# ---------------------------------------------------------------- some of many


def test_five_stand_for_all_the_rolls(harness, engine):
    ask(harness, "different", "s1")
    compared, drawn = engine.explored
    assert (len(compared.variants), compared.choose) == (64, 5)
    assert len(drawn.variants) == 6, "the five, laid into what was there before"
    walk = harness.scene.walk
    assert (walk.start, walk.kind, walk.count, walk.box) == ("s1", "different", 5, (16, 20, 48, 36))
    assert labels(harness) == ["Represents 13 of 64"] * 3 + ["Represents 12 of 64"] * 2, "one is left out as odd"
    assert "5 of 64 rolls differ most, 1 odd one left out" in harness.status
    assert not harness.session.can_undo, "looking at them is no step"
    assert [recipe_of(harness, name).operations[-1].roll for name in walk.ids] == [0, 1, 2, 3, 4]


def test_other_choices_from_the_same_rolls_draw_none_of_them_again(harness, engine):
    ask(harness, "different", "s1")
    seed = engine.explored[0].variants[0][0].seed
    for action in ("typical", "extremes", "different"):
        ask(harness, "leave", "s1")
        ask(harness, action, "s1")
        assert harness.scene.walk.kind == action
        assert all(recipe_of(harness, name).operations[-1].seed == seed for name in harness.scene.walk.ids)
    assert [request.choose for request in engine.explored].count(5) == 1


def test_another_picture_or_place_is_rolled_anew(harness, engine):
    ask(harness, "different", "s1")
    ask(harness, "extremes", "s2")
    ask(harness, "extremes", "s2", mask=mask_of(harness, 0, 0, 6, 8))
    ask(harness, "extremes", "s2", mask=None)
    ask(harness, "accept", harness.scene.walk.ids[0])
    ask(harness, "extremes", harness.scene.explored, mask=None)
    assert [request.choose for request in engine.explored].count(5) == 5


def test_without_a_place_there_are_fewer_and_they_are_whole(harness, engine):
    ask(harness, "typical", "s1", mask=None)
    compared = engine.explored[0]
    assert len(compared.variants) == 24
    assert all(variant == (Mix(variant[0].other, math.pi / 2),) for variant in compared.variants)
    assert len({variant[0].other for variant in compared.variants}) == 24
    assert "5 of 24 pictures are most typical" in harness.status


def test_extremes_are_named_and_one_that_is_two_comes_once(harness, engine, monkeypatch):
    original = engine._comparison

    def with_one_for_all(count: int, choose: int):
        comparison = original(count, choose)
        return replace(comparison, extremes={**comparison.extremes, "darkest": 0, "nearest to the mean": 7})

    monkeypatch.setattr(engine, "_comparison", with_one_for_all)
    ask(harness, "extremes", "s2")
    assert labels(harness) == ["Smoothest, darkest", "Sharpest", "Nearest to the mean"]


def test_a_family_begins_with_its_own_and_goes_by_nearness(harness, engine):
    ask(harness, "different", "s1")
    third = harness.scene.walk.ids[2]
    ask(harness, "family", third)
    walk = harness.scene.walk
    assert (walk.start, walk.kind, walk.count) == ("s1", "family", 13)
    assert [recipe_of(harness, name).operations[-1].roll for name in walk.ids] == list(range(2, 63, 5))
    assert labels(harness)[:2] == ["Member 1", "Member 2"]
    ask(harness, "accept", walk.ids[1])
    assert harness.session.can_undo


def test_a_large_family_shows_its_nearest(harness, engine, monkeypatch):
    original = engine._comparison
    monkeypatch.setattr(engine, "_comparison", lambda count, _: original(count, 1))
    ask(harness, "different", "s1")
    ask(harness, "family", harness.scene.walk.ids[0])
    assert harness.scene.walk.count == MAX_FAMILY
    assert f"The nearest {MAX_FAMILY} of a family of 63" in harness.status


def test_only_those_that_stand_for_others_have_a_family(harness):
    for kind in ("roll", "extremes", "different"):
        ask(harness, "leave", "s1")
        before = harness.session.view
        ask(harness, "family", "s1")
        assert "no family" in harness.status
        assert harness.session.view == before
        ask(harness, kind, "s1")
        if kind != "different":
            ask(harness, "family", harness.scene.walk.ids[0])
            assert "no family" in harness.status
    ask(harness, "family", "s1")
    assert "no family" in harness.status


def test_stop_leaves_what_was_there(harness, engine):
    ask(harness, "roll", "s1")
    ask(harness, "accept", harness.scene.walk.ids[0])
    explored = harness.scene.explored
    data = {
        "action": "different",
        "id": explored,
        "mask": mask_of(harness),
        "dial": 0,
        "subject": harness.scene.subject,
    }
    rolling = harness.stream(harness.results.viewer, "explore", data)
    next(rolling)
    assert harness.scene.walk.count == 5, "places are kept from the beginning"
    harness.fire(harness.controls.stop)
    list(rolling)
    assert (harness.scene.explored, harness.scene.walk) == (explored, None)
    ask(harness, "different", explored)
    assert len(harness.scene.walk.ids) == 5


# ---------------------------------------------------------------- mixes


def test_children_of_two_samples_are_shares_of_both(harness, engine):
    ask(harness, "children", "s1", others=["s4"], mask=None)
    walk = harness.scene.walk
    assert (walk.start, walk.kind, len(walk.ids)) == ("s1", "children", NUM_WAYS)
    [request] = engine.explored
    mixes = [mix for (mix,) in request.variants[1:]]
    assert {mix.other for mix in mixes} == {Sample(request.recipe.seed, 4)}, "noise alone, no list in a list"
    assert all(0 < angle < math.pi / 2 for mix in mixes for angle in (mix.angle, mix.coarse_angle))
    assert len({(mix.angle, mix.coarse_angle) for mix in mixes}) == NUM_WAYS
    assert all(mix.mask is None for mix in mixes)
    ask(harness, "accept", walk.ids[3])
    assert harness.scene.explored == walk.ids[3]


def test_children_of_samples_at_a_place_change_nothing_else(harness):
    ask(harness, "children", "s1", others=["s4", "s6"])
    before = pixels(picture(harness, "s1").path)
    outside = np.ones(before.shape[:2], bool)
    outside[20:36, 16:48] = False
    for name in harness.scene.walk.ids:
        assert np.array_equal(pixels(picture(harness, name).path)[outside], before[outside])
        assert len(recipe_of(harness, name).operations) == 2, "towards one after the other"


def test_rolls_of_a_place_are_mixed_in_its_box(harness, engine):
    ask(harness, "roll", "s1")
    first, second = harness.scene.walk.ids[1], harness.scene.walk.ids[4]
    ask(harness, "children", first, others=[second], mask=None)
    request = engine.explored[-1]
    assert [one.roll for one in request.recipe.operations] == [1], "from the first parent on"
    (mix,) = request.variants[1]
    assert mix.mask.array()[5:9, 4:12].min() == 255
    assert mix.other[-1] == Reroll(Mask.from_values(mask_of(harness)), mix.other[-1].seed, 4)
    assert harness.scene.walk.start == "s1", "before, there was the sample"


@pytest.mark.parametrize("count", [2, 3, 5])
def test_shares_are_even_on_average(engine, count):
    request = SampleRequest(lr=np.zeros((4, 4, 3), np.uint8))
    recipes = [engine.recipe(replace(request, first_index=number)) for number in range(count)]
    weights = []
    for seed in range(60):
        for way in child_ways(recipes, None, seed)[0]:
            left = 1.0
            own = []
            for mix in reversed(way.operations):
                part = mix.angle / (math.pi / 2)
                own.append(left * part)
                left *= 1 - part
            weights.append([left, *reversed(own)])
    assert np.allclose(np.mean(weights, 0), 1 / count, atol=0.03)


def test_the_slider_moves_one_picture_that_can_be_kept(harness, engine):
    ask(harness, "between", "s1", others=["s4"], dial=30, mask=None)
    first = harness.scene.walk
    assert (first.kind, first.start, first.count) == ("between", "s1", 1)
    assert (first.blend.ends, first.blend.percent, first.ids) == (("s1", "s4"), 30, (first.blend.id,))
    shown = picture(harness, first.blend.id).path
    ask(harness, "between", "s1", others=["s4"], dial=70, mask=None)
    second = harness.scene.walk
    assert (second.ids, second.blend.percent) == (first.ids, 70), "the same picture, elsewhere on the way"
    assert picture(harness, second.blend.id).path != shown
    assert not shown.exists()
    assert recipe_of(harness, second.blend.id).operations[-1].angle == pytest.approx(0.7 * math.pi / 2)
    assert not harness.session.can_undo
    ask(harness, "accept", second.blend.id)
    assert harness.scene.explored == second.blend.id
    assert harness.session.can_undo


def test_between_two_rolls_the_others_stay_in_sight(harness, engine):
    ask(harness, "roll", "s1")
    rolls = harness.scene.walk.ids
    for dial in (20, 60):
        ask(harness, "between", rolls[0], others=[rolls[5]], dial=dial, mask=None)
    walk = harness.scene.walk
    assert walk.kind == "roll"
    assert walk.ids == (*rolls, walk.blend.id)
    assert walk.count == 9
    (mix,) = engine.explored[-1].variants[1]
    assert mix.mask.support == (4, 5, 12, 9)
    ask(harness, "leave", "s1")
    assert (harness.scene.walk, harness.scene.explored) == (None, None)


def test_the_newest_position_wins(harness, engine):
    engine.delay = 0.05
    data = {"action": "between", "id": "s1", "mask": None, "dial": 10, "others": ["s4"]}
    old = harness.stream(harness.results.viewer, "explore", data | {"subject": harness.scene.subject})
    newer = harness.stream(harness.results.viewer, "explore", data | {"dial": 80, "subject": harness.scene.subject})
    list(newer)
    list(old)
    assert harness.scene.walk.blend.percent == 80


def test_leaving_a_mix_of_samples_keeps_what_was_explored(harness):
    ask(harness, "roll", "s1")
    ask(harness, "accept", harness.scene.walk.ids[0])
    explored = harness.scene.explored
    for action in ("between", "children"):
        ask(harness, action, "s2", others=["s3"])
        assert harness.scene.walk.start == explored
        ask(harness, "leave", explored)
        assert harness.scene.explored == explored


def test_mixes_that_cannot_be_are_refused_in_words(harness, engine):
    before = harness.session.view
    many = [f"s{number}" for number in range(8)]
    for action, others, words in (
        ("children", [], "needs at least two"),
        ("children", ["s1"], "different pictures"),
        ("between", [], "needs at least two"),
        ("between", ["s2", "s3"], "3 are ticked"),
        ("between", ["mean"], "Only samples"),
        ("children", ["s2", "../s3"], "Only samples"),
        ("children", many, "At most 8"),
        ("children", "s1", "At most 8"),
    ):
        ask(harness, action, "s1", others=others)
        assert words in harness.status
        assert harness.session.view == before
    assert engine.explored == []


# ---------------------------------------------------------------- kinds of latents


def test_neighbours_may_differ_in_some_latents_only(harness, engine):
    found = {}
    for detail in ("all", "coarse", "fine"):
        ask(harness, "more", "s1", mask=None, detail=detail)
        found[detail] = [mix for (mix,) in engine.explored[-1].variants[1:]]
    angle = 0.4 * math.pi / 2
    assert {(mix.angle, mix.coarse_angle) for mix in found["all"]} == {(angle, None)}
    assert {(mix.angle, mix.coarse_angle) for mix in found["coarse"]} == {(0.0, angle)}
    assert {(mix.angle, mix.coarse_angle) for mix in found["fine"]} == {(angle, 0.0)}
    assert found["all"][0].other == found["coarse"][0].other == found["fine"][0].other, "the same neighbours"
