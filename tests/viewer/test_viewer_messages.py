"""The Python side of the viewer: what it takes, what it sends, and what it refuses."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from app.viewer import (
    CandidateFile,
    LinkedViewer,
    Overlay,
    Paint,
    Part,
    Picture,
    Scene,
    SliderBank,
    SliderStrip,
    SourcePlace,
    StripStep,
    Walk,
    data,
    parse_asked,
    parse_mark,
    parse_mask,
    parse_picture_id,
    parse_place,
    parse_step,
    parse_subject,
)
from app.viewer.script import SOURCE_FOLDER
from srflow.contract import ImageError, InputError
from srflow.steering.strokes import Stroke
from srflow.steering.wishes import Scribble, Stripes
from viewer.viewer_page import HEIGHT, SCHEMA, WIDTH, validator


@pytest.mark.parametrize("value", [{"x": 0, "y": 0}, {"x": 119, "y": 79, "id": "s1"}])
def test_places_inside_the_frame_are_read(value):
    assert parse_place(value, WIDTH, HEIGHT) == (value["x"], value["y"])


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "3,4",
        {},
        {"x": 1},
        {"x": -1, "y": 0},
        {"x": WIDTH, "y": 0},
        {"x": 0, "y": HEIGHT},
        {"x": 1.0, "y": 2},
        {"x": True, "y": 2},
        {"x": "1", "y": 2},
        {"x": float("nan"), "y": 2},
        {"x": 10**5000, "y": 2},
        {"x": {"x": 1}, "y": 2},
    ],
    ids=lambda value: repr(type(value)) if isinstance(value, dict) and value.get("x") == 10**5000 else repr(value),
)
def test_hostile_places_are_refused(value):
    with pytest.raises(InputError) as error:
        parse_place(value, WIDTH, HEIGHT)
    assert len(str(error.value)) < 200


def test_picture_ids_are_read_only_if_known():
    assert parse_picture_id({"id": "s1"}, {"s0", "s1"}) == "s1"
    for value in (None, {}, {"id": "s2"}, {"id": ["s1"]}, {"id": 1}, "s1", {"id": "s" * 10_000}):
        with pytest.raises(InputError) as error:
            parse_picture_id(value, {"s0", "s1"})
        assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    "make",
    [
        lambda: Picture("", "Sample 1"),
        lambda: Picture("s1", ""),
        lambda: Picture("s1", "Sample 1", kind="other"),
        lambda: Picture("r", "Reference", kind="reference", key="w"),
        lambda: Picture("r", "Reference", kind="reference", key="B"),
        lambda: Scene(0, 4),
        lambda: Scene(4, 4, [Picture("a", "A"), Picture("a", "B")]),
        lambda: Scene(4, 4, [Picture("a", "A")], selected="b"),
        lambda: Scene(4, 4, [Picture("a", "A")], compare=("a", "b")),
        lambda: Scene(4, 4, mode="other"),
        lambda: Picture("r", "Reference", kind="reference", key="d"),
        lambda: Scene(4, 4, place=(4, 0)),
        lambda: Scene(4, 4, grid=(0, 1)),
        lambda: Scene(4, 4, [Picture("a", "A")], walk=Walk("a", ("b",), 8, (0, 0, 4, 4), "roll")),
        lambda: Scene(4, 4, [Picture("a", "A")], explored="b"),
        lambda: Scene(4, 4, suggested_place=(0, -1)),
        lambda: Scene(4, 4, [Picture("a", "A")], placeholder="b"),
        lambda: Scene(4, 4, [Picture("a", "A", parts=[Part(2, 3, "rows.png")])]),
        lambda: Picture("a", "A", "whole.png", parts=[Part(0, 1, "rows.png")]),
        lambda: Part(-1, 2, "rows.png"),
        lambda: Part(0, 0, "rows.png"),
        lambda: Overlay("map.png", "Diversity", 2.0, 1.0, ["#000000", "#ffffff"]),
        lambda: Overlay("map.png", "Diversity", float("nan"), 1.0, ["#000000", "#ffffff"]),
        lambda: Overlay("map.png", "Diversity", 0.0, 1.0, ["#000000"]),
        lambda: Overlay("map.png", "Diversity", 0.0, 1.0, ["#000000", "url(https://example.org)"]),
    ],
)
def test_scenes_that_make_no_sense_are_refused(make):
    with pytest.raises(InputError):
        make()


def test_only_png_files_get_in(tmp_path):
    viewer = LinkedViewer(render=False)
    Image.new("RGB", (8, 8)).save(tmp_path / "lossy.png", format="JPEG")  # named as one, but none
    (tmp_path / "short.png").write_bytes(b"\x89PNG")
    for name in ("lossy.png", "short.png"):
        with pytest.raises(ImageError, match=name):
            viewer.postprocess(Scene(8, 8, [Picture("a", "A", tmp_path / name)]))
    Image.new("RGB", (8, 8)).save(tmp_path / "good.png")
    data = viewer.postprocess(Scene(8, 8, [Picture("a", "A", tmp_path / "good.png"), Picture("b", "B")]))
    assert [picture.image and Path(picture.image.url).name for picture in data.pictures] == ["good.png", None]


def test_files_that_are_gone_are_left_out_with_a_word(tmp_path, caplog):
    Image.new("RGB", (8, 8)).save(tmp_path / "there.png")
    there, gone = tmp_path / "there.png", tmp_path / "gone.png"
    pictures = [
        Picture("a", "A", there),
        Picture("b", "B", gone),
        Picture("c", "C", parts=[Part(0, 2, there), Part(2, 2, gone)]),
    ]
    overlay = Overlay(there, "Map", 0, 1, ["#000000", "#ffffff"], values_path=gone)
    viewer = LinkedViewer(render=False)
    data = viewer.postprocess(Scene(8, 8, pictures, overlay))
    assert [(picture.image is None, picture.problem, len(picture.parts)) for picture in data.pictures] == [
        *((False, "", 0), (True, "the file no longer exists", 0), (True, "", 1)),
    ]
    assert data.overlay.values is None
    assert viewer.postprocess(Scene(8, 8, pictures, replace(overlay, path=gone))).overlay is None
    assert str(gone) in caplog.text


def test_the_schema_is_computed_once(monkeypatch):
    viewer = LinkedViewer(render=False)
    schema = viewer.api_info()
    schema["properties"].clear()  # whoever changes a copy changes no other
    monkeypatch.setattr(data.SceneData, "model_json_schema", None)
    assert "pictures" in viewer.api_info()["properties"]


def test_nothing_from_the_browser_comes_in_as_a_value():
    viewer = LinkedViewer(render=False)
    assert viewer.preprocess({"pictures": [{"image": {"path": "/etc/passwd"}}]}) is None
    assert viewer.postprocess(None) is None


# ---------------------------------------------------------------- one description for both sides


def test_the_scene_has_the_fields_of_the_description():
    """The models that Gradio serialises, field by field."""
    for name in ("Scene", "Picture", "Part", "Overlay", "Walk", "Found", "Slider", "Sliders", "Step"):
        model = getattr(data, f"_{name}Data", None) or getattr(data, f"{name}Data")
        described = SCHEMA["$defs"][name]
        assert list(model.model_fields) == described["required"], name
        assert set(described["properties"]) == set(described["required"]), name


@pytest.mark.parametrize(
    "name",
    [
        *("Scene", "Picture", "Part", "Overlay", "Mask", "Walk", "Slider", "Sliders", "Step", "Heat"),
        *("PlaceEvent", "PickEvent", "MaskEvent", "ExploreEvent", "LineEvent", "TravelEvent", "MarkEvent"),
    ],
)
def test_the_types_of_the_script_have_the_fields_of_the_description(name):
    text = (SOURCE_FOLDER / "messages.js").read_text(encoding="utf-8")
    javascript = name if name.endswith("Event") else f"{name}Message"
    block = next(block for block in re.findall(r"/\*\*.*?\*/", text, flags=re.DOTALL) if f"}} {javascript}" in block)
    fields = re.findall(r"@property \{.*\} (\w+)", block)
    if not fields:  # on one line
        fields = re.findall(r"(\w+): ", block)
    assert fields == SCHEMA["$defs"][name]["required"] or set(fields) == set(SCHEMA["$defs"][name]["required"])


@pytest.mark.parametrize(
    "scene", [Scene(8, 6), Scene(8, 6, mode="difference", place=(7, 5), grid=(2, 2), serial="r1 3")]
)
def test_what_python_sends_is_as_described(scene, tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    pictures = [
        Picture("a", "A", tmp_path / "a.png", key="q", badge="flagged", file_name="mine.png"),
        Picture("b", "B", kind="reference", parts=[Part(2, 3, tmp_path / "a.png")]),
        Picture("c", "C", tmp_path / "a.png", kind="way"),
    ]
    bank = SliderBank((SliderStrip(tmp_path / "a.png", ("no edge", "edge left"), 0.12),), (-45,))
    walk = Walk("a", ("c",), 8, (0, 2, 8, 6), "sliders", dial=40, sliders=bank, levels=(1,))
    step = StripStep(number=3, parent=None, path=tmp_path / "a.png", caption="Variant 3", words="words", name="eye")
    steps = (step, replace(step, number=4, parent=3, path=tmp_path / "gone.png", difference="kept", is_current=True))
    overlay = Overlay(tmp_path / "a.png", "Map", 0, 1, ["#000000", "#ffffff"], values_path=tmp_path / "a.png")
    for sent in (
        scene,
        replace(scene, pictures=pictures, overlay=overlay, compare=("a", "b"), walk=walk, explored="a", steps=steps),
    ):
        data = LinkedViewer(render=False).postprocess(sent).model_dump()
        assert list(validator("Scene").iter_errors(data)) == []
    data["pictures"][0]["kind"] = "other"
    data["extra"] = 1
    assert len(list(validator("Scene").iter_errors(data))) == 2


def test_files_travel_as_addresses_below_the_page(tmp_path):
    path = tmp_path / "mine #1 100 %.png"
    Image.new("RGB", (8, 6)).save(path)
    data = LinkedViewer(render=False).postprocess(Scene(8, 6, [Picture("a", "A", path)]))
    assert data.pictures[0].image.url == f"/gradio_api/file={quote(str(path.resolve()))}"


def test_events_say_which_scene_they_belong_to():
    assert parse_subject({"id": "a", "subject": "one 4"}, "one 4") == "one 4"
    for value in (None, {}, {"subject": "two 4"}, {"subject": 1}, {"subject": "s" * 10_000}, "one 4"):
        with pytest.raises(InputError) as error:
            parse_subject(value, "one 4")
        assert len(str(error.value)) < 200


# ---------------------------------------------------------------- chosen places

GOOD_MASK = {"width": 5, "height": 4, "box": [2, 1, 4, 4], "runs": [255, 3, 12, 1, 0, 1, 12, 1]}


def test_a_mask_is_read_row_by_row_inside_its_box():
    assert list(validator("MaskEvent").iter_errors({"mask": GOOD_MASK, "id": "s1", "subject": "one"})) == []
    mask = parse_mask({"mask": GOOD_MASK, "subject": "one"}, 5, 4)
    assert mask.box == (2, 1, 4, 4)
    expected = [[0, 0, 0, 0, 0], [0, 0, 255, 255, 0], [0, 0, 255, 12, 0], [0, 0, 0, 12, 0]]
    assert np.array_equal(mask.array(), expected)
    assert mask.array().dtype == np.uint8
    assert parse_mask({"mask": None}, 5, 4) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 6},
        {"height": 4.0},
        {"width": True},
        {"width": 10**5000},
        {"box": [2, 1, 4]},
        {"box": [2, 1, 6, 4]},
        {"box": [2, 1, 2, 4]},
        {"box": [4, 1, 2, 4]},
        {"box": [-1, 1, 1, 4]},
        {"box": [2, 1, 4, True]},
        {"box": "2144"},
        {"box": None},
        {"runs": []},
        {"runs": [255, 6, 0]},
        {"runs": [255, 5]},
        {"runs": [255, 7]},
        {"runs": [256, 6]},
        {"runs": [-1, 6]},
        {"runs": [255, 0, 255, 6]},
        {"runs": [255, -6, 255, 12]},
        {"runs": [255, 6.0]},
        {"runs": [True, 6]},
        {"runs": ["255", 6]},
        {"runs": [255, 10**5000]},
        {"runs": [0, 1] * 100_000},
        {"runs": [0, 6]},
        {"more": 1},
        {"runs": {"0": 255}},
    ],
    ids=lambda changes: repr(list(changes)),
)
def test_hostile_masks_are_refused(changes):
    with pytest.raises(InputError) as error:
        parse_mask({"mask": GOOD_MASK | changes, "subject": "one"}, 5, 4)
    assert len(str(error.value)) < 200


def test_masks_that_are_none_are_refused():
    for value in (None, [], "mask", {}, {"mask": []}, {"mask": "x" * 10_000}, {"mask": {}}, {"mask": 1}):
        with pytest.raises(InputError) as error:
            parse_mask(value, 5, 4)
        assert len(str(error.value)) < 200


ASKED = {
    **{"action": "roll", "id": "s1", "mask": GOOD_MASK, "dial": 30},
    **{"others": ["s2"], "detail": "fine", "heat": [{"temperature": 0.25, "mask": GOOD_MASK}]},
    **{"angles": [-90, 0, 15], "wish": None, "edit": None, "texts": [], "source": None},
    **{"sources": [], "subject": "one"},
}


def test_what_is_asked_for_is_read():
    assert list(validator("ExploreEvent").iter_errors(ASKED)) == []
    asked = parse_asked(ASKED, 5, 4)
    assert (asked.action, asked.id, asked.dial, asked.mask.box) == ("roll", "s1", 30, (2, 1, 4, 4))
    assert (asked.others, asked.detail, asked.angles) == (("s2",), "fine", (-90, 0, 15))
    wish = {"type": "stripes", "period": 6.5, "direction": 90}
    assert parse_asked(ASKED | {"action": "wish", "wish": wish}, 5, 4).wish == Stripes(6.5, 90)
    stroke = {"want": "colour", "width": 2, "points": [0, 0.25, 8, 8], "colour": [9, 8, 7]}
    scribble = ASKED | {"action": "wish", "wish": {"type": "scribble", "strokes": [stroke]}}
    assert list(validator("ExploreEvent").iter_errors(scribble)) == []
    assert parse_asked(scribble, 5, 4).wish == Scribble((Stroke("colour", 2, (0, 0.25, 8, 8), (9, 8, 7)),))
    edit = {"type": "paint", "red": 1, "green": 2, "blue": 3}
    assert parse_asked(ASKED | {"action": "edit", "edit": edit}, 5, 4).edit == Paint(1, 2, 3)
    assert parse_asked(ASKED | {"action": "texts", "texts": ["3", "8"]}, 5, 4).texts == ("3", "8")
    source = {"id": "s2", "box": [0, 1, 5, 4]}
    for action in ("grain", "like"):
        assert list(validator("ExploreEvent").iter_errors(ASKED | {"action": action, "source": source})) == []
        assert parse_asked(ASKED | {"action": action, "source": source}, 5, 4).source == SourcePlace("s2", (0, 1, 5, 4))
    both = ASKED | {"action": "pieces", "sources": [source, source]}
    assert list(validator("ExploreEvent").iter_errors(both)) == []
    assert parse_asked(both, 5, 4).sources == (SourcePlace("s2", (0, 1, 5, 4)),) * 2
    files = ASKED | {"action": "pieces", "sources": [source, {"name": "eye.png", "file": "aGk="}]}
    assert list(validator("ExploreEvent").iter_errors(files)) == []
    assert parse_asked(files, 5, 4).sources == (SourcePlace("s2", (0, 1, 5, 4)), CandidateFile("eye.png", b"hi"))
    [heat] = asked.heat
    assert (heat.temperature, heat.mask.box) == (0.25, (2, 1, 4, 4))
    assert parse_asked({name: value for name, value in ASKED.items() if name != "heat"}, 5, 4).heat == ()
    assert parse_asked(ASKED | {"mask": None}, 5, 4).mask is None


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "delete"},
        {"action": None},
        {"action": ["roll"]},
        {"id": 1},
        {"id": "x" * 10_000},
        {"dial": -1},
        {"dial": 101},
        {"dial": 30.0},
        {"dial": True},
        {"dial": 10**5000},
        {"mask": []},
        {"mask": GOOD_MASK | {"width": 6}},
        {"others": "s2"},
        {"others": [1]},
        {"others": ["x" * 10_000]},
        {"others": ["s2"] * 8},
        {"detail": "rough"},
        {"detail": ["fine"]},
        {"detail": None},
        {"heat": None},
        {"heat": {"temperature": 1, "mask": GOOD_MASK}},
        {"heat": [None]},
        {"heat": [{"temperature": 0.5}]},
        {"heat": [{"temperature": 0.5, "mask": None}]},
        {"heat": [{"temperature": 0.5, "mask": GOOD_MASK | {"width": 6}}]},
        {"heat": [{"temperature": 0.5, "mask": GOOD_MASK, "more": 1}]},
        {"heat": [{"temperature": -0.1, "mask": GOOD_MASK}]},
        {"heat": [{"temperature": 2.1, "mask": GOOD_MASK}]},
        {"heat": [{"temperature": float("nan"), "mask": GOOD_MASK}]},
        {"heat": [{"temperature": True, "mask": GOOD_MASK}]},
        {"heat": [{"temperature": "x" * 10_000, "mask": GOOD_MASK}]},
        {"heat": [{"temperature": 0.5, "mask": GOOD_MASK}] * 33},
        {"angles": [91]},
        {"angles": [1.5]},
        {"angles": [True]},
        {"angles": [10**5000]},
        {"angles": [0] * 6},
        {"angles": "0"},
        {"wish": {"type": "roughness"}},
        {"action": "wish"},
        {"action": "wish", "wish": {"type": "stripes"}},
        {"action": "wish", "wish": "rougher"},
        {"action": "edit"},
        {"edit": {"type": "contrast", "factor": 2}},
        {"action": "edit", "edit": {"type": "contrast", "factor": 5}},
        {"action": "edit", "edit": {"type": "contrast", "factor": True}},
        {"action": "edit", "edit": {"type": "paint", "red": 256, "green": 0, "blue": 0}},
        {"action": "edit", "edit": {"type": "paint", "red": 1}},
        {"action": "edit", "edit": {"type": "paste", "id": ["s1"]}},
        {"action": "edit", "edit": {"type": "paste", "id": "s" * 1000}},
        {"action": "edit", "edit": {"type": ["paint"]}},
        {"action": "edit", "edit": "white"},
        {"action": "texts"},
        {"texts": ["3", "8"]},
        {"action": "texts", "texts": ["3"] * 11},
        {"action": "texts", "texts": [3, 8]},
        {"action": "texts", "texts": "3, 8"},
        {"action": "grain"},
        {"action": "like"},
        {"source": {"id": "s2", "box": [0, 0, 5, 4]}},
        {"action": "grain", "source": {"id": "s2"}},
        {"action": "grain", "source": {"id": 2, "box": [0, 0, 5, 4]}},
        {"action": "grain", "source": {"id": "s" * 1000, "box": [0, 0, 5, 4]}},
        {"action": "grain", "source": {"id": "s2", "box": [0, 0, 6, 4]}},
        {"action": "grain", "source": {"id": "s2", "box": [2, 0, 2, 4]}},
        {"action": "grain", "source": {"id": "s2", "box": [0, 0, 5.0, 4]}},
        {"action": "like", "source": {"id": "s2", "box": "0, 0, 5, 4"}},
        {"action": "pieces"},
        {"sources": [{"id": "s2", "box": [0, 0, 5, 4]}]},
        {"action": "pieces", "sources": [{"id": "s2", "box": [0, 0, 5, 4]}] * 11},
        {"action": "pieces", "sources": [{"id": "s2", "box": [0, 0, 6, 4]}]},
        {"action": "pieces", "sources": {"id": "s2", "box": [0, 0, 5, 4]}},
        {"action": "pieces", "sources": [{"name": "a.png", "file": "no base64!"}]},
        {"action": "pieces", "sources": [{"name": "a.png", "file": "aGk=", "id": "s2"}]},
        {"action": "pieces", "sources": [{"name": "a.png", "file": ""}]},
        {"action": "pieces", "sources": [{"name": "a.png", "file": ["aGk="]}]},
        {"action": "pieces", "sources": [{"name": "a" * 101, "file": "aGk="}]},
        {"action": "pieces", "sources": [{"name": 1, "file": "aGk="}]},
        {"action": "pieces", "sources": [{"name": "a.png", "file": "aGkh" * (2**20)}]},
    ],
    ids=lambda changes: repr(list(changes)),
)
def test_hostile_wishes_are_refused(changes):
    with pytest.raises(InputError) as error:
        parse_asked(ASKED | changes, 5, 4)
    assert len(str(error.value)) < 200


def test_a_whole_picture_is_one_run():
    mask = parse_mask(
        {"mask": {"width": 900, "height": 700, "box": [0, 0, 900, 700], "runs": [255, 630_000]}}, 900, 700
    )
    assert (mask.array() == 255).all()


# ---------------------------------------------------------------- the history

MARK = {"action": "name", "number": 4, "name": "left eye", "is_pinned": False}


def test_marks_are_read_and_names_are_tidied():
    assert list(validator("MarkEvent").iter_errors(MARK)) == []
    assert parse_mark(MARK | {"name": "  left \t eye\n"}).name == "left eye"
    assert parse_mark(MARK | {"name": "x" * 40}).name == "x" * 40
    mark = parse_mark(MARK | {"action": "pin", "is_pinned": True})
    assert (mark.action, mark.number, mark.is_pinned) == ("pin", 4, True)
    assert parse_step({"number": 0}) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"action": "delete"},
        {"action": ["name"]},
        {"number": -1},
        {"number": 4.0},
        {"number": True},
        {"number": "4"},
        {"number": 10**5000},
        {"name": "x" * 41},
        {"name": "x" * 100_000},
        {"name": "a\u202eb"},
        {"name": "a\x00b"},
        {"name": None},
        {"name": ["eye"]},
        {"is_pinned": 1},
        {"is_pinned": "true"},
    ],
    ids=lambda changes: repr(list(changes)),
)
def test_hostile_marks_are_refused(changes):
    with pytest.raises(InputError) as error:
        parse_mark(MARK | changes)
    assert len(str(error.value)) < 200
    for value in (None, [], "4", {}):
        with pytest.raises(InputError):
            parse_step(value)


def test_what_gradio_is_told_of_the_viewer_can_be_copied():
    config = LinkedViewer().get_config()
    assert copy.deepcopy(config) == config, "else each visitor who comes has the whole page copied, in vain"
