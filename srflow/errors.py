"""Named errors, which the package raises deliberately. `srflow.contract` offers them, too."""

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
    """Base of every error that the package raises deliberately; its text can be shown to users."""


class InputError(SRFlowError, ValueError):
    """A value given by the caller does not fit: wrong shape, channels, range, NaN, or empty."""


class ImageError(InputError):
    """A picture cannot be read, or is of a kind that is not accepted."""


class ImageTooLargeError(ImageError):
    """A picture has more pixels than the caller allows; it was not decoded."""


class OperationError(InputError):
    """An operation, or a list of them, cannot be read, is out of range, or does not fit the picture."""


class OutputError(SRFlowError, OSError):
    """A file or folder cannot be written: no space, no permission, a name that is too long, or an existing file."""


class CheckpointError(SRFlowError):
    """A checkpoint is missing, truncated, contains code, or does not fit the model."""


class CalibrationError(SRFlowError):
    """A calibration file is damaged, or belongs to other weights."""


class NotCalibratedError(CalibrationError):
    """There is no calibration, or none for the requested settings: bars cannot be promised."""


class DatasetError(SRFlowError):
    """A folder of pictures cannot be used: missing, empty, or with nothing readable and large enough in it."""


class TrainingRecipeError(SRFlowError, ValueError):
    """A training recipe, or an override of one, has an unknown name or a value out of range."""


class TrainingDivergedError(SRFlowError):
    """Training was stopped, because losses or gradients stayed non-finite."""


class MemoryBudgetError(SRFlowError):
    """A request needs more memory than the machine has left, even in the smallest tiles."""


class Cancelled(SRFlowError):  # noqa: N818 - an event, not a fault, as in asyncio.CancelledError
    """Work was cancelled by the caller."""


def check_options(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Check for unknown options. Raises InputError: `what` has no such option; the message lists its options."""
    known = tuple(known)
    unknown = [name for name in given if name not in known]
    if unknown:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise InputError(f"{what} has no option {', '.join(unknown)}; {has}.")


def brief(value: object) -> str:
    """Quote a foreign value in a message, shortened: Python cannot print integers of thousands of digits."""
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
