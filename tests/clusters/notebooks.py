"""Small notebooks for the tests of clusters."""

from __future__ import annotations

from pathlib import Path

import nbformat

QUEUES_A_RUN = (
    "from imgcls_lab.schemas import SubmitRequest\nfrom imgcls_lab.api import context\n"
    "made = context.store().runs.submit(SubmitRequest(config={'root': '/data', 'device': 'auto'}, notes='{}'))\n"
    "print(made.id)"
)


def notebook(path: Path, *cells: str) -> Path:
    made = nbformat.v4.new_notebook()
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "python3", "language": "python"}
    made.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    made.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(made, path)
    return path
