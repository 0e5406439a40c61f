"""Display forms of arrays and numbers: coloured maps, figures, and tables as HTML."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sequential

from app.records import PictureRecord, Run
from app.wording import COLUMNS, format_percent
from srflow.evaluation.reports import LineReport

__all__ = [
    "COLORS",
    "atlas_html",
    "atlas_positions",
    "colorize",
    "grey",
    "histogram",
    "matrix_figure",
    "numbers_html",
    "profile_figure",
    "rank_figure",
    "scale_top",
    "spread_apart",
    "status_html",
    "sweep_figure",
]

COLORS: tuple[str, ...] = tuple(sequential.Inferno)
"""Colours from low to high; the lightness increases throughout, so that the map is readable without colour vision."""

_INK = "#808691"  # legible on white and on black
_LAYOUT = {
    "template": {},  # the default template makes every message larger by 7 kB
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"color": _INK, "size": 12, "family": "system-ui, sans-serif"},
    "margin": {"l": 48, "r": 16, "t": 28, "b": 40},
    "hoverlabel": {"font": {"family": "system-ui, sans-serif"}},
    "legend": {"orientation": "h", "y": 1.12, "x": 0},
}
_DOT_RADIUS = 13
_SPREAD_ROUNDS = 100
_GRID = {"gridcolor": "rgba(128,134,145,0.25)", "zerolinecolor": "rgba(128,134,145,0.4)"}
_ACCENTS = ("#3b82f6", "#e69f00", "#009e73", "#cc79a7")  # distinguishable without colour vision


def scale_top(values: np.ndarray) -> float:
    """Return the upper end of a map's scale: a round number above nearly all values."""
    top = max(float(np.percentile(values, 99.5)), 1.0)
    step = 10 ** math.floor(math.log10(top)) / 2
    return math.ceil(top / step) * step


def colorize(values: np.ndarray, top: float) -> np.ndarray:
    """Map (H, W), 0 to `top`, to uint8 (H, W, 3) in `COLORS`."""
    stops = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in COLORS], np.float32)
    positions = np.linspace(0, 255, len(stops))
    table = np.stack([np.interp(np.arange(256), positions, stops[:, channel]) for channel in range(3)], axis=1)
    return np.rint(table).astype(np.uint8)[grey(values, top)]


def grey(values: np.ndarray, top: float) -> np.ndarray:
    """Map (H, W), 0 to `top`, to uint8 (H, W), 0 to 255."""
    return np.rint(np.clip(values / top, 0, 1) * 255).astype(np.uint8)


def status_html(text: str, fraction: float | None = None, kind: str = "", *, spoken: bool = True) -> str:
    """Return the status line as HTML.

    fraction: for a progress bar; None: no bar.
    kind: "", "error", "done".
    spoken: whether page.js makes a screen reader read the text aloud; progress messages several times a second would
        drown out everything else.
    """
    bar = (
        ""
        if fraction is None
        else f'<div class="bar"><span style="width:{100 * min(max(fraction, 0), 1):.0f}%"></span></div>'
    )
    words = html.escape(text)
    said = f' data-spoken="{words}"' if spoken or kind == "error" else ""
    return f'<div class="status {kind}"{said}><span>{words}</span>{bar}</div>'


def _scale(colors: Sequence[str]) -> list[list[float | str]]:
    return [[i / (len(colors) - 1), color] for i, color in enumerate(colors)]


def histogram(values: np.ndarray) -> go.Figure:
    """Draw a histogram of the standard deviation over pixels."""
    counts, edges = np.histogram(values, bins=60, range=(0, scale_top(values)))
    figure = go.Figure(
        go.Bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=100 * counts / values.size,
            width=np.diff(edges),
            marker={"color": _ACCENTS[0], "line": {"width": 0}},
            hovertemplate="σ %{x:.1f}: %{y:.1f} % of pixels<extra></extra>",
        ),
        layout=_LAYOUT,
    )
    figure.update_xaxes(title="σ, 8-bit units", **_GRID)
    figure.update_yaxes(title="% of pixels", **_GRID)
    return figure


def rank_figure(shares: Sequence[float]) -> go.Figure:
    """Draw the rank histogram of the truth; the line is the expectation if the truth were one of the samples."""
    count = len(shares)
    figure = go.Figure(
        [
            go.Bar(
                x=list(range(count)),
                y=[100 * share for share in shares],
                marker={"color": _ACCENTS[0], "line": {"width": 0}},
                name="this set",
                hovertemplate="above %{x} samples: %{y:.1f} % of pixels<extra></extra>",
            ),
            go.Scatter(
                x=[-0.5, count - 0.5],
                y=[100 / count] * 2,
                mode="lines",
                line={"color": _ACCENTS[1], "dash": "dash"},
                name="if the truth were one of the samples",
                hoverinfo="skip",
            ),
        ],
        layout=_LAYOUT,
    )
    figure.update_layout(margin={"l": 48, "r": 16, "t": 44, "b": 40})
    figure.update_xaxes(title="samples that are darker than the truth", dtick=1 if count <= 17 else None, **_GRID)
    figure.update_yaxes(title="% of pixels", **_GRID)
    return figure


def profile_figure(report: LineReport) -> go.Figure:
    """Draw the brightness along a line: mean, band, and the truth if it is known."""
    low, high = report.mean - report.half_width, report.mean + report.half_width
    band = "mean ± σ of the samples" if report.coverage is None else f"{format_percent(report.coverage)} band"
    x, pixels = report.distances, report.pixels
    figure = go.Figure(
        [
            go.Scatter(x=x, y=low, mode="lines", line={"width": 0}, showlegend=False, hoverinfo="skip"),
            go.Scatter(
                x=x,
                y=high,
                mode="lines",
                line={"width": 0},
                fill="tonexty",
                fillcolor="rgba(59,130,246,0.25)",
                name=band,
                hoverinfo="skip",
            ),
            go.Scatter(
                x=x,
                y=report.mean,
                mode="lines",
                line={"color": _ACCENTS[0], "width": 2},
                name="mean of the samples",
                customdata=np.column_stack([report.half_width, pixels]),
                hovertemplate="%{y:.0f} ± %{customdata[0]:.0f}, x %{customdata[1]}, y %{customdata[2]}<extra></extra>",
            ),
        ],
        layout=_LAYOUT,
    )
    if report.truth is not None:
        line = {"color": _ACCENTS[1], "width": 1.5}
        figure.add_scatter(x=x, y=report.truth, mode="lines", line=line, name="ground truth", hoverinfo="skip")
    figure.update_layout(margin={"l": 48, "r": 16, "t": 44, "b": 40})
    figure.update_xaxes(title="pixels from the ring", **_GRID)
    figure.update_yaxes(title="brightness, grey levels", **_GRID)
    return figure


def matrix_figure(pairs: Sequence[Sequence[float]], names: Sequence[str]) -> go.Figure:
    """Draw the matrix of pairwise LPIPS."""
    figure = go.Figure(
        go.Heatmap(
            z=np.array(pairs, np.float32),
            x=names,
            y=names,
            zmin=0,
            colorscale=_scale(sequential.Cividis),
            hovertemplate="%{y} and %{x}: %{z:.3f}<extra></extra>",
            colorbar={"title": {"text": "LPIPS", "side": "right"}, "thickness": 12, "outlinewidth": 0},
        ),
        layout=_LAYOUT,
    )
    figure.update_xaxes(type="category", constrain="domain", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", scaleanchor="x", constrain="domain", showgrid=False)
    return figure


def sweep_figure(points: Sequence[dict[str, float | None]]) -> go.Figure:
    """Draw the numbers over temperature, one small panel each; numbers that are None throughout are left out."""
    titles = {"diversity": "Diversity (σ)", "lr_psnr": "LR-PSNR (dB)", "lpips": "LPIPS", "psnr": "PSNR (dB)"}
    shown = [name for name in titles if any(point.get(name) is not None for point in points)]
    figure = go.Figure(layout=_LAYOUT)
    gap = 0.08
    width = (1 - gap * (len(shown) - 1)) / max(len(shown), 1)
    for number, name in enumerate(shown):
        suffix = "" if number == 0 else str(number + 1)
        figure.add_scatter(
            x=[point["temperature"] for point in points],
            y=[point.get(name) for point in points],
            xaxis=f"x{suffix}",
            yaxis=f"y{suffix}",
            mode="lines+markers",
            line={"color": _ACCENTS[number], "width": 2},
            hovertemplate=f"τ %{{x:.2f}}: %{{y:.3g}}<extra>{titles[name]}</extra>",
        )
        left = number * (width + gap)
        figure.update_layout(
            {
                f"xaxis{suffix}": {"domain": [left, left + width], "anchor": f"y{suffix}", "title": "τ"} | _GRID,
                f"yaxis{suffix}": {"anchor": f"x{suffix}"} | _GRID,
            }
        )
        figure.add_annotation(
            text=titles[name],
            x=left,
            y=1.08,
            xref="paper",
            yref="paper",
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
        )
    figure.update_layout(showlegend=False, margin={"l": 48, "r": 16, "t": 44, "b": 40})
    return figure


def atlas_positions(features: Sequence[np.ndarray], pairs: np.ndarray | None = None) -> list[tuple[float, float]]:
    """Return positions in a plane whose distances approximate those of the samples (classical scaling; LPIPS if
    available).

    features: small versions of the samples. Returns positions in -1 to 1.
    """
    if pairs is None:
        flat = np.stack([feature.ravel() for feature in features]).astype(np.float64)
        squares = ((flat[:, None] - flat[None]) ** 2).mean(-1)
    else:
        squares = np.asarray(pairs, np.float64) ** 2
    centred = np.eye(len(squares)) - 1 / len(squares)
    values, vectors = np.linalg.eigh(-centred @ squares @ centred / 2)
    axes = vectors[:, ::-1][:, :2] * np.sqrt(np.maximum(values[::-1][:2], 0))
    if axes.shape[1] < 2:
        axes = np.pad(axes, ((0, 0), (0, 2 - axes.shape[1])))
    largest = float(np.abs(axes).max())
    scaled = axes / largest if largest > 0 else axes
    return [(float(x), float(y)) for x, y in scaled]


def spread_apart(places: Sequence[tuple[float, float]], distance: float) -> list[tuple[float, float]]:
    """Move points apart that are closer than `distance`, so that each dot can be clicked.

    Other points stay where they are. In a dense crowd the distance may not be reached everywhere.
    """
    points = np.array(places, np.float64).reshape(-1, 2)
    for _ in range(_SPREAD_ROUNDS):
        moved = False
        for i in range(len(points)):
            for j in range(i):
                away = points[i] - points[j]
                gap = float(np.hypot(*away))
                if gap >= distance:
                    continue
                direction = away / gap if gap > 0 else np.array([np.cos(i), np.sin(i)])
                shift = (
                    direction * (distance - gap) / 2 * 1.001
                )  # slightly more, or rounding would require another round
                points[i] += shift
                points[j] -= shift
                moved = True
        if not moved:
            break
    return [(float(x), float(y)) for x, y in points]


def atlas_html(run: Run) -> str:
    """Return the samples as numbered dots in HTML; a click shows that sample in the viewer (see page.js)."""
    dots = []
    places = spread_apart([(180 + 155 * x, 130 + 105 * y) for x, y in run.atlas], 2 * _DOT_RADIUS)
    for sample, (x, y) in zip(run.samples, places, strict=True):
        number = _index(sample) + 1
        mark = " medoid" if _index(sample) == run.medoid else ""
        label = html.escape(f"Show {sample.label}" + (", the most central one" if mark else ""))
        dots.append(
            f'<g class="dot{mark}" role="button" tabindex="0" data-show-sample="{sample.id}" aria-label="{label}" '
            f'transform="translate({x:.1f} {y:.1f})"><circle r="{_DOT_RADIUS}"/>'
            f"<text>{number}</text><title>{label}</title></g>"
        )
    name = "Similarity map of the samples"
    return f'<svg class="atlas" viewBox="0 0 360 260" role="group" aria-label="{name}">{"".join(dots)}</svg>'


def _index(sample: PictureRecord) -> int:
    """Return a sample's number in the series of its seed, from 0; -1 for a picture that is not a plain sample."""
    return -1 if sample.recipe is None else sample.recipe.index


def numbers_html(run: Run | None) -> str:
    """Return the table of all samples, sortable by any column (page.js), with explanations and the set's numbers."""
    if run is None or not run.samples:
        return '<p class="quiet">A row for each sample will appear here.</p>'
    has_truth = any(sample.numbers and sample.numbers.truth for sample in run.samples)
    names = ["sample", "lr_psnr", "bits", "distance", *(["lpips", "psnr"] if has_truth else []), "remarks"]
    heads = [
        f'<th scope="col" aria-sort="{"ascending" if name == "sample" else "none"}">'
        f'<button type="button" data-sort>{COLUMNS[name][0]}</button></th>'
        if name != "remarks"
        else f'<th scope="col">{COLUMNS[name][0]}</th>'
        for name in names
    ]
    rows = ["<tr>" + "".join(_cells(run, sample, has_truth)) + "</tr>" for sample in run.samples]
    table = f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody>"
    meanings = "".join(f"<div><dt>{COLUMNS[name][0]}</dt><dd>{COLUMNS[name][1]}</dd></div>" for name in names)
    return (
        f'<div class="scroll"><table class="numbers">{table}</table></div>{_set_html(run)}'
        f'<details class="meanings"><summary>What the columns mean</summary><dl>{meanings}</dl></details>'
    )


def _cells(run: Run, sample: PictureRecord, has_truth: bool) -> Iterator[str]:
    """Return one row. `data-value` is the sort key of a column."""
    index, numbers = _index(sample), sample.numbers

    def cell(value: float | None, text: str) -> str:
        return "<td>–</td>" if value is None else f'<td data-value="{value:.6g}">{text.format(value)}</td>'

    name = index + 1 if index >= 0 else html.escape(sample.label)
    button = f'<button type="button" data-show-sample="{sample.id}">{name}</button>'
    yield f'<td data-value="{index}">{button}</td>'
    truth = None if numbers is None else numbers.truth
    yield cell(None if numbers is None else numbers.lr_psnr, "{:.1f}")
    yield cell(None if numbers is None else numbers.bits_per_dimension, "{:.2f}")
    yield cell(dict(zip(run.summary_indices, run.distances_to_mean or (), strict=False)).get(index), "{:.1f}")
    if has_truth:
        yield cell(None if truth is None else truth.lpips, "{:.3f}")
        yield cell(None if truth is None else truth.psnr, "{:.2f}")
    flags = "" if numbers is None else "; ".join(map(html.escape, numbers.flags))
    marks = ["nearest to the mean"] if index == run.nearest_to_mean else []
    marks += ["most central by LPIPS"] if index == run.medoid else []
    parts = [f'<span class="flag">{flags}</span>'] if flags else []
    parts += [f'<span class="quiet">{"; ".join(marks)}</span>'] if marks else []
    yield f"<td>{'; '.join(parts)}</td>"


def _set_html(run: Run) -> str:
    facts: list[tuple[str, str]] = []
    if run.diversity is not None:
        facts.append(("Diversity (mean σ)", f"{run.diversity:.2f}"))
    if run.mean_pairwise_lpips is not None:
        facts.append(("Mean pairwise LPIPS", f"{run.mean_pairwise_lpips:.3f}"))
    scores = run.challenge
    if scores is not None:
        named = (
            ("PSNR of the set", scores.psnr, "{:.2f} dB"),
            ("LPIPS, mean", scores.lpips, "{:.3f}"),
            ("LPIPS, best sample", scores.lpips_global, "{:.3f}"),
            ("NTIRE diversity", scores.diversity, "{:.1f} %"),
        )
        facts += [(name, pattern.format(value)) for name, value, pattern in named if value is not None]
    items = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{items}</dl>'
