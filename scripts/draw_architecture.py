"""Draw the groups of modules and their imports from the code: docs/architecture.svg and the table below it.

`python scripts/draw_architecture.py` writes both, and docs/files.md; a test compares them with the code. Imports under
TYPE_CHECKING, which serve annotations only, are left out; imports inside functions are included.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SVG = Path("docs", "architecture.svg")
PAGE = Path("docs", "architecture.md")
FILES = Path("docs", "files.md")
FILES_HEAD = """# Every file in a line

This page lists the first line of the description in each file of the library and the page. It is written by `python
scripts/draw_architecture.py`; a test fails when it is out of date.
"""
BEGIN, END = "<!-- imports: begin -->\n", "<!-- imports: end -->\n"

# The top level comes first. A group is a name and its modules. A package stands for all of its modules, except those
# that are named themselves.
LEVELS: list[list[tuple[str, tuple[str, ...]]]] = [
    [("start", ("app_start", "srflow.__main__"))],
    [("page", ("app",)), ("commands", ("srflow.cli", "srflow.extras"))],
    [("one call", ("srflow", "srflow.pipeline", "srflow.export")), ("training", ("srflow.training",))],
    [("engine", ("srflow.sampling",))],
    [("evaluation", ("srflow.evaluation",))],
    [
        (
            "model",
            (
                "srflow.model",
                "srflow.distribution",
                "srflow.encoder",
                "srflow.flow",
                "srflow.fused",
                "srflow.presets",
            ),
        ),
        ("checkpoints", ("srflow.checkpoints",)),
    ],
    [("pictures", ("srflow.pictures",))],
    [("contract", ("srflow.contract",))],
    [("steering", ("srflow.steering",)), ("calibration", ("srflow.calibration",))],
    [("operations", ("srflow.operations",))],
    [
        (
            "mathematics",
            ("srflow.latents", "srflow.noise", "srflow.likelihood", "srflow.images", "srflow.consistency"),
        )
    ],
    [
        (
            "tools",
            (
                "srflow.errors",
                "srflow.empty",
                "srflow.files",
                "srflow.arrays",
                "srflow.caching",
                "srflow.luma",
                "srflow.shipped_files",
                "srflow.compiling",
                "srflow.environment",
                "srflow.processes",
                "srflow.work",
            ),
        ),
    ],
]

_WIDTH, _HEIGHT, _BOX, _MARGIN = 860, 104, 58, 20
_STYLE = """
  text { font: 15px system-ui, sans-serif; fill: #222; text-anchor: middle }
  text.small { font-size: 11px; fill: #555 }
  rect { fill: #f3f5f8; stroke: #5b6b82; rx: 6px }
  path { fill: none; stroke: #8493a8; stroke-width: 1.2 }
  path.up { stroke: #b3261e; stroke-dasharray: 5 3 }
"""


def modules() -> dict[str, Path]:
    """Every module of the library and the page, by its dotted name."""
    found = {"app_start": ROOT / "app.py"}
    for package in ("srflow", "app"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imports_of(name: str, path: Path, known: dict[str, Path], *, top_level: bool = False) -> set[str]:
    """Return the known modules that a module imports. Args: top_level: leave out imports inside functions."""
    found: set[str] = set()
    for node in _walk(ast.parse(path.read_text(encoding="utf-8")), top_level):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom) and node.module in known and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
    return found - {name}


def _walk(node: ast.AST, top_level: bool) -> Iterator[ast.AST]:
    """Yield all nodes except those under `if TYPE_CHECKING`, and, if top_level is set, those inside functions."""
    yield node
    for child in ast.iter_child_nodes(node):
        is_typing = isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"
        is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
        if not is_typing and not (top_level and is_function):
            yield from _walk(child, top_level)


def group_of(module: str) -> str:
    """Return the group of a module: that of its longest listed prefix. Raises ValueError: it has none."""
    groups = {
        owner: group
        for level in LEVELS
        for group, owners in level
        for owner in owners
        # `srflow` stands for the module srflow/__init__.py, not for all modules of the package.
        if module == owner or (module.startswith(f"{owner}.") and owner != "srflow")
    }
    if not groups:
        raise ValueError(f"{module} is in no group; name it, or its package, in LEVELS of {Path(__file__).name}.")
    return groups[max(groups, key=len)]


def group_imports() -> dict[tuple[str, str], set[tuple[str, str]]]:
    """Return the imports between each two groups. Imports of `srflow` itself (the version) do not count."""
    known = modules()
    edges: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for name, path in known.items():
        for imported in imports_of(name, path, known):
            groups = group_of(name), group_of(imported)
            if groups[0] != groups[1] and imported != "srflow":
                edges.setdefault(groups, set()).add((name, imported))
    return edges


def level_of(group: str) -> int:
    """Return the level of a group, counted from the top."""
    return next(number for number, level in enumerate(LEVELS) if group in [name for name, _ in level])


def draw() -> str:
    """Return the drawing as SVG. An arrow that follows from a path of other arrows is left out."""
    edges = set(group_imports())
    centres = {}
    for number, level in enumerate(LEVELS):
        for column, (group, _) in enumerate(level):
            x = _WIDTH * (2 * column + 1) / (2 * len(level))
            centres[group] = round(x), _MARGIN + number * _HEIGHT + _BOX // 2
    down = {edge for edge in edges if level_of(edge[0]) < level_of(edge[1])}
    height = 2 * _MARGIN + (len(LEVELS) - 1) * _HEIGHT + _BOX
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        'aria-label="The groups of modules and their imports">',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8" style="fill:none"/></marker></defs>',
    ]
    for a, b in sorted(_reduced(down)):
        (x, y), (to_x, to_y) = centres[a], centres[b]
        parts.append(f'<path marker-end="url(#tip)" d="M{x} {y + _BOX // 2}L{to_x} {to_y - _BOX // 2}"/>')
    for a, b in sorted(edges - down):
        parts.append(f'<path class="up" marker-end="url(#tip)" d="{_upward(centres[a], centres[b])}"/>')
    for level in LEVELS:
        for group, owners in level:
            x, y = centres[group]
            names = ", ".join(owner.replace("app_start", "app.py").removeprefix("srflow.") for owner in owners)
            small = names if len(names) <= 34 else f"{names[: names.rindex(',', 0, 32)]}, …"
            parts.append(f'<rect x="{x - 120}" y="{y - _BOX // 2}" width="240" height="{_BOX}"/>')
            parts.append(f'<text x="{x}" y="{y - 2}">{escape(group)}</text>')
            parts.append(f'<text class="small" x="{x}" y="{y + 17}">{escape(small)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _upward(start: tuple[int, int], end: tuple[int, int]) -> str:
    """Return the path of an arrow sideways within a level, or up from the top of a box to the bottom of another."""
    (x, y), (to_x, to_y) = start, end
    if y == to_y:
        side = 120 if x < to_x else -120
        shift = 8 if x < to_x else -8
        return f"M{x + side} {y + shift}L{to_x - side} {to_y + shift}"
    return f"M{x + 80} {y - _BOX // 2}L{to_x + 80} {to_y + _BOX // 2}"


def _reduced(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the edges of an acyclic graph that do not follow from a longer path."""

    def reaches(start: str, goal: str, skipped: tuple[str, str]) -> bool:
        return any(b == goal or reaches(b, goal, skipped) for a, b in edges if a == start and (a, b) != skipped)

    return {edge for edge in edges if not reaches(*edge, skipped=edge)}


def describe() -> str:
    """Return two tables: each group with its modules and imports, and the imports that point sideways or upwards."""
    edges = group_imports()
    lines = ["| group | modules | imports |", "|---|---|---|"]
    for level in LEVELS:
        for group, owners in level:
            names = ", ".join(f"`{owner.replace('app_start', 'app.py')}`" for owner in owners)
            below = [name for each in LEVELS for name, _ in each if (group, name) in edges]
            lines.append(f"| {group} | {names} | {', '.join(below) or 'nothing'} |")
    lines += ["", "Imports that point sideways or upwards:", "", "| from | to | by |", "|---|---|---|"]
    for (a, b), pairs in sorted(edges.items()):
        if level_of(a) >= level_of(b):
            by = ", ".join(sorted({f"`{name}` → `{imported}`" for name, imported in pairs}))
            lines.append(f"| {a} | {b} | {by} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """Return the page with new tables."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}{describe()}{END}{rest.split(END)[1]}"


def first_words(path: Path) -> str:
    """Return the first line of a file's docstring, or the first sentence of its leading comment."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    lines = itertools.takewhile(lambda line: line.startswith("//"), text.splitlines())
    words = " ".join(line.removeprefix("//").strip() for line in lines)
    return re.split(r"(?<=[.:;]) ", words, maxsplit=1)[0].rstrip(":;")


def file_list() -> str:
    """Return the page that lists every file of the library and the page with its purpose."""
    paths = [
        path for folder in ("srflow", "app") for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".js")
    ]
    folders = itertools.groupby(sorted(paths, key=lambda path: (path.parent, path.name)), key=lambda path: path.parent)
    parts = [FILES_HEAD]
    for folder, files in folders:
        words = [(path.name, first_words(path)) for path in files]
        rows = "\n".join(f"| `{name}` | {said} |" for name, said in words if said)
        if rows:
            parts.append(f"## {folder.relative_to(ROOT)}\n\n| file | what it is for |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


def main() -> int:
    """Write all three files."""
    (ROOT / FILES).write_text(file_list(), encoding="utf-8")
    (ROOT / SVG).write_text(draw(), encoding="utf-8")
    path = ROOT / PAGE
    path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
