"""`lab.configs()`: saved configs and their versions in Python; a project as a file."""

from __future__ import annotations

from pathlib import Path

import pytest

import imgcls_lab as lab
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import NotFoundError


@pytest.mark.usefixtures("own")
def test_configs_are_saved_in_versions(few: TrainConfig) -> None:
    first = lab.configs().save("small", few.with_changes(lr=0.01), project="pets", description="a start")
    second = lab.configs().save("small", few.with_changes(lr=0.02))
    assert (first.number, second.number, second.config.lr) == (1, 2, 0.02)
    assert list(lab.configs()) == ["small"]
    assert ("small" in lab.configs(), "none" in lab.configs()) == (True, False)
    saved = lab.configs()["small"]
    assert [version.number for version in saved.versions()] == [2, 1]
    assert saved.version(1).lr == 0.01
    assert [(field.name, field.values) for field in saved.difference(2, 1)] == [("lr", [0.01, 0.02])]
    assert (saved.restore(1).number, lab.configs()["small"].config.lr) == (3, 0.01)
    assert "version 3" in repr(lab.configs()["small"])
    assert "<td>0.01</td>" in lab.configs()["small"]._repr_html_()
    assert "lr=0.01" in lab.configs()._repr_html_()
    with pytest.raises(NotFoundError):
        lab.configs()["none"]


@pytest.mark.usefixtures("own")
def test_a_project_is_a_file(few: TrainConfig, tmp_path: Path) -> None:
    lab.configs().save("small", few, project="pets")
    done = lab.export_project("pets", tmp_path / "pets.tar")
    back = lab.import_project(done.path, name="copy")
    assert (back.project, back.configs) == ("copy", ["small 2"])
