"""Homes and the few digits of the notebook API's tests, and small notebooks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from api.conftest import few, idle, own

__all__ = ["few", "idle", "own"]

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a notebook of these cells; the first one declares the parameters."""

    def write(*cells: str, name: str = "small.ipynb", kernel: str = "python3") -> Path:
        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
        notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
        notebook.cells[0].metadata["tags"] = ["parameters"]
        path = tmp_path / name
        nbformat.write(notebook, path)
        return path

    return write
