"""Recipes are read from small TOML files, and from overrides on the command line.

A recipe file may say `extends = "name"`, and then contains only the differences. It may say `for_presets = [...]`, and
then serves each of those names, with `model.preset` set to it. The package's recipes are in `srflow/recipes/`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from srflow.contract import TrainingRecipeError
from srflow.training.recipe import TrainingRecipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["load_recipe", "recipe_names"]


def recipe_names() -> list[str]:
    """Return the names of the shipped recipes, including those in `for_presets`."""
    names = {path.stem: _read(path) for path in _shipped()}
    served = {name for values in names.values() for name in values.get("for_presets", ())}
    return sorted(served | {name for name, values in names.items() if "for_presets" not in values})


def load_recipe(source: str | Path, overrides: Iterable[str] = ()) -> TrainingRecipe:
    """Read and check a recipe.

    Args:
        source: the name of a shipped recipe, or the path of a .toml file or of a run's recipe.json.
        overrides: "dotted.key=value", the value written as in TOML; quotes around a word may be left out.

    Raises: TrainingRecipeError: no such recipe, an unknown setting, or a value out of range; the message names it.
    """
    values = _resolve(str(source), Path.cwd(), ())
    for override in overrides:
        _apply(values, override)
    return TrainingRecipe.from_dict(values)


def _shipped() -> list[Path]:
    folder = resources.files("srflow") / "recipes"
    return sorted(Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".toml"))


def _resolve(source: str, folder: Path, seen: tuple[str, ...]) -> dict[str, Any]:
    """Return the settings of `source` merged with everything that it extends."""
    if source in seen:
        raise TrainingRecipeError(f"Recipes extend each other in a circle: {' -> '.join((*seen, source))}.")
    path, preset = _find(source, folder)
    values = _read(path)
    parent = values.pop("extends", None)
    served = values.pop("for_presets", None)
    if preset is not None:
        values = _merge(values, {"name": preset, "model": {"preset": preset}})
    elif served is None:
        values.setdefault("name", path.stem)
    return _merge(_resolve(str(parent), path.parent, (*seen, source)), values) if parent else values


def _find(source: str, folder: Path) -> tuple[Path, str | None]:
    """Return the file of a recipe, and the preset to serve if `source` is one of its `for_presets`."""
    if source.endswith((".toml", ".json")):
        path = folder / source
        if not path.is_file():
            raise TrainingRecipeError(f"There is no recipe file {path}.")
        return path, None
    by_name = {path.stem: path for path in _shipped()}
    if source in by_name:
        return by_name[source], None
    for path in by_name.values():
        if source in _read(path).get("for_presets", ()):
            return path, source
    raise TrainingRecipeError(
        f"There is no recipe {source!r}; shipped are {', '.join(recipe_names())}. The path of a .toml file works too."
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise TrainingRecipeError(f"The recipe {path} cannot be read: {error}.") from error


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both_tables = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both_tables else value
    return merged


def _apply(values: dict[str, Any], override: str) -> None:
    """Set one value; an inline table changes only the settings that it names."""
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise TrainingRecipeError(
            f"The override {override!r} is not of the form key=value, such as training.steps=1000."
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, last = key.strip().split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise TrainingRecipeError(f"Unknown setting {key!r}: {table!r} is a value, not a table.")
    values.update(_merge(values, {last: value}))
