"""Families of a place without a browser: a tree, its members, and what is said where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import test_app_exploring as exploring
from test_app_exploring import ask, mask_of, picture

harness = exploring.harness

GROUPS = np.repeat([0, 100, 140, 300, 310, 1000], [40, 30, 20, 40, 20, 10])  # on a line: three families, two in two


@pytest.fixture
def grouped(engine, monkeypatch):
    """The engine's rolls come in groups."""
    original = engine._comparison

    def comparison(count: int, choose: int):
        found = original(count, choose)
        places = np.random.default_rng(0).permutation(GROUPS)[:count] + np.arange(count) / count
        object.__setattr__(found, "distances", np.square(np.subtract.outer(places, places)).astype(np.float32))
        return found

    monkeypatch.setattr(engine, "_comparison", comparison)
    return engine


def labels(harness) -> list[str]:
    return [picture(harness, name).label for name in harness.scene.walk.ids]


def roll_of(harness, name: str) -> int:
    return harness.session.view.explored.find(name).recipe.operations[-1].roll


def test_a_place_has_a_tree_of_families(harness, grouped):
    ask(harness, "families", "s1")
    assert len(grouped.explored[0].variants) == 160
    walk = harness.scene.walk
    assert (walk.kind, walk.count) == ("families", len(walk.ids))
    assert walk.levels[0] == 0
    assert walk.levels.count(0) == 3
    assert [label.split(":")[0] for label, level in zip(labels(harness), walk.levels, strict=True) if level == 0] == [
        "Family 1",
        "Family 2",
        "Family 3",
    ]
    shares = [int(label.split(": ")[1].removesuffix(" %")) for label in labels(harness)]
    assert sum(share for share, level in zip(shares, walk.levels, strict=True) if level == 0) == pytest.approx(
        99, abs=2
    )
    assert "3 families explain 100 % of the variance here" in harness.status
    assert not harness.session.can_undo, "looking at them is no step"


def test_a_branch_leads_to_its_members_and_back(harness, grouped):
    ask(harness, "families", "s1")
    inner = harness.scene.walk.levels.index(1)
    counts = {}
    for place in (inner - 1, inner):
        middle = roll_of(harness, harness.scene.walk.ids[place])
        ask(harness, "family", harness.scene.walk.ids[place])
        assert harness.scene.walk.kind == "family"
        assert harness.scene.walk.levels == ()
        assert roll_of(harness, harness.scene.walk.ids[0]) == middle, "the one in the middle first"
        counts[place] = harness.status.split("family of ")[1].split(":")[0]
        ask(harness, "families", "s1")
    assert int(counts[inner]) < int(counts[inner - 1]), "also where both have one middle"
    assert [request.choose for request in grouped.explored].count(5) == 1, "from the same rolls"
    ask(harness, "different", "s1")
    assert [request.choose for request in grouped.explored].count(5) == 1
    assert "of 160 rolls differ most" in harness.status


def test_fewer_rolls_are_not_enough_for_a_tree(harness, grouped):
    ask(harness, "different", "s1")
    ask(harness, "families", "s1")
    assert [len(request.variants) for request in grouped.explored if request.choose] == [64, 160]


def test_where_there_are_none_that_is_said(harness, engine, monkeypatch):
    original = engine._comparison
    points = np.random.default_rng(0).standard_normal((160, 300))

    def comparison(count: int, choose: int):
        found = original(count, choose)
        object.__setattr__(found, "distances", np.square(points[:, None] - points).sum(-1).astype(np.float32))
        return found

    monkeypatch.setattr(engine, "_comparison", comparison)
    ask(harness, "roll", "s1")
    ask(harness, "accept", harness.scene.walk.ids[0])
    explored = harness.scene.explored
    ask(harness, "families", explored)
    assert "No families here: groups would explain only 0 % of the variance. Only texture differs." in harness.status
    assert (harness.scene.walk, harness.scene.explored) == (None, explored)


def test_a_place_that_cannot_have_families_is_answered_in_words(harness, engine):
    ask(harness, "families", "s1", mask=mask_of(harness, 0, 0, 13, 4))
    assert "at most 12 pixels" in harness.status
    assert "13×4" in harness.status
    ask(harness, "families", "s1", mask=None)
    assert "No region is selected" in harness.status
    assert not engine.explored
