"""Labels, help texts and messages: everything on the page that is longer than a word or two."""

from __future__ import annotations

from srflow.contract import Cancelled, CheckpointError, Estimate, InputError, MemoryBudgetError, SRFlowError

__all__ = [
    "ABOUT",
    "KIND_CHOICES",
    "KIND_HELP",
    "REFERENCE_LABELS",
    "START_NOTE",
    "TITLE",
    "UNEXPECTED",
    "describe_error",
    "describe_tiles",
    "format_bytes",
    "format_seconds",
]

TITLE = "SRFlow-DA Explorer"

KIND_CHOICES = (("Low-resolution: enlarge it", "lr"), ("High-resolution: scale it down first", "hr"))

KIND_HELP = {
    "lr": "The model has learnt from pictures that were scaled down by bicubic interpolation, and knows nothing else. "
    "Blur, noise and JPEG blocks of a real photograph are taken for detail.",
    "hr": "The picture is scaled down (bicubic) and enlarged again. The original is kept as ground truth, so that "
    "samples can be scored.",
}

REFERENCE_LABELS = {
    "bicubic": "Bicubic",
    "encoder": "Encoder (L1)",
    "zero_temperature": "τ = 0",
    "mean": "Mean",
    "truth": "Ground truth",
    "input": "Input",
}

START_NOTE = "Press Sample to draw pictures that fit this one."

ABOUT = """
**Many sharp pictures fit one small picture.** Scaling down throws detail away; going back is a guess, and there are
many good ones. An ordinary upscaler gives you one (or the blurry average of all). This page draws *several*, from a
normalizing flow: a network that turns random noise into detail and can run backwards, so that it also knows how
probable each picture is.

- **Samples** differ in what the small picture does not tell: hair, grass, letters. All of them, scaled down again, give
  your picture (that is what *LR-PSNR* measures; 45 dB or more is as good as equal).
- **Temperature τ** is how much noise goes in. Near 0 the model plays safe and smooth; near 1 it is bold.
- **The diversity map** shows where the samples disagree: what is bright there is invented, not known.
- **Ground truth** exists only for a picture that was scaled down here; then *LPIPS* tells how different a sample looks
  from it (lower is more alike).

Never take a sample for evidence of what was really there.
"""

UNEXPECTED = (
    "Something went wrong on this side; it has been noted. Your picture and settings are kept: please try again."
)


def describe_error(error: BaseException) -> str:
    """An error in words a visitor understands, with what to do; never a stack trace."""
    if isinstance(error, Cancelled):
        return "Stopped."
    if isinstance(error, MemoryBudgetError):
        return f"{error} Choose a smaller region of the picture, or fewer samples."
    if isinstance(error, CheckpointError):
        return f"The model cannot be loaded: {error}"
    if isinstance(error, (InputError, SRFlowError)):
        return str(error)
    return UNEXPECTED


def describe_tiles(estimate: Estimate) -> list[str]:
    """In which tiles a large picture is made: one phrase, or none if it is made in one piece."""
    if estimate.num_tiles < 2:
        return []
    return [f"{estimate.num_tiles} tiles of {estimate.tile}×{estimate.tile}"]


def format_seconds(seconds: float) -> str:
    """A duration at the precision of an estimate: "0.4 s", "12 s", "3 min"."""
    if seconds < 0.1:
        return "less than 0.1 s"
    if seconds < 9.5:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def format_bytes(num_bytes: float) -> str:
    """A size in MB or GB."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{max(num_bytes / 1e6, 1):.0f} MB"
