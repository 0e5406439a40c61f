"""Writes results as files: results.csv (every picture), results.json (for programs), results.md (for people)."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from srflow.calibration.file import Calibration
from srflow.evaluation.results import MethodResult, Scores
from srflow.files import atomic_write

__all__ = ["CSV_FILE", "JSON_FILE", "MARKDOWN_FILE", "calibration_table", "markdown_table", "write_report"]

CSV_FILE, JSON_FILE, MARKDOWN_FILE = "results.csv", "results.json", "results.md"

_SCORE_NAMES = tuple(field.name for field in fields(Scores))
_MISSING = "-"


def write_report(folder: str | Path, results: Sequence[MethodResult], settings: Mapping[str, Any]) -> None:
    """Write the three files into `folder`, which is created if it is missing; files of an earlier run are replaced.

    Args:
        results: one per row, in the order of the rows.
        settings: of the evaluation, as JSON values; stored in results.json and listed in results.md.
    """
    folder = Path(folder)
    for name, text in (
        (CSV_FILE, _csv(results)),
        (JSON_FILE, _json(results, settings)),
        (MARKDOWN_FILE, _markdown(results, settings)),
    ):
        with atomic_write(folder / name, "w") as file:
            file.write(text)


def markdown_table(results: Sequence[MethodResult]) -> str:
    """Return the means over pictures, in the form of Table 1 of the SRFlow-DA paper, with the feature distance."""
    lines = [
        "| Method | Params | Time | PSNR | | LPIPS | | | Diversity | Features |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        "| | | s | LR | HR | mean | global | local | | |",
    ]
    for result in results:
        mean = result.mean
        cells = [
            _label(result),
            _params(result.params),
            _seconds(mean.seconds),
            _number(mean.lr_psnr, 2),
            _number(mean.psnr, 2),
            _number(mean.lpips, 3),
            _number(mean.lpips_global, 3),
            _number(mean.lpips_local, 3),
            _number(mean.diversity, 2),
            _number(mean.feature_distance, 3),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def calibration_table(calibration: Calibration) -> str:
    """Return a calibration of brightness as a table in Markdown, with an explanation of its columns."""
    boxes = sorted({bar.box for setting in calibration.settings for bar in setting.bars} - {1})
    promised = f"{100 * calibration.coverage:g} %"
    heads = [
        "τ",
        "Samples",
        "Consistency",
        "RMS error / σ",
        "Covered before",
        f"λ for {promised}",
        "Covered",
        "Worst tenth",
    ]
    if calibration.check is not None:
        heads.append(f"On {calibration.check.num_pictures} others")
    heads += ["Outside all samples, before", "after", "ideal", *(f"λ, {box} px" for box in boxes)]
    lines = [f"| {' | '.join(heads)} |", f"|{'---:|' * len(heads)}"]
    for setting in calibration.settings:
        bars = {bar.box: bar for bar in setting.bars if bar.value == "luma"}
        outer = (ranks[0] + ranks[-1] for ranks in (setting.ranks_before, setting.ranks_after))
        cells = [
            f"{setting.temperature:g}",
            str(setting.num_samples),
            f"{setting.consistency_rounds} rounds" if setting.consistency_rounds else "no",
            f"{bars[1].error_ratio:.2f}",
            _percent(bars[1].coverage_before),
            f"{bars[1].lam:.2f}",
            _percent(bars[1].coverage),
            _percent(bars[1].coverage_tenth),
            *([] if calibration.check is None else [_share(bars[1].coverage_checked)]),
            *map(_percent, (*outer, 2 / (setting.num_samples + 1))),
            *(f"{bars[box].lam:.2f}" for box in boxes),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    how = "conformal risk control: the mean over pictures"
    if calibration.confidence is not None:
        how = f"risk-controlling prediction sets: with {100 * calibration.confidence:g} % confidence"
    return (
        "\n".join(lines)
        + f"\n\nOf brightness, on {calibration.num_pictures} pictures. A bar is the samples' mean ± λ sqrt(1 + 1/K) "
        f"σ. {promised} by {how}. Covered: the share of the truth inside the bar; first with the λ of samples whose "
        f"spread is right, then with the calibrated λ, on each of {calibration.folds} parts of the pictures with a λ "
        "chosen on the other parts. A tenth of the pictures have less than the worst tenth says. "
        f"{_about_check(calibration)}Outside all samples: the outer ends of the rank histogram. λ, 8 px and the like: "
        f"for means over boxes.{_price_of_few(calibration)}\n"
    )


def _about_check(calibration: Calibration) -> str:
    if calibration.check is None:
        return ""
    return f"The others are those of {calibration.check.hr}, which were not used to choose λ. "


def _price_of_few(calibration: Calibration) -> str:
    """Return a sentence that says how much wider than promised the bars are because there are few pictures."""
    count = calibration.num_pictures
    covered = 1 - ((1 - calibration.coverage) * (count + 1) - 1) / count
    if calibration.confidence is not None or covered - calibration.coverage < 0.02:
        return ""
    return (
        f" To hold for future pictures, λ covers {_percent(covered)} of the pixels of these {count} pictures; with "
        "more pictures the bars become narrower."
    )


def _more_table(results: Sequence[MethodResult]) -> str:
    lines = [
        "| Method | Samples | SSIM | PSNR LR, worst sample | MSE diversity | Bits per dimension | Exploded |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        mean = result.mean
        share = None if mean.exploded is None else 100 * mean.exploded
        cells = [
            _label(result),
            str(result.num_samples),
            _number(mean.ssim, 4),
            _number(mean.lr_psnr_worst, 2),
            _number(mean.mse_diversity, 2),
            _number(mean.bits_per_dim, 3),
            _MISSING if _finite(share) is None else f"{share:.3g} %",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _markdown(results: Sequence[MethodResult], settings: Mapping[str, Any]) -> str:
    num_images = len(results[0].pictures) if results else 0
    listed = [f"- {_plain(key.replace('_', ' '))}: {_plain(_setting(value))}" for key, value in settings.items()]
    return (
        f"# Results on {num_images} {'picture' if num_images == 1 else 'pictures'}\n\n"
        f"{markdown_table(results)}\n"
        "Params: of a flow without its encoder, as in the papers. Time: for one super-resolution. PSNR LR: of the "
        "pictures scaled down, in dB; the challenge asks for 45. LPIPS: the mean over samples, the best sample, and "
        "the best sample at every pixel. Diversity: 100 (global - local) / global. Features: the distance of "
        "EfficientNet-lite0's features, the mean over samples; smaller is better.\n\n"
        f"{_more_table(results)}\n"
        "Bits per dimension: of the ground truth, for a density over [0, 1]; + 8 for 8-bit values. Exploded: share "
        "of the samples that were decoded again from smaller latents, since they came out far outside of [0, 1].\n\n"
        f"## Settings\n\n" + "\n".join(listed) + "\n"
    )


def _json(results: Sequence[MethodResult], settings: Mapping[str, Any]) -> str:
    rows = []
    for result in results:
        mean = result.mean
        row: dict[str, Any] = {"method": result.method}
        row |= {name: _finite(getattr(mean, name)) for name in _SCORE_NAMES}
        row |= {
            "params": result.params,
            "params_total": result.params_total,
            "num_samples": result.num_samples,
            "temperature": result.temperature,
            "num_images": len(result.pictures),
        }
        rows.append(row)
    return json.dumps({"rows": rows, "settings": dict(settings)}, indent=2, allow_nan=False) + "\n"


def _csv(results: Sequence[MethodResult]) -> str:
    """Return one line per method and picture; missing values are empty, so that columns remain numeric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "temperature", "num_samples", "picture", *_SCORE_NAMES])
    for result in results:
        for picture, scores in result.pictures.items():
            values = [result.temperature, *(_finite(getattr(scores, name)) for name in _SCORE_NAMES)]
            temperature, *numbers = ("" if value is None else f"{value:.6g}" for value in values)
            writer.writerow([result.method, temperature, result.num_samples, picture, *numbers])
    return text.getvalue()


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _number(value: float | None, decimals: int) -> str:
    return _MISSING if _finite(value) is None else f"{value:.{decimals}f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _share(share: float | None) -> str:
    return _MISSING if share is None else _percent(share)


def _seconds(value: float | None) -> str:
    """Format with three digits: times range from milliseconds to minutes."""
    value = _finite(value)
    return _MISSING if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _params(count: int | None) -> str:
    return _MISSING if count is None else f"{count / 1e6:.1f}M"


def _label(result: MethodResult) -> str:
    temperature = "" if result.temperature is None else f", τ = {result.temperature:g}"
    return _plain(result.method) + temperature


def _setting(value: Any) -> str:
    if value is None:
        return _MISSING
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _plain(text: str) -> str:
    """Escape a name from a file or folder, so that it is not read as Markdown or markup."""
    return "".join(f"\\{character}" if character in "|\\`*_[]<>" else character for character in " ".join(text.split()))
