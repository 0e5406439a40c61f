"""The layout of the whole page: `build_page(engine)`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.themes.utils.fonts import Font

from app.ahead import Ahead
from app.blocks import PageBlocks
from app.endpoints import Endpoints
from app.examples import EXAMPLES_FOLDER
from app.opening import Opening
from app.page import Page
from app.panels import about
from app.panels.controls import ControlsPanel
from app.panels.diversity import DiversityPanel
from app.panels.download import DownloadPanel
from app.panels.edit import EditPanel
from app.panels.explore import ExplorePanel
from app.panels.exports import ExportPanel
from app.panels.history import HistoryPanel
from app.panels.measure import MeasurePanel
from app.panels.numbers import NumbersPanel
from app.panels.picture import PicturePanel
from app.panels.results import ResultsPanel
from app.panels.sweep import SweepPanel
from app.pictures import MAX_FILE_SIZE
from app.visit import Visit
from app.visitors import MAX_SESSIONS, Sessions
from app.wording import TITLE
from srflow.contract import Engine

__all__ = ["build_page", "launch_options"]

_STYLES = Path(__file__).parent / "styles"
_CACHE_SWEEP_SECONDS = 300
_CACHE_AGE_SECONDS = 3600
STORAGE_KEY = "srflow-explorer-settings"


def build_page(engine: Engine, sessions: Sessions | None = None, ahead: bool = True) -> Page:
    """Build the page for this engine. The engine is not called before `Opening.draw` or the first visitor.

    Start it with `page.blocks.launch(**launch_options())`, because Gradio takes theme, styles and scripts there. Then
    call `page.opening.draw()` to draw the first set. `page.sessions.close()` removes all files.

    Args:
        engine: draws.
        sessions: the visitors and their files; default: in a new folder for temporary files.
        ahead: compute conditionings in the background as soon as pictures are opened.
    """
    sessions = Sessions() if sessions is None else sessions
    # These files are served directly. Gradio would copy others to its cache, and delete them there after an hour.
    gr.set_static_paths([sessions.root, EXAMPLES_FOLDER])
    with PageBlocks(
        title=TITLE,
        fill_width=True,
        analytics_enabled=False,
        delete_cache=(_CACHE_SWEEP_SECONDS, _CACHE_AGE_SECONDS),  # of uploads: sessions have their own copies
    ) as blocks:
        opening = Opening(engine, sessions)
        page = Page(blocks, engine, sessions, STORAGE_KEY, opening, Ahead(engine) if ahead else None)
        gr.HTML(
            f'<h1>{TITLE}</h1><p class="quiet">One small picture, and many sharp ones that fit it.</p>',
            elem_id="title",
        )
        with gr.Row(elem_id="main"):
            with gr.Column(scale=1, min_width=300, elem_id="side"):
                controls = ControlsPanel(page)
                controls.build_bar()
                picture = PicturePanel(page, controls)
                controls.build()
            with gr.Column(scale=4, min_width=320, elem_id="stage"):
                results = ResultsPanel(page)
                measure = MeasurePanel(page, results)
                explore = ExplorePanel(page, results)
                history = HistoryPanel(page, results, controls)
                with gr.Row(elem_id="take-away"):
                    download = DownloadPanel(page, results)
                    exports = ExportPanel(page, measure)
                edit = EditPanel(page)
                with gr.Tabs(elem_id="tabs"):
                    with gr.Tab("Numbers") as numbers_tab:
                        numbers = NumbersPanel()
                    with gr.Tab("Diversity", render_children=True) as diversity_tab:
                        diversity = DiversityPanel(page, results)
                    with gr.Tab("Measure", render_children=True) as measure_tab:
                        measure.build_tab()
                    with gr.Tab("Temperature sweep", render_children=True) as sweep_tab:
                        sweep = SweepPanel(page, controls)
                    with gr.Tab("What am I looking at?") as about_tab:
                        about.build()
        page.add_tabs(
            {
                numbers_tab: numbers,
                diversity_tab: diversity,
                measure_tab: measure,
                sweep_tab: sweep,
                about_tab: None,
            }
        )
        page.add(
            *(results, controls, picture, numbers, diversity, sweep, download, edit, explore, history, measure, exports)
        )
        Visit(page, controls)
        Endpoints(page)
    # Otherwise Gradio recomputes statistics over all past events after each event, which would delay the thousandth
    # run.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
    blocks.queue(max_size=64, default_concurrency_limit=8, api_open=False)
    return page


def launch_options() -> dict[str, Any]:
    """Return the arguments of `Blocks.launch` for this page. Everything is served locally, including fonts."""
    theme = gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        spacing_size="sm",
        radius_size="sm",
        text_size="sm",
        font=[Font("system-ui"), Font("sans-serif")],
        font_mono=[Font("ui-monospace"), Font("monospace")],
    ).set(
        # Gradio's own colour is too pale to read (contrast below 4.5:1).
        body_text_color_subdued="*neutral_600",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )
    scripts = [(_STYLES / name).read_text(encoding="utf-8") for name in ("page.js", "queue.js")]
    return {
        "theme": theme,
        "css": (_STYLES / "page.css").read_text(encoding="utf-8"),
        "head": "".join(f"<script>{script}</script>" for script in scripts),
        "ssr_mode": False,
        "max_file_size": MAX_FILE_SIZE,
        # Sessions are ended by `Sessions`, which never ends one that is working; Gradio's own limit must not be lower.
        "state_session_capacity": 4 * MAX_SESSIONS,
        "run_history": False,
        "footer_links": ["api", "settings"],
        "show_error": False,
    }
