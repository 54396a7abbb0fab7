"""`make notebooks`: executes the notebooks that are shipped, and stores them with what they show.

Each in a home and a folder of its own, whose place is written as /home/me in what is stored. What only a kernel or a
server could show is left out: a code host shows the pictures and tables.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbclient
import nbformat

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
PLACE = "/home/me"
HOMES = ("imgcls", "cluster")  # of all notebooks, and the own one of cluster.ipynb
WIDGET = "application/vnd.jupyter.widget-view+json"
LIVE = re.compile(rf"{re.escape(WIDGET)}|application/vnd\.imgcls\b.*")
TIMEOUT = 600  # seconds of a cell


def execute(name: str) -> None:
    """Execute one notebook and store it with its outputs."""
    folder = Path(tempfile.mkdtemp(prefix="notebook-"))
    try:
        for path in NOTEBOOKS.glob("*.ipynb"):
            shutil.copy(path, folder)
        os.environ |= {
            "IMGCLS_HOME": str(folder / HOMES[0]),
            "DATASETS_DIR": str(folder / "datasets"),
            "RAY_AUTH_MODE": "disabled",  # by default it is on where this user once had a token
        }
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        where = {"metadata": {"path": str(folder)}}
        nbclient.NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", resources=where).execute()
        nbformat.write(tidied(notebook, str(folder)), NOTEBOOKS / name)
    finally:
        from imgcls_lab.executor import client
        from imgcls_lab.settings import Settings

        for home in HOMES:
            client.stop(Settings(home=str(folder / home)), stop_runs=True)
        shutil.rmtree(folder)


def tidied(notebook: nbformat.NotebookNode, folder: str) -> nbformat.NotebookNode:
    """The notebook as it is stored: no state of widgets, no time of execution, no name of the folder."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_bar(output)]
        for output in cell.get("outputs", []):
            output.pop("transient", None)
            if "data" in output:
                output.data = {kind: value for kind, value in output.data.items() if not LIVE.fullmatch(kind)}
    return nbformat.from_dict(_with_place(notebook, folder))


def _is_bar(output: nbformat.NotebookNode) -> bool:
    """Whether it is a progress bar of widgets, of which the file would keep how it began."""
    return output.output_type == "display_data" and WIDGET in output.data


def _with_place(value: Any, folder: str) -> Any:
    if isinstance(value, str):
        return value.replace(folder, PLACE)
    if isinstance(value, dict):
        return {key: _with_place(item, folder) for key, item in value.items()}
    return [_with_place(item, folder) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    for given in sys.argv[1:] or sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")):
        begun = time.monotonic()
        execute(given)
        print(f"{given}: {time.monotonic() - begun:.0f} s", flush=True)
