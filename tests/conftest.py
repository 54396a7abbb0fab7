"""What all tests share: a home of their own, and the rule that CI has no excuse."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcls_lab import images


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """IMGCLS_HOME in a temporary folder, and no other setting from the caller's environment."""
    for name in list(os.environ):
        if name.startswith("IMGCLS_") or name == "DATASETS_DIR":
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("IMGCLS_HOME", str(folder))
    return folder


@pytest.fixture
def without_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if pillow-heif were not installed."""
    monkeypatch.setattr(images, "IMAGE_SUFFIXES", images.IMAGE_SUFFIXES - images.HEIF_SUFFIXES)
    monkeypatch.setattr(images, "FORMATS", tuple(name for name in images.FORMATS if name != "HEIF"))


def missing(what: str) -> None:
    """Skip for want of a program; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and in CI that is a failure.")
    pytest.skip(f"{what} is missing; `make system` installs it.")
