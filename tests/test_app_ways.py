"""More ways on the real page, with the fake engine: five of many, ticks, children, and a slider between two."""

from __future__ import annotations

import numpy as np
import pytest
import test_app_explore as explore
from playwright.sync_api import expect
from test_app_explore import WALK, Explorer

from srflow.operations import Mix

pytestmark = [pytest.mark.browser, pytest.mark.slow]

engine, url, visit = explore.engine, explore.url, explore.visit

PARENTS = "viewer.exploring.parents"
READY = "[...viewer.pictures.values()].every(p => p.state === 'ready')"


def ask_menu(visit: Explorer, name: str) -> None:
    visit.page.get_by_role("button", name="More ways").click()
    visit.page.get_by_role("group", name="More ways").get_by_role("button", name=name).click()


def wait_for_ways(visit: Explorer, kind: str) -> list[str]:
    """Until all of a kind are there, and one of them is shown."""
    visit.wait_for_viewer(
        f"{WALK}.message?.kind === {kind!r} && {WALK}.message.ids.length === {WALK}.message.count && {READY}"
        f" && {WALK}.message.ids.includes(viewer.current)"
    )
    expect(visit.page.locator("#status .done")).to_contain_text("Escape leaves")
    return visit.viewer(f"{WALK}.message.ids")


def captions(visit: Explorer) -> list[str]:
    return visit.page.locator(".lv-walk-label").all_inner_texts()


def tick(visit: Explorer, index: int, modifiers: tuple[str, ...] = ()) -> None:
    """Click a pane, at a place that nothing lies over."""
    visit.canvas(index).click(position={"x": 20, "y": 60}, modifiers=list(modifiers))


def slide(visit: Explorer, key: str) -> None:
    visit.page.get_by_label("From the first picture to the second, in percent").press(key)


def wait_for_percent(visit: Explorer, percent: int) -> str:
    visit.wait_for_viewer(f"viewer.scene.walk?.blend?.percent === {percent} && {READY}")
    return visit.viewer("viewer.scene.walk.blend.id")


def test_five_that_differ_a_family_and_the_extremes_of_the_same_rolls(visit, engine):
    visit.paint(1, (0.3, 0.4), (0.5, 0.5))
    engine.explored.clear()
    ask_menu(visit, "Five that differ")
    five = wait_for_ways(visit, "different")
    assert visit.now == five[0]
    assert [text.replace("\n", " ") for text in captions(visit)][:2] == ["Before", "Represents 13 of 64"]
    visit.press("ArrowRight", "ArrowDown")
    family = wait_for_ways(visit, "family")
    assert captions(visit)[:3] == ["Before", "1", "2"]
    assert visit.now == family[0]
    visit.page.get_by_role("button", name="Back", exact=True).click()
    wait_for_ways(visit, "different")
    visit.page.get_by_role("button", name="Its family").click()
    wait_for_ways(visit, "family")
    visit.press("ArrowUp")
    wait_for_ways(visit, "different")
    ask_menu(visit, "typical")  # a choice, which leaves the menu open
    visit.page.get_by_role("button", name="Extremes").click()
    wait_for_ways(visit, "extremes")
    assert captions(visit) == ["Before", "Smoothest", "Sharpest"]
    visit.press("ArrowRight")
    expect(visit.page.locator(".lv-walk-title")).to_have_text("Sharpest")
    kept = visit.keep()
    assert engine.explored[0].recipe.operations == ()
    assert [request.choose for request in engine.explored].count(5) == 1, "all of it from the same rolls"
    ask_menu(visit, "Five typical ones")
    wait_for_ways(visit, "typical")
    assert visit.viewer(f"{WALK}.message.start") == kept
    visit.page.evaluate("sessionStorage.clear()")


def test_families_are_a_tree_whose_nodes_lead_to_their_members(visit, engine):
    visit.choose_box(3, 4, 8, 6)
    engine.explored.clear()
    ask_menu(visit, "Families")
    tree = wait_for_ways(visit, "families")
    words = captions(visit)
    assert len(words) == len(tree) + 1
    branches = visit.page.locator(".lv-walk-cell[data-level='0']")
    assert branches.count() == 3
    assert branches.first.locator(".lv-walk-label").inner_text().startswith("1: ")
    leaf, branch = (visit.page.locator(f".lv-walk-cell[data-level='{level}'] canvas").first for level in (1, 0))
    assert leaf.bounding_box()["width"] < branch.bounding_box()["width"]
    visit.page.locator(".lv-walk-cell[data-level='1'] .lv-walk-thumb").first.click()
    assert visit.now == tree[1]
    visit.page.get_by_role("button", name="Its family").click()
    family = wait_for_ways(visit, "family")
    assert visit.page.locator(".lv-walk-cell[data-level='0']").count() == 0
    assert visit.now == family[0]
    visit.page.get_by_role("button", name="Back", exact=True).click()
    wait_for_ways(visit, "families")
    assert [request.choose for request in engine.explored].count(5) == 1


def test_the_menu_is_left_by_escape_or_by_looking_elsewhere(visit):
    opener = visit.page.get_by_role("button", name="More ways")
    panel = visit.page.locator(".lv-ways")
    opener.press("Enter")
    expect(panel).to_be_visible()
    assert opener.get_attribute("aria-expanded") == "true"
    visit.press("Escape")
    expect(panel).to_be_hidden()
    expect(opener).to_be_focused()
    opener.click()
    visit.canvas(0).click(position={"x": 20, "y": 60})
    expect(panel).to_be_hidden()
    assert visit.viewer("viewer.mode") == "grid"


def test_ticked_samples_have_children(visit, engine):
    ask_menu(visit, "Mix pictures")
    children = visit.page.get_by_role("button", name="Eight mixtures")
    assert children.is_disabled()
    tick(visit, 1)
    expect(visit.page.locator(".lv-mix-words")).to_have_text("Sample 2 is ticked. Choose another one.")
    tick(visit, 4)
    tick(visit, 2)
    assert visit.viewer(f"{PARENTS}.ids") == ["s1", "s4", "s2"]
    tick(visit, 4)
    assert visit.page.locator(".lv-ticked").count() == 2
    visit.walk(children.click)
    assert engine.explored[-1].recipe.index == 1
    assert {mix.other.index for (mix,) in engine.explored[-1].variants[1:]} == {2}
    visit.press("ArrowRight", "ArrowRight")
    kept = visit.keep()
    assert visit.now == kept
    visit.page.locator(".lv-mix").get_by_role("button", name="Done").click()
    assert visit.viewer(f"{PARENTS}.ids") == []


def test_a_slider_between_two_changes_the_picture_in_place(visit, engine):
    before = len(engine.explored)
    tick(visit, 1, ("Shift",))
    tick(visit, 3, ("Shift",))
    slide(visit, "End")
    name = wait_for_percent(visit, 100)
    visit.wait_for_viewer(f"viewer.mode === 'single' && viewer.current === {name!r}")
    first = visit.file(name)
    expect(visit.page.get_by_label("From the first picture to the second, in percent")).to_be_focused()
    slide(visit, "Home")
    assert wait_for_percent(visit, 0) == name
    assert visit.now == name
    assert not np.array_equal(visit.file(name), first)
    angles = [request.variants[1][0].angle for request in engine.explored[before:]]
    assert angles == [pytest.approx(np.pi / 2), 0.0]
    assert visit.page.locator("#undo").is_disabled(), "nothing is kept yet"
    slide(visit, "PageUp")
    percent = int(visit.page.get_by_label("From the first picture to the second, in percent").input_value())
    wait_for_percent(visit, percent)
    assert visit.keep() == name
    assert visit.page.locator("#undo").is_enabled()


def test_of_many_positions_the_last_one_is_drawn_and_not_all(visit, engine):
    tick(visit, 0, ("Shift",))
    tick(visit, 5, ("Shift",))
    before = len(engine.explored)
    engine.delay = 0.3  # so that positions come faster than pictures
    try:
        for _ in range(30):
            slide(visit, "ArrowRight")
        wait_for_percent(visit, 30)
    finally:
        engine.delay = 0.0
    assert visit.viewer(f"{PARENTS}.latest.next") is None
    assert engine.explored[-1].variants[1][0].angle == pytest.approx(0.3 * np.pi / 2)
    assert 2 <= len(engine.explored) - before < 30
    visit.press("Escape")
    visit.wait_for_viewer("!viewer.scene.walk")
    assert visit.viewer("viewer.mode") == "grid"
    assert visit.viewer("viewer.scene.explored") is None


def test_rolls_are_ticked_in_their_strip(visit, engine):
    visit.paint(1, (0.3, 0.4), (0.5, 0.5))
    rolls = visit.walk(lambda: visit.press("r"))
    visit.page.get_by_role("button", name="Tick Roll 2").click()
    visit.press("ArrowRight", "ArrowRight", "ArrowRight", "j")
    assert visit.viewer(f"{PARENTS}.ids") == [rolls[1], rolls[3]]
    assert visit.page.get_by_role("button", name="Tick Roll 4").get_attribute("aria-pressed") == "true"
    slide(visit, "End")
    name = wait_for_percent(visit, 100)
    assert visit.viewer(f"{WALK}.message.ids") == [*rolls, name], "the rolls stay beside it"
    (mix,) = engine.explored[-1].variants[1]
    assert isinstance(mix, Mix)
    assert mix.mask is not None
    visit.press("Escape")
    visit.wait_for_viewer("!viewer.scene.walk")
    assert visit.viewer(f"{PARENTS}.isOpen") is False, "what was ticked is gone"


def test_neighbours_differ_in_what_is_chosen(visit, engine):
    visit.page.locator("#viewer .lv-stage").focus()
    visit.press("4")
    visit.walk(visit.page.get_by_role("button", name="More like this").click)
    other = [mix.other for (mix,) in engine.explored[-1].variants[1:]]
    visit.walk(lambda: visit.page.get_by_label("In what neighbours differ").select_option("coarse"))
    mixes = [mix for (mix,) in engine.explored[-1].variants[1:]]
    assert [mix.other for mix in mixes] == other
    assert {mix.angle for mix in mixes} == {0.0}
    assert [mix.coarse_angle for mix in mixes] == pytest.approx([0.35 * np.pi / 2] * 8)


def test_on_a_phone_the_row_is_no_taller_and_the_menu_fits(browser, url):
    phone = Explorer(browser, url, viewport={"width": 390, "height": 844}, has_touch=True)
    phone.open()
    phone.wait_for_viewer(f"viewer.pictures.size > 8 && {READY}")
    edges = "[...document.querySelectorAll('.lv-explore > :not(p)')].map(node => node.getBoundingClientRect())"
    places = phone.page.evaluate(f"() => {edges}.map(({{ top, bottom }}) => [top, bottom])")
    place, neighbours, temperature, menu = places
    assert menu == temperature == place, "beside each other"
    assert neighbours[0] >= place[1]
    assert neighbours[1] - neighbours[0] == place[1] - place[0], "no line is broken"
    phone.page.get_by_role("button", name="More ways").tap()
    box = phone.page.locator(".lv-ways").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    phone.close()
