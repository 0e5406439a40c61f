"""Labels, help texts and messages: all longer texts on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from srflow.contract import Cancelled, CheckpointError, Estimate, InputError, MemoryBudgetError, SRFlowError

if TYPE_CHECKING:
    from app.records import Run

__all__ = [
    "ABOUT",
    "COLUMNS",
    "KIND_CHOICES",
    "KIND_HELP",
    "MEASURES",
    "NEXT_STEP",
    "NO_PICTURE",
    "REFERENCES",
    "START_NOTE",
    "TITLE",
    "UNEXPECTED",
    "count",
    "describe_error",
    "describe_stop",
    "describe_tiles",
    "format_bytes",
    "format_percent",
    "format_seconds",
    "preset_choices",
]

TITLE = "SRFlow-DA Explorer"

KIND_CHOICES = (("Low-resolution: enlarge it", "lr"), ("Full-size: scale it down first", "hr"))

KIND_HELP = {
    "lr": "The model was trained only on pictures scaled down by bicubic interpolation. It will mistake blur, "
    "noise and JPEG artefacts for detail.",
    "hr": "The picture is scaled down (bicubic) and enlarged again. The original is kept as the ground truth, so that "
    "samples can be scored against it.",
}

MEASURES = {"luma": "Luma", "rgb": "RGB"}

REFERENCES = {
    "input": ("Input", "i"),
    "bicubic": ("Bicubic", "b"),
    "encoder": ("Single guess", "e"),
    "zero_temperature": ("τ = 0", "t"),
    "mean": ("Mean", "m"),
    "truth": ("Ground truth", "g"),
}
"""Label and key of the pictures with which samples can be compared, in the order of display."""

START_NOTE = "Press Sample to generate high-resolution versions of this picture."

NEXT_STEP = "All of these match the same small picture. Move the temperature, press Sample, or drop your own picture."

NO_PICTURE = "There is no picture. Drop one, or choose an example."

COLUMNS = {
    "sample": ("Sample", "Number of the sample. Press it to show the sample alone."),
    "lr_psnr": (
        "LR-PSNR",
        "How closely the downscaled sample matches the input, in dB. 45 dB or more: practically identical.",
    ),
    "bits": (
        "bits/dim",
        "How improbable the model finds the sample, before the input is matched. Smaller is more probable.",
    ),
    "distance": (
        "RMSE to mean",
        "Distance to the mean of all samples (root of the mean squared difference), in 8-bit units.",
    ),
    "lpips": ("LPIPS", "How different the sample looks from the ground truth. Smaller is closer."),
    "psnr": ("PSNR", "How close the sample is to the ground truth pixel by pixel, in dB. Larger is closer."),
    "remarks": (
        "Remarks",
        "“Decoded again”: the first attempt gave impossible colours, so the noise was limited and the sample drawn "
        "again. “Most central”: it has the smallest mean LPIPS to all others.",
    ),
}
"""Columns of the table: heading and definition."""

ABOUT = """
**Many sharp pictures match one small picture.** Scaling down discards detail; scaling up must guess it, and many
guesses are plausible. An ordinary upscaler shows one of them (or a blurry average of all). This page draws *several*,
with a normalizing flow: a network that turns random noise into detail. It can also run backwards, so it can compute how
probable each picture is.

- **Samples** differ in what the small picture does not show: hair, grass, letters. Scaled down again, all of them match
  your picture (*LR-PSNR* measures how closely; 45 dB or more: practically identical to the input).
- **Temperature τ** is the amount of noise. Near 0 the pictures are smooth and similar; near 1 sharp and varied.
- **The diversity map** shows where the samples disagree: what is bright in the map is guessed, not known.
- **Match the input** changes every sample slightly, so that it scales down to your picture (back-projection).
- **Single guess** is what the network draws without any noise before the flow (its encoder, trained with an L1 loss).
- **Ground truth** exists only for a picture that was scaled down here; *LPIPS* then measures how different a sample
  looks from it (lower is more similar).

Never use a sample as evidence of what was really there.
"""

UNEXPECTED = (
    "Something went wrong on the server; the error was logged. Your picture and settings are kept: please try again."
)


def preset_choices(presets: Mapping[str, tuple[float | None, bool]], default: float | None) -> list[tuple[str, str]]:
    """Return label and name of each preset; the label says what the preset sets.

    presets: name → temperature (None: the model's default) and whether the input is matched.
    default: the default temperature of the model; None: it is not loaded yet.
    """
    choices = []
    for name, (temperature, is_matched) in presets.items():
        value = default if temperature is None else temperature
        label = name if value is None else f"{name}: τ {value:g}"
        choices.append((label if is_matched else f"{label}, input not matched", name))
    return choices


def count(number: int) -> str:
    """Format a number of samples, as in "1 sample" and "2 samples"."""
    return "1 sample" if number == 1 else f"{number} samples"


def describe_stop(run: Run | None) -> str:
    """Say what was finished before Stop. run: the stopped one, if it had anything to show."""
    if run is None or not run.samples:
        return "Stopped."
    return f"Stopped after {len(run.samples)} of {count(run.settings.num_samples)}."


def describe_error(error: BaseException) -> str:
    """Return an error message that a visitor understands, with what to do; never a stack trace."""
    if isinstance(error, Cancelled):
        return "Stopped."
    if isinstance(error, MemoryBudgetError):
        return f"{error} Choose a smaller crop of the picture, or fewer samples."
    if isinstance(error, CheckpointError):
        return f"The model cannot be loaded: {error}"
    if isinstance(error, (InputError, SRFlowError)):
        return str(error)
    return UNEXPECTED


def describe_tiles(estimate: Estimate) -> list[str]:
    """Describe the tiles of a large picture: one phrase, or none if there are no tiles."""
    if estimate.num_tiles < 2:
        return []
    return [f"{estimate.num_tiles} tiles of {estimate.tile}×{estimate.tile}"]


def format_seconds(seconds: float) -> str:
    """Format a duration at the precision of an estimate: "0.4 s", "12 s", "3 min"."""
    if seconds < 0.1:
        return "less than 0.1 s"
    if seconds < 9.5:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def format_percent(share: float, digits: int = 0) -> str:
    """Format a share, e.g. "88 %"; never as 100 % if it is less, nor as 0 % if it is more than nothing."""
    step = 10.0**-digits
    percent = 100 * share
    if 0 < share < 1:
        percent = min(max(percent, step), 100 - step)
    return f"{percent:.{digits}f} %"


def format_bytes(num_bytes: float) -> str:
    """Format a size in MB or GB."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{max(num_bytes / 1e6, 1):.0f} MB"
