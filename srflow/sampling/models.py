"""The models that an engine offers: loaded once, rearranged for sampling when first requested."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

import torch

from srflow.caching import LRUCache
from srflow.calibration.file import load_calibration
from srflow.checkpoints.shipped import DEFAULT_CHECKPOINT, resolve_checkpoint, shipped_checkpoints
from srflow.contract import (
    Calibration,
    CalibrationError,
    CheckpointError,
    InputError,
    ModelInfo,
    NotCalibratedError,
    Precision,
)
from srflow.model import SRFlow
from srflow.sampling.hardware import DTYPES
from srflow.sampling.inference import InferenceModel
from srflow.sampling.planning import Footprint
from srflow.work import OnStep

__all__ = ["LoadedModel", "Models"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """A loaded checkpoint.

    model: float32, on the CPU; copies of it run elsewhere, or in another precision.
    folder: its path; None: it came from the Hub.
    """

    info: ModelInfo
    model: SRFlow
    folder: Path | None = None


_Copy = TypeVar("_Copy")

_MAX_REARRANGED = 3  # models per precision, on the device; one that is requested again later is made again
_MAX_EXACT = 2


class _Copies(Generic[_Copy]):
    """Copies of models on the device: the last few, and all that are in use, so that no copy exists twice."""

    def __init__(self, count: int) -> None:
        self.kept: LRUCache[_Copy] = LRUCache(count)
        self._used: WeakValueDictionary[Hashable, _Copy] = WeakValueDictionary()

    def get(self, key: Hashable, make: Callable[[], _Copy]) -> _Copy:
        copy = self.kept.get(key)
        if copy is None:
            copy = self._used.get(key)
        if copy is None:
            with torch.inference_mode(False):  # otherwise gradients through the weights could never be recorded
                copy = self._used[key] = make()
        self.kept.put(key, copy)
        return copy


class Models:
    """All checkpoints of an engine.

    Args: names: of shipped checkpoints, folders or Hub ids; None takes all that are shipped.
    Raises: CheckpointError: there is none, or one cannot be loaded.
    """

    def __init__(self, names: Sequence[str | Path] | None, device: torch.device, compiled: bool) -> None:
        if names is None:
            names = [folder.name for folder in shipped_checkpoints()]
            if not names:
                raise CheckpointError("No checkpoint comes with this installation; name one (--checkpoint FOLDER).")
        self._device = device
        self._compiled = compiled
        self._loaded = {key: _load(source, key) for source, key in _keys(names).items()}
        self._rearranged: _Copies[InferenceModel] = _Copies(_MAX_REARRANGED)
        self._exact: _Copies[SRFlow] = _Copies(_MAX_EXACT)
        self._calibrations: dict[str, Calibration | None] = {}
        self.default = DEFAULT_CHECKPOINT if DEFAULT_CHECKPOINT in self._loaded else next(iter(self._loaded))

    def infos(self) -> tuple[ModelInfo, ...]:
        """Describe all models."""
        return tuple(loaded.info for loaded in self._loaded.values())

    def get(self, key: str | None) -> LoadedModel:
        """Return a model; None: the default one. Raises InputError: there is none of that name."""
        key = self.default if key is None else key
        if key not in self._loaded:
            raise InputError(f"There is no model {key!r} here; there are {', '.join(self._loaded)}.")
        return self._loaded[key]

    @property
    def on_device(self) -> tuple[LRUCache[Any], ...]:
        """The copies that are kept on the device."""
        return self._rearranged.kept, self._exact.kept

    def rearranged(self, loaded: LoadedModel, precision: Precision, on_step: OnStep) -> InferenceModel:
        """The model as it samples, on the device, which the caller has taken.

        Args: on_step: called if the model has to be made first, which takes a while, and while it is. It may raise.
        """

        def make() -> InferenceModel:
            on_step()
            copy = deepcopy(loaded.model)
            on_step()
            on_device = copy.to(self._device)
            on_step()
            return InferenceModel(on_device, DTYPES[precision], compiled=self._compiled)

        return self._rearranged.get((loaded.info.key, precision), make)

    def exact(self, loaded: LoadedModel) -> SRFlow:
        """The model as it weighs pictures, in float32, on the device, which the caller has taken."""
        if self._device.type == "cpu":
            return loaded.model
        return self._exact.get(
            loaded.info.key, lambda: deepcopy(loaded.model).to(self._device).eval().requires_grad_(False)
        )

    def calibration(self, key: str | None) -> Calibration:
        """Return the calibration of a model; the file is read once. Raises: NotCalibratedError: there is none."""
        loaded = self.get(key)
        name = loaded.info.key
        if name not in self._calibrations:
            self._calibrations[name] = _read_calibration(loaded)
        found = self._calibrations[name]
        if found is None:
            raise NotCalibratedError(f"There is no calibration for {name}; `python -m srflow calibrate` makes one.")
        return found

    def footprint(self, loaded: LoadedModel, precision: Precision) -> Footprint:
        """Return its memory needs."""
        return Footprint.of(loaded.model, DTYPES[precision])


def _read_calibration(loaded: LoadedModel) -> Calibration | None:
    """Return None if there is no usable calibration; a damaged one is reported in the log."""
    if loaded.folder is None:
        return None
    try:
        return load_calibration(loaded.folder, loaded.info.weights_sha256)
    except NotCalibratedError:
        return None
    except CalibrationError as error:
        _log.warning("%s", error)
        return None


def _keys(names: Sequence[str | Path]) -> dict[str | Path, str]:
    """Return the key of every checkpoint: its folder's name, with as many parent folders as are needed to make it
    unique.

    A checkpoint that is named twice counts once. Recipes contain the keys, so the key of a shipped one is always its
    name.
    """
    shipped = shipped_checkpoints()
    parts: dict[str | Path, tuple[str, ...]] = {}
    for name in names:
        source = resolve_checkpoint(name)
        if source in shipped:
            parts[source] = (Path(source).name,)
        elif Path(source).is_dir():
            path = Path(source).resolve()
            parts[path] = path.parts
        else:
            parts[source] = Path(source).parts
    keys = {source: own[-1] for source, own in parts.items()}
    depth = 1
    while len(set(keys.values())) < len(keys):
        depth += 1
        counts = Counter(keys.values())
        keys = {source: key if counts[key] == 1 else "/".join(parts[source][-depth:]) for source, key in keys.items()}
    return keys


def _load(source: str | Path, key: str) -> LoadedModel:
    model = SRFlow.from_pretrained(source)
    info = ModelInfo(
        key=key,
        label=f"{model.config.name} (×{model.scale_factor})",
        scale_factor=model.scale_factor,
        default_temperature=model.config.default_temperature,
        weights_sha256=model.metadata.weights_sha256,
        license=model.metadata.license,
        provenance=model.metadata.provenance,
        lr_multiple=model.config.lr_multiple,
    )
    return LoadedModel(info, model, Path(source) if Path(source).is_dir() else None)
