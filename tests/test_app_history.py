"""The history as a strip: thumbnails, names and pins; going anywhere; comparing; and links to what was explored."""

from __future__ import annotations

import base64
import zlib
from urllib.parse import parse_qs, parse_qsl, urlencode

import numpy as np
import pytest
from fake_engine import FakeEngine
from page_harness import Harness
from PIL import Image
from test_app_exploring import ask, mask_of, picture, pixels

from app import links
from app.history import History
from app.records import View
from app.thumbnails import SIDE, make_thumbnail
from app.visitors import Sessions
from srflow.operations import Draw, Mask, Reroll, to_address


@pytest.fixture
def harness(engine, sessions) -> Harness:
    return Harness(engine, sessions, opening=True)


def keep(harness: Harness, way: int, name: str | None = None, **changes) -> str:
    """Roll a region of a picture, and keep one of the variants."""
    ask(harness, changes.pop("action", "roll"), name or harness.scene.explored or "s1", **changes)
    ask(harness, "accept", harness.scene.walk.ids[way])
    return harness.scene.explored


def go(harness: Harness, number: object) -> None:
    harness.fire(harness.results.viewer, "travel", {"number": number})


def mark(harness: Harness, action: str, number: int, serial: int | None = None, **changes) -> None:
    data = {"action": action, "number": number, "name": "", "is_pinned": False} | changes
    harness.fire(harness.results.viewer, "mark", data, serial)


def captions(harness: Harness) -> list[str]:
    return [step.name or step.caption for step in harness.scene.steps]


def draw_many(harness: Harness) -> None:
    """Draw more sets than the history keeps."""
    harness.change("num_samples", 1)
    for number in range(25):
        harness.change("seed", number + 1)
        harness.fire(harness.controls.seed, "input")


def current(harness: Harness):
    [step] = [step for step in harness.scene.steps if step.is_current]
    return step


# ---------------------------------------------------------------- the tree


def numbers_of(history: History) -> list[int]:
    return [step.number for step in history.steps()]


def test_pinned_steps_outlast_all_others_and_gaps_are_bridged():
    history = History(View(measure="0"), max_steps=4)
    history.push(View(measure="1"))
    history.current.is_pinned = True
    for number in range(2, 9):
        history.push(View(measure=str(number)))
    assert numbers_of(history) == [1, 6, 7, 8], "the pinned root stays, the oldest after it go"
    assert [history.undo().measure for _ in range(3)] == ["7", "6", "1"]
    assert history.undo() is None
    assert [history.redo().measure for _ in range(3)] == ["6", "7", "8"]


def test_a_pinned_step_amid_others_stays_as_well():
    history = History(View(measure="0"), max_steps=4)
    for number in range(1, 9):
        history.push(View(measure=str(number))).is_pinned = number in (2, 4)
    assert numbers_of(history) == [2, 4, 7, 8]
    assert [history.undo().measure for _ in range(3)] == ["7", "4", "2"]


def test_pinned_steps_go_when_there_are_no_others():
    history = History(View(measure="0"), max_bytes=100)
    for number in range(1, 5):
        step = history.push(View(measure=str(number)))
        step.is_pinned = True
        history.set_bytes(step, 40)
    assert numbers_of(history) == [3, 4]


def test_branches_are_kept_when_a_step_between_goes():
    history = History(View(measure="0"), max_steps=5)
    history.push(View(measure="1"))
    for name in "234":
        history.push(View(measure=name)).is_pinned = True
        history.undo()
    history.go(4)
    history.push(View(measure="5"))
    assert numbers_of(history) == [1, 2, 3, 4, 5]
    history.push(View(measure="6"))
    assert numbers_of(history) == [1, 2, 3, 4, 6], "the root of three branches has to stay"
    assert [history.undo().measure for _ in range(2)] == ["4", "1"]


# ---------------------------------------------------------------- thumbnails


def test_thumbnails_show_the_place_with_a_margin(tmp_path):
    array = np.zeros((300, 400, 3), np.uint8)
    array[100:150, 200:260] = 255
    Image.fromarray(array).save(tmp_path / "a.png")
    shown = thumbnail_of(tmp_path, (200, 100, 260, 150))
    assert shown.shape == (SIDE, SIDE, 3)
    assert shown[SIDE // 2, SIDE // 2].tolist() == [255] * 3
    assert shown[0].max() == shown[:, 0].max() == 0
    assert 0.2 < (shown[..., 0] > 128).mean() < 0.6
    assert thumbnail_of(tmp_path, None).mean() < 40, "of the middle, the whole height"
    corner = thumbnail_of(tmp_path, (390, 290, 400, 300))
    assert corner.max() == 0, "at an edge it stays inside"


def thumbnail_of(folder, box) -> np.ndarray:
    (folder / "thumbnail.png").write_bytes(make_thumbnail(folder / "a.png", box))
    return pixels(folder / "thumbnail.png")


def test_each_finished_step_has_one_thumbnail_which_goes_with_it(harness):
    assert harness.scene.steps == (), "one step is no history"
    keep(harness, 2)
    keep(harness, 0, action="more")
    steps = harness.scene.steps
    assert captions(harness) == ["8 samples", "Variant 3", "40 % away"]
    assert [step.kind for step in steps] == ["samples", "explored", "explored"]
    assert [step.parent for step in steps] == [None, steps[0].number, steps[1].number]
    assert steps[1].words == "sample 2 of seed 0; then region at the upper left re-rolled, 3rd variant"
    assert all(Image.open(step.path).size == (SIDE, SIDE) for step in steps)
    keep(harness, 1)
    assert [step.path for step in harness.scene.steps[:3]] == [step.path for step in steps], "made once"
    assert len(list(harness.session.folder.glob("thumbnail-*"))) == 4
    draw_many(harness)
    left = harness.scene.steps
    assert len(left) == 24
    assert all(step.path.exists() for step in left)
    harness.fire(harness.page.undo)  # the end of this tidies up after the last one
    assert len(list(harness.session.folder.glob("thumbnail-*"))) == 24
    assert not steps[1].path.exists()


def test_a_set_that_is_drawn_becomes_a_step_at_its_end(harness):
    keep(harness, 2)
    drawing = harness.stream(harness.controls.sample)
    while harness.session.view.run.settings.seed == 0 or not harness.session.view.run.samples:
        next(drawing)
    assert captions(harness) == ["8 samples", "Variant 3"]
    list(drawing)
    assert captions(harness) == ["8 samples", "Variant 3", "8 samples"]
    assert "temperature 0.9" in current(harness).words
    harness.fire(harness.picture.examples[2])
    assert captions(harness) == ["8 samples", "Variant 3", "8 samples", "Coffee"]
    assert current(harness).words.startswith("coffee opened, ")
    harness.fire(harness.controls.sample)
    assert captions(harness) == ["8 samples", "Variant 3", "8 samples", "Coffee", "8 samples"]


# ---------------------------------------------------------------- going there, names and pins


def test_any_step_is_one_event_away_across_branches(harness):
    first = keep(harness, 2)
    second = keep(harness, 0)
    harness.fire(harness.page.undo)
    branch = keep(harness, 5)
    root, one, two, three = (step.number for step in harness.scene.steps)
    assert harness.scene.steps[3].parent == one
    go(harness, two)
    assert harness.scene.explored == second
    assert "Back at: Variant 1" in harness.status
    go(harness, three)
    assert harness.scene.explored == branch
    go(harness, root)
    assert (harness.scene.explored, harness.session.can_undo) == (None, False)
    harness.fire(harness.page.redo)
    assert harness.scene.explored == first
    harness.fire(harness.page.redo)
    assert harness.scene.explored == branch, "redo follows the branch visited last"


def test_the_latest_wish_wins_and_hostile_ones_change_nothing(harness):
    keep(harness, 2)
    root, one = (step.number for step in harness.scene.steps)
    harness.serial = 100
    go(harness, root)
    harness.fire(harness.results.viewer, "travel", {"number": one}, serial=50)
    assert current(harness).number == root
    for number in (99, -1, "1", None, 10**5000, 1.0, True):
        go(harness, number)
        assert "error" in harness.status
        assert current(harness).number == root


def test_going_elsewhere_ends_the_drawing_under_way(harness):
    kept = keep(harness, 2)
    number = current(harness).number
    data = {"action": "roll", "id": kept, "mask": mask_of(harness), "dial": 0, "subject": harness.scene.subject}
    rolling = harness.stream(harness.results.viewer, "explore", data)
    while harness.scene.walk is None or len(harness.scene.walk.ids) < 3:
        next(rolling)
    go(harness, harness.scene.steps[0].number)
    list(rolling)
    assert (harness.scene.explored, harness.scene.walk) == (None, None)
    go(harness, number)
    assert (harness.scene.explored, harness.scene.walk) == (kept, None)


def test_a_set_that_is_begun_does_not_keep_from_going(harness, engine):
    keep(harness, 2)
    numbers = [step.number for step in harness.scene.steps]
    drawing = harness.stream(harness.controls.sample)
    next(drawing)
    next(drawing)
    go(harness, numbers[0])
    list(drawing)
    assert current(harness).number == numbers[0], "Undo would only have stopped the drawing"


def test_names_and_pins_are_shown_and_stay(harness):
    keep(harness, 2)
    root, one = (step.number for step in harness.scene.steps)
    mark(harness, "name", one, name=" left  eye ")
    assert captions(harness) == ["8 samples", "left eye"]
    assert "Named “left eye”" in harness.status
    mark(harness, "pin", root, is_pinned=True)
    assert [step.is_pinned for step in harness.scene.steps] == [True, False]
    draw_many(harness)
    assert harness.scene.steps[0].number == root
    assert len(harness.scene.steps) == 24
    mark(harness, "name", one)
    assert "no longer exists" in harness.status
    mark(harness, "name", root, name="x" * 41)
    assert "error" in harness.status
    mark(harness, "pin", root)
    harness.fire(harness.controls.sample)
    assert root not in [step.number for step in harness.scene.steps]


def test_a_name_that_comes_late_does_not_undo_a_newer_one(harness):
    keep(harness, 2)
    root, one = (step.number for step in harness.scene.steps)
    mark(harness, "name", one, serial=60, name="new")
    mark(harness, "name", one, serial=59, name="old")
    mark(harness, "pin", one, serial=58, is_pinned=True)
    mark(harness, "name", root, serial=57, name="start")
    assert captions(harness) == ["start", "new"]
    assert current(harness).is_pinned, "other marks, and those of other steps, are their own"


# ---------------------------------------------------------------- comparing


def test_any_two_of_the_same_subject_can_be_compared(harness):
    first = keep(harness, 2, "s0")
    expected = pixels(picture(harness, first).path)
    keep(harness, 0)
    root, one, two = harness.scene.steps
    place = "region at the upper left re-rolled"
    assert [step.difference for step in (root, one, two)] == [
        f"kept; then {place}, 3rd variant; {place}, 1st variant",
        f"kept; then {place}, 1st variant",
        None,
    ]
    mark(harness, "compare", one.number)
    compared = picture(harness, f"step-{one.number}")
    assert (compared.kind, compared.key, compared.label) == ("reference", "k", "Variant 3")
    assert np.array_equal(pixels(compared.path), expected)
    mark(harness, "name", one.number, name="eye")
    assert picture(harness, f"step-{one.number}").label == "eye"
    go(harness, root.number)
    assert picture(harness, f"step-{one.number}"), "it stays while the visitor goes elsewhere"
    go(harness, one.number)
    assert not [one for one in harness.scene.pictures if one.id.startswith("step-")], "not with itself"
    mark(harness, "compare", 99)
    assert "no longer exists" in harness.status


def test_another_picture_cannot_be_compared(harness):
    keep(harness, 2)
    explored = current(harness)
    mark(harness, "compare", harness.scene.steps[0].number)
    harness.fire(harness.picture.examples[1])
    assert [step.difference for step in harness.scene.steps] == [None] * len(harness.scene.steps)
    assert not [one for one in harness.scene.pictures if one.id.startswith("step-")]
    mark(harness, "compare", explored.number)
    assert not [one for one in harness.scene.pictures if one.id.startswith("step-")]


# ---------------------------------------------------------------- links


def query_of(harness: Harness) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(harness.values[harness.page.query]).items()}


def open_link(engine: FakeEngine, folder, fragment: str) -> Harness:
    return Harness(engine, Sessions(folder), fragment=fragment)


def test_a_link_draws_the_explored_state_again(harness, engine, tmp_path):
    keep(harness, 2)
    explored = keep(harness, 4, action="more", mask=mask_of(harness, 0, 0, 6, 8))
    expected = pixels(picture(harness, explored).path)
    harness.fire(harness.download.link)
    assert "what you explored" in harness.status
    other = open_link(engine, tmp_path / "other", harness.values[harness.page.query])
    assert "From the link: explored, 2 changes" in other.status
    assert np.array_equal(pixels(picture(other, other.scene.explored).path), expected)
    recipe, again = (one.session.view.explored.state.recipe for one in (harness, other))
    assert recipe == again
    assert other.values[other.page.query] == harness.values[harness.page.query], "it is a link again"
    assert other.session.view.settings.precision is None, "what the link has set holds for its picture only"
    keep(other, 1)
    other.page.sessions.close()


def test_the_address_follows_what_is_explored(harness):
    assert "explored" not in query_of(harness)
    keep(harness, 2)
    assert "explored" in query_of(harness)
    harness.fire(harness.page.undo)
    assert "explored" not in query_of(harness)
    harness.fire(harness.page.redo)
    assert "explored" in query_of(harness)
    harness.fire(harness.controls.sample)
    assert query_of(harness)["seed"] == str(harness.seed)
    ask(harness, "roll", harness.scene.explored)
    assert "explored" in query_of(harness), "ways that are looked at change nothing"


def test_a_link_has_the_region(harness, engine, tmp_path):
    harness.values[harness.picture.region] = "64 × 64"
    harness.fire(harness.picture.region, "input")
    harness.fire(harness.controls.sample)
    explored = keep(harness, 2)
    assert query_of(harness)["explored_region"].endswith(".64.64")
    other = open_link(engine, tmp_path / "other", harness.values[harness.page.query])
    assert other.session.view.picture.region == harness.session.view.picture.region
    assert np.array_equal(pixels(picture(other, other.scene.explored).path), pixels(picture(harness, explored).path))
    other.page.sessions.close()


def test_what_is_too_long_for_a_link_is_said_so(harness, monkeypatch):
    keep(harness, 2)
    monkeypatch.setattr(links, "MAX_LINK", 300)
    keep(harness, 1)
    assert "explored" not in query_of(harness)
    assert query_of(harness)["example"] == "cat"
    harness.fire(harness.download.link)
    assert "without what you explored" in harness.status
    assert "Download PNG" in harness.status


def test_the_links_of_an_uploaded_picture_have_nothing_of_it(harness, tmp_path):
    Image.fromarray(np.full((30, 40, 3), 90, np.uint8)).save(tmp_path / "mine.png")
    harness.values[harness.picture.image] = str(tmp_path / "mine.png")
    harness.fire(harness.picture.image, "upload")
    harness.fire(harness.controls.sample)
    keep(harness, 2)
    assert not {"explored", "example"} & set(query_of(harness))
    harness.fire(harness.download.link)
    assert "your picture is not in it" in harness.status
    assert "Download PNG" in harness.status


@pytest.fixture(scope="module")
def link(tmp_path_factory) -> str:
    """Return a valid link to the example "cat" with a re-rolled region."""
    harness = Harness(FakeEngine(), Sessions(tmp_path_factory.mktemp("link")), opening=True)
    keep(harness, 2)
    harness.page.sessions.close()
    return harness.values[harness.page.query]


def bomb() -> str:
    return base64.urlsafe_b64encode(zlib.compress(b'{"version":1,"operations":[' + b" " * 5_000_000, 9)).decode()


def of_other_size() -> str:
    mask = Mask.from_array(np.full((5, 5), 255, np.uint8))
    return to_address((Draw(0, 1, 0.9), Reroll(mask, 1, 1)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"explored": "A"}, "damaged"),
        ({"explored": "../../etc/passwd"}, "damaged"),
        ({"explored": to_address((Draw(0, 1, 0.9),))[:-4]}, "cut off"),
        ({"explored": bomb()}, "the maximum is 4000000"),
        ({"explored": to_address((Draw(0, 1, 0.9),))}, "no change"),
        ({"explored": of_other_size()}, "is for a picture of 5x5"),
        ({"explored_model": "other"}, "The model"),
        ({"explored_model": "fake-x8"}, "other weights"),
        ({"explored_model": "fake-x8", "explored_weights": ""}, "enlarges 8 times"),
        ({"explored_rounds": "1e9"}, "consistency rounds"),
        ({"explored_precision": "float8"}, "The precision"),
        ({"explored_tile": "-1"}, "tile"),
        ({"explored_weights": "0" * 12}, "other weights"),
        ({"explored_weights": "4" * 13}, "weights"),
        ({"explored_region": "0.0.96"}, "left.top.width.height"),
        ({"explored_region": "5.0.96.75"}, "no such crop"),
        ({"explored_region": "999999.999999.64.64"}, "no such crop"),
        ({"explored_region": "0.0.0.75"}, "width and height"),
        ({"explored_region": None}, "region is missing"),
        ({"explored_tile": None}, "tile is missing"),
    ],
)
def test_hostile_links_show_the_example_and_say_what_is_wrong(link, engine, tmp_path, changes, words):
    values = dict(parse_qsl(link)) | changes
    fragment = urlencode({name: value for name, value in values.items() if value is not None})
    assert len(fragment) <= links.MAX_LINK, "longer ones are not even looked at"
    other = open_link(engine, tmp_path / "other", fragment)
    assert "error" in other.status
    assert words in other.status
    assert other.scene.explored is None
    assert other.session.view.picture.source.name == "cat"
    other.fire(other.controls.sample)
    assert "error" not in other.status
    other.page.sessions.close()


def test_a_link_that_is_far_too_long_opens_the_page_as_ever(engine, tmp_path):
    other = open_link(engine, tmp_path / "other", "seed=1&explored=" + "A" * 10_000)
    assert "Ready" in other.status
    other.page.sessions.close()
    other = open_link(engine, tmp_path / "another", "&".join(f"a{number}=1" for number in range(500)))
    assert "Ready" in other.status
    other.page.sessions.close()
