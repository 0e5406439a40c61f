"""Measuring: the mean of a region and a profile along a line, with bars, and the size on which samples agree."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from app.checks import read_int
from app.measuring import Samples, chosen_of, measure_chosen_line, measure_chosen_place
from app.page import Event, Page
from app.panels.results import ResultsPanel
from app.records import Chosen, OpenedPicture, View
from app.session import Session
from app.tasks import Part, Values
from app.viewer import parse_line, parse_mask, parse_subject
from app.views import profile_figure
from app.wording import format_percent
from srflow.contract import InputError
from srflow.evaluation.agreement import MIN_SIDE, Agreement
from srflow.evaluation.reports import CHANNELS, LineReport, PlaceReport, report_agreement

__all__ = ["MeasurePanel"]

_HINT = "Select a region, or draw a line with the Line tool, to measure it in all samples."
_MORE = "The numbers come from the 8-bit pictures of the samples."


class MeasurePanel:
    """A line of text under the viewer, and a tab with tables and the profile."""

    def __init__(self, page: Page, results: ResultsPanel) -> None:
        self.page, self.results = page, results
        self.samples = Samples(page.engine)
        self.line = gr.HTML(_line_html(_HINT), elem_id="measured", padding=False)
        self.outputs = self.streamed = [self.line]

    def build_tab(self) -> None:
        """Build the components of the tab."""
        self.table = gr.HTML(f'<p class="quiet">{_HINT}</p>', elem_id="measured-place")
        with gr.Row(elem_classes="bar-row", elem_id="measure-line"):
            names = ("From x", "from y", "to x", "to y")
            self.ends = [gr.Number(0, precision=0, label=name, minimum=0, min_width=70) for name in names]
            self.button = gr.Button("Measure this line", size="sm", min_width=130, elem_id="measure-button")
        self.profile = gr.Plot(
            label="Brightness along the line", visible=False, elem_classes="plot-low", elem_id="profile"
        )
        self.figures = [self.table, self.profile]

    def show(self, view: View, changed: Collection[Part]) -> Values:
        """Return the summary line, for each finished set and after a change of picture."""
        if not {Part.PICTURE, Part.END} & set(changed):
            return {}
        return {self.line: _line_html(self._summary(view) if Part.END in changed else _HINT)}

    def draw_figures(self, view: View) -> Values:
        """Return the tables and the profile."""
        run, chosen = view.run, chosen_of(view)
        if run is None or len(run.samples) < 2:
            return {self.table: gr.update(value=f'<p class="quiet">{_HINT}</p>', visible=True), self.profile: _plot()}
        samples = self.samples.read(run)
        place = line = None
        if chosen is not None and chosen.place is not None:
            place = measure_chosen_place(samples, run, chosen.place)
        if chosen is not None and chosen.line is not None:
            line = measure_chosen_line(samples, run, chosen.line)
        parts = [
            _place_html(place),
            _agreement_html(report_agreement(samples, place), place, samples),
            _line_words(line),
        ]
        shown = "".join(parts) + f'<p class="quiet">{_MORE}</p>'
        return {self.table: gr.update(value=shown, visible=True), self.profile: _plot(line)}

    def wire(self, page: Page) -> None:
        """Wire the selection of a region or a line in the viewer, and the line in numbers."""
        outputs = [self.line, *self.figures]
        page.ask(self.results.viewer.mask, self.take_place, outputs=outputs, has_data=True)
        page.ask(self.results.viewer.line, self.take_line, outputs=[*outputs, *self.ends], has_data=True)
        page.ask(self.button.click, self.type_line, self.ends, outputs)

    def take_place(self, event: Event) -> Values:
        """Handle a region that was selected or deselected in the viewer."""
        picture = self._picture(event)
        place = parse_mask(event.data, picture.region.width, picture.region.height)
        base = event.data.get("id") if isinstance(event.data, dict) else None
        return self._choose(event, picture, place=place, base=str(base or "")[:100])

    def take_line(self, event: Event) -> Values:
        """Handle a line that was drawn in the viewer."""
        picture = self._picture(event)
        line = parse_line(event.data, *_size(picture))
        ends = {} if line is None else dict(zip(self.ends, line, strict=True))
        return self._choose(event, picture, line=line) | ends

    def type_line(self, event: Event) -> Values:
        """Handle a line that was typed as numbers."""
        picture = event.session.view.picture
        if picture is None:
            raise InputError("There is no picture to measure. Drop one, or choose an example.")
        names = ("The line's first x", "The line's first y", "The line's last x", "The line's last y")
        numbers = [
            read_int(event.values[end], name, 0, side - 1)
            for end, name, side in zip(self.ends, names, _size(picture) * 2, strict=True)
        ]
        return self._choose(event, picture, line=(numbers[0], numbers[1], numbers[2], numbers[3]))

    def _picture(self, event: Event) -> OpenedPicture:
        picture = event.session.view.picture
        if picture is None:
            raise InputError("There is no picture to measure. Drop one, or choose an example.")
        parse_subject(event.data, f"{picture.subject} {picture.scale_factor}")
        return picture

    def _choose(self, event: Event, picture: OpenedPicture, **changes: Any) -> Values:
        """Store the selection, and show its measurements."""
        session = event.session
        former = session.view.chosen
        if former is None or former.subject != picture.subject:
            former = Chosen(subject=picture.subject)
        view = session.amend(event.serial, chosen=replace(former, **changes))
        if view is None:
            return {self.page.status: gr.skip()}
        shown: Values = {self.page.status: gr.skip(), self.line: _line_html(self._summary(view))}
        return shown | (self.draw_figures(view) if self._is_open(session) else {})

    def _is_open(self, session: Session) -> bool:
        """Return whether the visitor has the tab open."""
        name = session.tab or next(iter(self.page.tabs), "")
        return self.page.tabs.get(name) is self

    def _summary(self, view: View) -> str:
        """Summarise the measurements in one line."""
        chosen, run = chosen_of(view), view.run
        if chosen is None or run is None:
            return _HINT
        words = []
        samples = self.samples.read(run) if chosen.place or chosen.line else []
        if chosen.place is not None:
            words.append(_place_words(measure_chosen_place(samples, run, chosen.place)))
        if chosen.line is not None:
            report = measure_chosen_line(samples, run, chosen.line)
            words.append(f"Line of {report.distances[-1]:.0f} px: brightness {_span(report.mean)}")
        return f"{' · '.join(words)} · more under Measure" if words else _HINT


def _size(picture: OpenedPicture) -> tuple[int, int]:
    scale = picture.scale_factor
    return picture.region.width * scale, picture.region.height * scale


def _plot(report: LineReport | None = None) -> Any:
    return gr.update(value=None if report is None else profile_figure(report), visible=report is not None)


def _line_html(text: str) -> str:
    return f'<p class="measured quiet">{html.escape(text)}</p>'


def _place_words(report: PlaceReport) -> str:
    place = f"Region of {report.area:.0f} px: brightness {report.means[3]:.1f}"
    if report.half_width is None or report.coverage is None:
        return f"{place} on average; samples agree to ±{report.sigma[3]:.1f} (σ; bar not calibrated)"
    return f"{place} ± {report.half_width[3]:.1f} ({format_percent(report.coverage)})"


def _place_html(report: PlaceReport | None) -> str:
    """Return the table of a region; without a region, a hint."""
    if report is None:
        return f'<p class="quiet">{_HINT}</p>'
    left, top, right, bottom = report.box
    is_bar = report.half_width is not None and report.coverage is not None
    bar = f"{format_percent(report.coverage)} bar" if is_bar and report.coverage is not None else "Bar"
    heads = ["Mean over the region", "Samples' mean", bar, "σ of samples", "Lowest", "Highest"]
    columns = [report.sigma, report.lowest, report.highest]
    if report.truth is not None:
        heads.append("Ground truth")
        columns.append(report.truth)
    rows = []
    for number in (3, 0, 1, 2):
        width = "not calibrated" if report.half_width is None else f"± {report.half_width[number]:.1f}"
        cells = [f"{report.means[number]:.1f}", width, *(f"{column[number]:.1f}" for column in columns)]
        rows.append(f"<tr><td>{CHANNELS[number]}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    why = f'<p class="quiet">No bar for this place: {html.escape(report.why_not)}</p>' if report.why_not else ""
    return (
        f'<h2 class="figure-title">Place within x {left} to {right - 1}, y {top} to {bottom - 1}: '
        f"{report.area:.0f} pixels, {report.num_samples} samples</h2>"
        f'<div class="scroll"><table class="numbers measured-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{why}"
    )


def _agreement_html(found: Agreement | None, place: PlaceReport | None, samples: Sequence[np.ndarray]) -> str:
    if found is None:
        height, width = samples[0].shape[:2]
        return (
            f'<p class="quiet">How far the samples agree can be told of {MIN_SIDE}×{MIN_SIDE} pixels and more; the '
            f"picture has {width}×{height}.</p>"
        )
    is_place = place is not None and place.has_agreement
    where = "in the whole picture"
    if place is not None and is_place:
        where = f"in the region, which has an effective size of {place.window.side:.0f} px"
    elif place is not None:
        size = f"has an effective size of {place.window.side:.0f} px; {MIN_SIDE} are needed"
        where += f" (the region is too small or too narrow: it {size})"
    method = '<span class="quiet">Fourier ring correlation of all pairs, Hann window, threshold 1/7.</span>'
    if found.reaches_end:
        words = (
            f"Samples agree at least partly on the smallest details that pixels can show (2 px) {where}. Strong edges "
            "alone can cause this: select a region without strong edges to see the detail between them."
        )
        return f"<p>{words} {method}</p>"
    words = f"<b>Samples agree down to {found.size:.1f} px</b> {where}: smaller details differ from sample to sample."
    return f"<p>{words} They agree somewhat less with the truth. {method}</p>"


def _line_words(report: LineReport | None) -> str:
    if report is None:
        return ""
    x0, y0, x1, y1 = report.ends
    words = f"Line from x {x0}, y {y0} to x {x1}, y {y1}"
    if report.coverage is None:
        words += f"; the band is the samples' σ, not calibrated: {report.why_not}"
    elif report.truth is not None:
        share = float(np.mean(np.abs(report.truth - report.mean) <= report.half_width))
        words += (
            f"; the band contains {format_percent(share)} of the truth along it (promised "
            f"{format_percent(report.coverage)})"
        )
    return f'<p class="measured">{html.escape(words)}</p>'


def _span(values: np.ndarray) -> str:
    return f"{values.min():.0f} to {values.max():.0f}"
