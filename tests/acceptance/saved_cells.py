"""What the tests of saved notebooks look at: the outputs of runs in a file, and how a run ended."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

from imgcls_lab import Run
from imgcls_lab.api import context
from imgcls_lab.api.display import RUN_TYPE
from imgcls_lab.settings import Settings
from imgcls_lab.widgets.widget_output import WIDGET_TYPE

CELL = 25_000  # bytes of a finished cell
PICTURE = 20_000
STREAM = re.compile(rb"obj\s*<<((?:(?!endobj).)*?)>>\s*stream\r?\n", re.DOTALL)  # of a PDF: its head

# a run on the demo's digits, shown as the last expression
LAUNCH = """
import imgcls_lab as lab
config = lab.demo.prepare().config.with_changes(epochs={epochs}, threads=1)
run = lab.launch(config, name="{name}")
run
"""


def cells_of(notebook: Path) -> list[dict[str, Any]]:
    """The outputs of runs in a notebook."""
    written = json.loads(notebook.read_text())
    outputs = [output for cell in written["cells"] for output in cell.get("outputs", [])]
    return [output for output in outputs if RUN_TYPE in output.get("data", {})]


def run_of(home: Path) -> Run:
    """The one run of a home."""
    store = context.store(Settings(home=str(home)))
    (view,) = store.runs.list().items
    return Run(view.id, store=store)


def accuracy_of(run: Run) -> str:
    assert run.view.best is not None
    return f"best accuracy {run.view.best.value * 100:.1f} %"


def check_cell(output: dict[str, Any], run: Run, how: str) -> None:
    """The output shows how the run ended, in little room, and needs no widget."""
    data = output["data"]
    text, page = ("".join(data[kind]) for kind in ("text/plain", "text/html"))
    assert f"{run.name} has finished" in text
    assert accuracy_of(run) in text
    assert accuracy_of(run) in page
    assert WIDGET_TYPE not in data
    picture, size = len(base64.b64decode("".join(data["image/png"]))), len(json.dumps(output))
    print(f"{how}: a finished cell {size:,} bytes (at most {CELL:,}), its picture {picture:,} (at most {PICTURE:,})")
    assert size <= CELL
    assert picture <= PICTURE


def images_of(pdf: bytes) -> list[bytes]:
    """The pixels of the pictures in a PDF of Chromium, as RGB."""
    found = []
    for match in STREAM.finditer(pdf):
        head = match[1].decode("latin-1")
        if "/Subtype /Image" in head:
            length = int(re.findall(r"/Length (\d+)", head)[0])
            found.append(zlib.decompress(pdf[match.end() : match.end() + length]))
    return found
