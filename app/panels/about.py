"""A short explanation for visitors who have never heard of a normalizing flow."""

from __future__ import annotations

import gradio as gr

from app.wording import ABOUT

__all__ = ["build"]


def build() -> None:
    """Lay the panel out."""
    gr.Markdown(ABOUT, elem_id="about")
