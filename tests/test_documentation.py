"""What the documentation says: its examples run, its commands have these options, its files and links are there."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ALL = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


NOTEBOOK = ROOT / "docs" / "look_into_a_space.ipynb"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_the_examples_of_a_page_run_one_after_the_other(page: Path, tmp_path: Path, monkeypatch) -> None:
    for folder in ("assets", "checkpoints"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for number, block in enumerate(blocks(page, "python")):
        exec(compile(block, f"{name_of(page)}, example {number}", "exec"), names)


@pytest.mark.slow
def test_the_cells_of_the_notebook_run_in_order(tmp_path: Path, monkeypatch) -> None:
    for folder in ("assets", "checkpoints"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (tmp_path / "docs").mkdir()
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    monkeypatch.chdir(tmp_path / "docs")
    names: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        assert not cell["outputs"], "the notebook is stored without outputs"
        exec(compile("".join(cell["source"]), f"{name_of(NOTEBOOK)}, cell {number}", "exec"), names)
    assert names["root"] == tmp_path
    smoother, rougher = (
        names["Roughness"]().measure(names[name], np.ones(names[name].shape[:2])) for name in ("smoother", "rougher")
    )
    assert smoother < rougher
    likely = names["likely"]
    assert likely["samples at temperature 0.5"] > likely["samples at temperature 0.9"] > likely["bicubic interpolation"]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")], ids=name_of)
def test_commands_have_the_options_that_are_shown(page: Path) -> None:
    for line in "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if "srflow" not in words[:8]:
            continue
        command, *arguments = words[words.index("srflow") + 1 :]
        module = importlib.import_module(f"srflow.cli.{command}")
        parser = argparse.ArgumentParser(prog=line, exit_on_error=False)
        module.add_arguments(parser)
        _, rest = parser.parse_known_args(arguments)
        assert not [word for word in rest if word.startswith("-")], line


@pytest.mark.parametrize("page", ALL, ids=name_of)
def test_files_that_are_named_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:srflow|app|tests|scripts|benchmarks|docs|checkpoints)/[\w./-]+\.\w+)[`: ]", text)
    missing = [name for name in named if not (ROOT / name).exists()]
    linked = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    missing += [link for link in linked if link and not (page.parent / link).exists()]
    assert not missing


def test_every_page_is_in_the_navigation() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed = [file for entry in settings["nav"] for file in entry.values()]
    assert sorted(listed) == [page.name for page in sorted((ROOT / "docs").glob("*.md"))]
