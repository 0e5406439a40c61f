"""A visitor's settings: checks, and conversion to and from a page's address and the browser's memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args
from urllib.parse import urlencode

from app.checks import read_bool, read_choice, read_float, read_int
from srflow.contract import EngineInfo, InputError, ModelInfo, Precision, SampleRecipe

__all__ = [
    "CONSISTENCY_ROUNDS",
    "MAX_SAMPLES",
    "MAX_SEED",
    "MAX_TEMPERATURE",
    "PRESETS",
    "Settings",
    "find_model",
    "preset_temperature",
]

MAX_SAMPLES = 16
MAX_TEMPERATURE = 1.2
MAX_SEED = 2**53 - 1
"""The largest whole number that JavaScript represents exactly."""
CONSISTENCY_ROUNDS = 5

PRESETS: dict[str, tuple[float | None, bool]] = {
    "Faithful": (0.5, True),
    "Balanced": (None, True),
    "Wild": (1.1, False),
}
"""Name → temperature (None: the model's default) and whether samples are made to match the input."""

_DRAWN = ("model", "temperature", "seed", "consistency_rounds", "precision", "tile")

_MAX_TILE = 4096
_MAX_INDEX = 2**32 - MAX_SAMPLES
AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One visitor's settings. The ranges are those of the controls; precision and tile as in `SampleRequest`."""

    model: str
    temperature: float
    seed: int = 0
    num_samples: int = 8
    consistency_rounds: int = CONSISTENCY_ROUNDS
    first_index: int = 0
    precision: Precision | None = None
    tile: int | None = None
    pairwise: bool = False

    @classmethod
    def read(cls, values: Mapping[str, Any], info: EngineInfo) -> Settings:
        """Check values that come from a browser; missing ones get their defaults.

        Raises: InputError: one of them is out of range, or of the wrong type.
        """
        model = find_model(info, values.get("model"))
        temperature = values.get("temperature")
        rounds = values.get("consistency", True)
        if isinstance(rounds, bool) or rounds in ("true", "false"):
            rounds = CONSISTENCY_ROUNDS if read_bool(rounds, "Consistency") else 0
        precision = values.get("precision") or AUTO
        tile = values.get("tile")
        return cls(
            model=model.key,
            temperature=model.default_temperature
            if temperature is None
            else read_float(temperature, "The temperature", 0, MAX_TEMPERATURE),
            seed=read_int(values.get("seed", 0), "The seed", 0, MAX_SEED),
            num_samples=read_int(values.get("num_samples", 8), "The number of samples", 1, MAX_SAMPLES),
            consistency_rounds=read_int(rounds, "The number of consistency rounds", 0, 100),
            first_index=read_int(values.get("first_index", 0), "The number of the first sample", 0, _MAX_INDEX),
            precision=None if precision == AUTO else read_choice(precision, "The precision", get_args(Precision)),  # type: ignore[arg-type]
            tile=None if tile in (None, "", AUTO, -1) else read_int(tile, "The tile's side", 0, _MAX_TILE),
            pairwise=read_bool(values.get("pairwise", False), "Compare all pairs"),
        )

    @classmethod
    def from_recipe(cls, recipe: SampleRecipe, info: EngineInfo) -> Settings:
        """Return settings whose samples include that of the recipe.

        Raises: InputError: there is no such model, or a value is outside the page's range.
        """
        model = find_model(info, recipe.model)
        drawn, loaded = recipe.weights_sha256, model.weights_sha256
        if drawn is not None and loaded is not None and drawn != loaded:
            raise InputError(
                f"This picture was drawn with other weights of {recipe.model} ({drawn[:12]}…) than "
                f"those loaded here ({loaded[:12]}…): the same pixels cannot be drawn again."
            )
        first = max(0, recipe.index - MAX_SAMPLES + 1)
        values = {
            "model": recipe.model,
            "temperature": recipe.temperature,
            "seed": recipe.seed,
            "num_samples": max(recipe.index - first + 1, 4 if first == 0 else 1),
            "consistency": recipe.consistency_rounds,
            "first_index": first,
            "precision": recipe.precision,
            "tile": recipe.tile,
        }
        return cls.read(values, info)

    def to_values(self) -> dict[str, Any]:
        """Return values that `read` understands."""
        values = asdict(self)
        values["consistency"] = values.pop("consistency_rounds")
        return {name: value for name, value in values.items() if value is not None}

    def to_memory(self) -> dict[str, Any]:
        """Return the settings that the browser should remember until the next visit. `read` understands them.

        Precision and tiles are left out: a restored PNG may have set them, in a section that is closed.
        """
        kept = ("model", "temperature", "num_samples", "consistency", "pairwise")
        return {name: value for name, value in self.to_values().items() if name in kept}

    def draws_same(self, other: Settings) -> bool:
        """Return whether sample number i is the same picture with both settings."""
        return all(getattr(self, name) == getattr(other, name) for name in _DRAWN)

    def preset(self, info: EngineInfo) -> str | None:
        """Return the name of the preset with these settings, if any."""
        model = find_model(info, self.model)
        for name, (_, consistency) in PRESETS.items():
            if self.has_temperature_of(name, model) and consistency == (self.consistency_rounds > 0):
                return name
        return None

    def has_temperature_of(self, preset: str, model: ModelInfo) -> bool:
        """Return whether the temperature is that of a preset with this model."""
        return abs(self.temperature - preset_temperature(preset, model)) < 1e-9

    def to_query(self, **more: str) -> str:
        """Return the query of the page's address, which `read` understands.

        more: additional entries, such as the example.
        """
        values = {
            name: str(value).lower() if isinstance(value, bool) else value for name, value in self.to_values().items()
        }
        defaults = {"first_index": 0, "pairwise": "false"}
        shown = {name: value for name, value in values.items() if defaults.get(name) != value}
        return urlencode(shown | more)


def preset_temperature(preset: str, model: ModelInfo) -> float:
    """Return the temperature that a preset sets with this model."""
    temperature = PRESETS[preset][0]
    return model.default_temperature if temperature is None else temperature


def find_model(info: EngineInfo, key: Any) -> ModelInfo:
    """Return the model of that key; None: the default one. Raises: InputError: there is none."""
    models = {model.key: model for model in info.models}
    return models[read_choice(info.default_model if key is None else key, "The model", models)]
