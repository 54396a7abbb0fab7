"""The front end of the widgets, and the output that shows one. Called by the api; imports no widget library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

STATIC = Path(__file__).parent / "static"
SCRIPT, STYLE = STATIC / "widget.js", STATIC / "widget.css"
WIDGET_TYPE = "application/vnd.jupyter.widget-view+json"


def available() -> bool:
    """Whether the widgets' front end was built; a checkout without it shows the still picture."""
    return SCRIPT.is_file()


def view_of(widget: Any) -> dict[str, Any]:
    """The part of a cell's output that shows a widget."""
    return {WIDGET_TYPE: {"version_major": 2, "version_minor": 1, "model_id": widget.model_id}}
