"""Classes for a folder of files: images under any suffix are read, and what is none is told beside the rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from engine.conftest import digits_source, tiny_vit
from PIL import Image

from cli.conftest import Command

__all__ = ["digits_source", "tiny_vit"]


@pytest.mark.usefixtures("without_heif")
def test_predict_reads_what_is_an_image_and_tells_the_rest(imgcls: Command, tiny_vit: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "@eaDir").mkdir(parents=True)
    for name in ("a.png", "noext", "x.jpg?w=200", "y.JPG_large", "z.png.1", "@eaDir/thumb.png", "._a.png"):
        with (folder / name).open("wb") as file:
            Image.new("RGB", (20, 20), "red").save(file, "PNG")
    for name in ("IMG_1.HEIC", "IMG_2.heic", "IMG_3.heif", "clip.mp4"):
        (folder / name).write_bytes(bytes(99))
    (folder / "loop.png").symlink_to("loop.png")
    done = imgcls("predict", str(tiny_vit), str(folder), "--json")
    rows = json.loads(done.out)
    assert [Path(row["path"]).name for row in rows] == ["a.png", "noext", "x.jpg?w=200", "y.JPG_large", "z.png.1"]
    assert {row["error"] for row in rows} == {None}
    assert done.code == 0
    assert "2 .heic, 1 .heif (`pip install pillow-heif`" in done.err
    assert "1 .mp4" in done.err
    assert "@eaDir" in done.err
    assert "“loop.png”" in done.err
