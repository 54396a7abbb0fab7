"""A notebook that tries by every known way to run code in the page that opens it. Each way sets `window.pwned_NAME`."""

from __future__ import annotations

import json
from typing import Any

_MODEL = "00000000000000000000000000000001"
WAYS = (
    "onerror",
    "script",
    "javascript",
    "svg",
    "widget",
    "markdown",
    "attachment",
    "link",
    "output_markdown",
    "latex",
)


def _set(name: str) -> str:
    return f"window.pwned_{name}=1"


def _output(data: dict[str, str], **metadata: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": {"trusted": True, **metadata}}


def planted() -> dict[str, Any]:
    """As the file of a run, with `trusted` wherever a reader might look for it."""
    image = "<img src='data:,' onerror='{}'>"
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' onload='{_set('svg')}'><script>{_set('svg')}</script></svg>"
    code = {
        "cell_type": "code",
        "id": "a",
        "execution_count": 1,
        "source": "1",
        "metadata": {"trusted": True},
        "outputs": [
            _output({"text/html": image.format(_set("onerror"))}),
            _output({"text/html": f"<script>{_set('script')}</script>"}),
            _output({"application/javascript": _set("javascript")}),
            _output({"image/svg+xml": svg}),
            _output({"text/markdown": image.format(_set("output_markdown"))}),
            _output({"text/latex": f"$\\href{{javascript:{_set('latex')}}}{{x}}$"}),
            _output({"application/vnd.jupyter.widget-view+json": {"model_id": _MODEL, "version_major": 2}}),  # type: ignore[dict-item]
        ],
    }
    text = (
        f"# planted\n{image.format(_set('markdown'))} <script>{_set('markdown')}</script> "
        f"<a class='planted' href='javascript:{_set('link')}'>x</a> ![a](attachment:a.svg)"
    )
    markdown = {
        "cell_type": "markdown",
        "id": "b",
        "source": text,
        "metadata": {"trusted": True},
        "attachments": {"a.svg": {"image/svg+xml": svg.replace("svg=1", "attachment=1")}},
    }
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "cells": [markdown, code],
        "metadata": {
            "trusted": True,
            "signature": "sha256:0",
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "widgets": {"application/vnd.jupyter.widget-state+json": _widget_state()},
        },
    }


def planted_text() -> str:
    return json.dumps(planted())


def _widget_state() -> dict[str, Any]:
    """A widget of anywidget, whose state holds the JavaScript that it runs."""
    esm = f"{_set('widget')}; export default {{ initialize() {{ {_set('widget')} }}, render() {{}} }}"
    state = {
        "_model_module": "anywidget", "_model_name": "AnyModel", "_model_module_version": "~0.9.*",
        "_view_module": "anywidget", "_view_name": "AnyView", "_view_module_version": "~0.9.*",
        "_anywidget_id": "planted", "_esm": esm, "_css": "",
    }  # fmt: skip
    model = {
        "model_module": "anywidget", "model_name": "AnyModel", "model_module_version": "~0.9.*", "state": state,
    }  # fmt: skip
    return {"version_major": 2, "version_minor": 0, "state": {_MODEL: model}}
