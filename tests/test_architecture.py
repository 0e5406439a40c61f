"""The committed drawing of groups and imports is that of the code, and no module imports itself by way of others."""

from __future__ import annotations

import importlib.util
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_architecture", ROOT / "scripts" / "draw_architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_drawing_is_that_of_the_code(drawing: ModuleType) -> None:
    text = (ROOT / drawing.PAGE).read_text(encoding="utf-8")
    how = "run python scripts/draw_architecture.py"
    assert drawing.page(text) == text, how
    assert drawing.draw() == (ROOT / drawing.SVG).read_text(encoding="utf-8"), how
    assert drawing.file_list() == (ROOT / drawing.FILES).read_text(encoding="utf-8"), how


def test_every_file_says_what_it_is_for(drawing: ModuleType) -> None:
    silent = [
        path.name
        for folder in ("srflow", "app")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".js") and not drawing.first_words(path)
    ]
    assert silent == []


def test_no_module_imports_itself_by_way_of_others(drawing: ModuleType) -> None:
    """At the top of modules: what a function imports when it is called may go round."""
    known = drawing.modules()
    graph = {name: drawing.imports_of(name, path, known, top_level=True) for name, path in known.items()}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, with the modules


def test_a_module_of_no_group_is_named(drawing: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"srflow\.surprise is in no group"):
        drawing.group_of("srflow.surprise")


def test_imports_are_found_where_they_are(drawing: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "import srflow.files\n"
        "from srflow import images, __version__\n"
        "if TYPE_CHECKING:\n    from srflow.model import SRFlow\n"
        "def later():\n    from srflow.latents import draw\n"
    )
    found = drawing.imports_of("srflow.new", path, drawing.modules())
    assert found == {"srflow.files", "srflow.images", "srflow", "srflow.latents"}
    found = drawing.imports_of("srflow.new", path, drawing.modules(), top_level=True)
    assert found == {"srflow.files", "srflow.images", "srflow"}
