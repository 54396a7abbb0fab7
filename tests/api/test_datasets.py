"""`lab.dataset`: a folder of images in Python, with pictures, problems and corrections."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.errors import InputError, NotFoundError
from imgcls_lab.settings import Settings


def test_a_folder_is_looked_at_corrected_and_shown(own: Settings, few: TrainConfig, tmp_path: Path) -> None:
    root = tmp_path / "digits"
    shutil.copytree(few.root, root)
    first = next((root / "train/3").iterdir())
    shutil.copy(first, root / "val/5" / "copy.png")
    data = lab.dataset(root)
    assert lab.dataset(root).id == lab.dataset("digits").id == data.id

    assert "images of train/" in data._repr_html_()
    samples = data.samples(20, split="train")
    assert len(samples.frame) == 20
    assert set(samples.frame["split"]) == {"train"}
    assert samples.frame["label"].nunique() >= 8  # they are spread over the classes
    assert samples._repr_mimebundle_()["text/html"].count("data:image/webp") == 20
    sizes = data.samples(3, by="size").frame["size"]
    assert sizes.is_monotonic_decreasing
    assert sizes[0] == data.samples(None).frame["size"].max()

    copies = data.problems("copy", leak=True).frame
    assert sorted(copies["names"][0]) == sorted([str(first.relative_to(root)), "val/5/copy.png"])
    name = samples.frame["name"][0]
    audit = data.last_audit()
    assert set(audit.frame["kind"]) == {*audit.view.counts}
    assert audit._repr_mimebundle_()["text/html"].count("data:image/webp") >= 2
    relabelled = data.relabel(name, "7")
    assert (relabelled.relabelled, relabelled.frame["name"].tolist()) == (1, [name])
    shown = relabelled._repr_mimebundle_()
    assert (shown["text/html"].count("data:image/webp"), shown["text/plain"]) == (1, repr(relabelled))
    assert repr(relabelled) in shown["text/html"]
    assert data.exclude([samples.frame["image"][1]]).excluded == 1
    assert [item.name for item in data.samples(None, label="7", text=name).items] == [name]
    listed = data.revisions()
    assert [revision.number for revision in listed] == [2, 1]
    assert listed.table()["relabelled"].to_dict() == {2: 0, 1: 1}
    assert data.diff(2, 0)._repr_mimebundle_()["text/html"].count("data:image/webp") == 2
    made = data.undo()
    assert made.frame["image"].tolist() == [samples.frame["image"][1]]
    assert "1 restored" in repr(made)
    assert data.detail().newest_revision == 3
    assert (data.exclude(copies["images"][0][0], only="train").files, data.diff(4, 3).view.excluded) == (1, 1)
    with pytest.raises(InputError):
        data.relabel("../outside.png", "7")
    for wrong in ({"by": "los"}, {"split": "trian"}, {"label": "cat"}):
        ((argument, value),) = wrong.items()
        with pytest.raises(InputError) as refused:
            data.samples(**wrong)  # type: ignore[arg-type]
        assert str(refused.value).startswith(argument)
        assert value in str(refused.value)
    with pytest.raises(InputError):
        data.problems("blury")


def test_what_is_no_data_set_is_a_sentence(own: Settings, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        lab.dataset("flowers")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        lab.dataset(tmp_path / "empty")
