"""Named errors: what the package raises on purpose. `srflow.contract` offers them, too.

And how their messages quote what was wrong.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "CalibrationError",
    "Cancelled",
    "CheckpointError",
    "DatasetError",
    "ImageError",
    "ImageTooLargeError",
    "InputError",
    "MemoryBudgetError",
    "NotCalibratedError",
    "OperationError",
    "OutputError",
    "SRFlowError",
    "TrainingDivergedError",
    "TrainingRecipeError",
    "brief",
    "check_options",
]


class SRFlowError(Exception):
    """Base of every error that the package raises on purpose; its text is fit to be shown to a person."""


class InputError(SRFlowError, ValueError):
    """A value given by the caller does not fit: wrong shape, channels, range, NaN, or nothing at all."""


class ImageError(InputError):
    """A picture cannot be read, or is of a kind that is not accepted."""


class ImageTooLargeError(ImageError):
    """A picture has more pixels than the caller allows; nothing of it was decoded."""


class OperationError(InputError):
    """An operation, or a list of them, cannot be read, is out of range, or does not fit the picture."""


class OutputError(SRFlowError, OSError):
    """A file or folder cannot be written: no room, no permission, a name that is too long, something in the way."""


class CheckpointError(SRFlowError):
    """A checkpoint is missing, truncated, holds code, or does not fit the model that it is loaded into."""


class CalibrationError(SRFlowError):
    """A calibration file is damaged, or belongs to other weights."""


class NotCalibratedError(CalibrationError):
    """There is no calibration, or none of what was asked for: bars cannot be promised there."""


class DatasetError(SRFlowError):
    """A folder of pictures cannot be used: missing, empty, or with nothing readable and large enough in it."""


class TrainingRecipeError(SRFlowError, ValueError):
    """A training recipe, or an override of one, has an unknown name or a value out of range."""


class TrainingDivergedError(SRFlowError):
    """Training was stopped, because losses or gradients stayed non-finite."""


class MemoryBudgetError(SRFlowError):
    """A request needs more memory than the machine has left, even in the smallest tiles."""


class Cancelled(SRFlowError):  # noqa: N818 - an event, not a fault, as in asyncio.CancelledError
    """Work was stopped at the caller's wish."""


def check_options(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises InputError: options are given that `what` does not have; the message names those that it has."""
    known = tuple(known)
    unknown = [name for name in given if name not in known]
    if unknown:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise InputError(f"{what} has no option {', '.join(unknown)}; {has}.")


def brief(value: object) -> str:
    """Quote a foreign value in a message, whatever its size: Python does not print integers of thousands of digits."""
    if isinstance(value, (list, tuple)) and len(value) <= 8:
        text = ", ".join(_quoted(item) for item in value)
    else:
        text = _quoted(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _quoted(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 64:
        return "a number far too large"
    if isinstance(value, (list, tuple, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value) if isinstance(value, (int, float, str, type(None))) else type(value).__name__
