"""The whole page: `build_app(engine)`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.themes.utils.fonts import Font
from gradio.utils import get_upload_folder

from app import endpoints, wiring
from app.ahead import Ahead
from app.examples import EXAMPLES_FOLDER
from app.page import Page
from app.panels import about, controls, diversity, download, numbers, picture, results, sweep
from app.pictures import MAX_FILE_SIZE
from app.state import MAX_VISITORS, Visitors
from app.wording import TITLE
from srflow.contract import Engine

__all__ = ["build_app", "launch_options"]

_STYLES = Path(__file__).parent / "styles"
_CACHE_SWEEP_SECONDS = 300
_CACHE_AGE_SECONDS = 3600
STORAGE_KEY = "srflow-explorer-settings"


def build_app(engine: Engine, ahead: bool = True) -> gr.Blocks:
    """The page, driven by this engine; nothing of the engine is called before a visitor comes.

    ahead: condition pictures in the background as soon as they are opened.
    Start it with `launch(**launch_options())`: Gradio takes theme, styles and scripts there.
    """
    gr.set_static_paths([EXAMPLES_FOLDER])
    visitors = Visitors(get_upload_folder())
    with gr.Blocks(
        title=TITLE,
        fill_width=True,
        analytics_enabled=False,
        delete_cache=(_CACHE_SWEEP_SECONDS, _CACHE_AGE_SECONDS),
    ) as app:
        session = gr.State(None, delete_callback=visitors.forget)
        page = Page(app, engine, visitors, session, Ahead(engine) if ahead else None)
        # Settings only, nothing secret; a fixed key, so that they survive a restart of the server.
        memory = gr.BrowserState(None, storage_key=STORAGE_KEY, secret=STORAGE_KEY)
        gr.HTML(
            f'<h1>{TITLE}</h1><p class="quiet">Many sharp pictures fit one small picture. See them side by side.</p>',
            elem_id="title",
        )
        with gr.Row(elem_id="main"):
            with gr.Column(scale=1, min_width=300, elem_id="side"):
                picture_panel = picture.build()
                controls_panel = controls.build()
            with gr.Column(scale=4, min_width=320, elem_id="stage"):
                results_panel = results.build()
                download_panel = download.build()
                with gr.Tabs(elem_id="tabs"):
                    with gr.Tab("Numbers"):
                        numbers_panel = numbers.build()
                    with gr.Tab("Diversity map", render_children=True):
                        diversity_panel = diversity.build()
                    with gr.Tab("Temperature sweep", render_children=True):
                        sweep_panel = sweep.build()
                    with gr.Tab("What am I looking at?"):
                        about.build()
        panels = wiring.Panels(
            picture_panel, controls_panel, results_panel, diversity_panel, numbers_panel, download_panel, memory
        )
        wiring.wire(app, page, panels)
        picture.wire(picture_panel)
        diversity.wire(page, diversity_panel, results_panel)
        download.wire(page, download_panel, results_panel)
        sweep.wire(page, sweep_panel, controls_panel, results_panel)
        endpoints.add(page)
    app.queue(max_size=64, default_concurrency_limit=8, api_open=False)
    return app


def launch_options() -> dict[str, Any]:
    """What `Blocks.launch` needs to be told about this page. Everything is served from here, fonts included."""
    theme = gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        spacing_size="sm",
        radius_size="sm",
        text_size="sm",
        font=[Font("system-ui"), Font("sans-serif")],
        font_mono=[Font("ui-monospace"), Font("monospace")],
    )
    script = (_STYLES / "page.js").read_text(encoding="utf-8")
    return {
        "theme": theme,
        "css": (_STYLES / "page.css").read_text(encoding="utf-8"),
        "head": f"<script>{script}</script>",
        "ssr_mode": False,
        "max_file_size": MAX_FILE_SIZE,
        "state_session_capacity": MAX_VISITORS,
        "run_history": False,
        "footer_links": ["api", "settings"],
        "show_error": True,
    }
