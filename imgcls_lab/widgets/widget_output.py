"""The front end of the widgets, and the output that shows one. Called by the api; imports no widget library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

STATIC = Path(__file__).parent / "static"
SCRIPT, STYLE = STATIC / "widget.js", STATIC / "widget.css"
WIDGET_TYPE = "application/vnd.jupyter.widget-view+json"
KERNEL_TYPE = "application/vnd.imgcls.kernel+json"  # tells the Lab extension that the output has nothing but its kernel


def available() -> bool:
    """Whether the widgets' front end was built; a checkout without it shows the still picture."""
    return SCRIPT.is_file()


def view_of(widget: Any, *, served: bool) -> dict[str, Any]:
    """The part of a cell's output that shows a widget. served: a server knows what it shows, too."""
    view = {"version_major": 2, "version_minor": 1, "model_id": widget.model_id}
    return {WIDGET_TYPE: view, **({} if served else {KERNEL_TYPE: {"version": 1}})}
