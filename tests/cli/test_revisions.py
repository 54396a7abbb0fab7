"""Corrections on the command line, from the relabelled image to the exported folder; retrain."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.imagefolder import inspect_folder

from .conftest import Command


@pytest.fixture
def root(imgcls: Command, few: TrainConfig, tmp_path: Path) -> Path:
    root = Path(shutil.copytree(few.root, tmp_path / "digits"))
    assert imgcls("datasets", "add", "digits", str(root), "--no-audit").code == 0
    return root


def first(root: Path, name: str) -> str:
    return str(sorted((root / name).iterdir())[0].relative_to(root))


def test_images_are_relabelled_compared_undone_and_exported(imgcls: Command, root: Path, tmp_path: Path) -> None:
    three, seven = first(root, "train/3"), first(root, "val/7")
    made = imgcls("datasets", "relabel", "digits", three, str(root / seven), "--label", "5", "-m", "by eye", "--json")
    (view,) = json.loads(made.out)
    assert (view["number"], view["relabelled"], view["message"]) == (1, 2, "by eye")
    assert imgcls("datasets", "relabel", "digits", first(root, "train/1"), "--exclude").code == 0
    listed = json.loads(imgcls("datasets", "revisions", "digits", "--json").out)
    assert [item["number"] for item in listed] == [2, 1]
    diff = json.loads(imgcls("datasets", "diff", "digits", "2", "0", "--json").out)
    assert {(item["name"], item["before"], item["label"]) for item in diff["changes"]} == {
        (three, "3", "5"), (seven, "7", "5"), (first(root, "train/1"), "1", None),
    }  # fmt: skip

    out = tmp_path / "out"
    done = json.loads(imgcls("datasets", "export", "digits", "--out", str(out), "--json").out)
    assert (done["relabelled"], done["excluded"], done["copied"]) == (2, 1, 0)
    counts = inspect_folder(out).splits["train"]
    assert (counts["1"], counts["3"], counts["5"]) == (15, 15, 17)
    assert imgcls("datasets", "export", "digits", "--out", str(out)).code == 3
    overlay = tmp_path / "corrections.json"
    assert imgcls("datasets", "export", "digits", "--revision", "1", "--out", str(overlay)).code == 0

    assert imgcls("datasets", "undo", "digits", "1").code == 0
    diff = json.loads(imgcls("datasets", "diff", "digits", "3", "0", "--json").out)
    assert [(item["before"], item["label"]) for item in diff["changes"]] == [("1", None)]
    again = json.loads(imgcls("datasets", "import-corrections", "digits", str(overlay), "--json").out)
    assert [item["relabelled"] for item in again] == [2]


def test_a_copy_is_excluded_from_train_alone(imgcls: Command, root: Path) -> None:
    three = first(root, "train/3")
    shutil.copy(root / three, root / "val/3/copy.png")
    made = imgcls("datasets", "relabel", "digits", three, "--exclude", "--only", "train", "--json")
    assert [(view["excluded"], view["files"]) for view in json.loads(made.out)] == [(1, 1)]
    for only in ("test", "trian"):
        refused = imgcls("datasets", "relabel", "digits", three, "--exclude", "--only", only)
        assert (refused.code, only in refused.err) == (2, True)


def test_many_corrections_come_from_a_file_or_none(imgcls: Command, root: Path, tmp_path: Path) -> None:
    three, four, file = first(root, "train/3"), first(root, "train/4"), tmp_path / "corrections.csv"
    file.write_text(f"path,label,excluded\n{three},5,\n{four},,yes\n")
    (made,) = json.loads(imgcls("datasets", "import-corrections", "digits", str(file), "--json").out)
    assert (made["relabelled"], made["excluded"]) == (1, 1)
    for row in (f"{three},cow,", f"{three},5,yes", f"{three},,", "train/3/none.png,5,", ",5,"):
        file.write_text(f"path,label,excluded\n{four},6,\n{row}\n")
        refused = imgcls("datasets", "import-corrections", "digits", str(file))
        assert (refused.code, "Row 2" in refused.err) == (2, True), row
    file.write_text(f"file;class\n{three};5\n")
    refused = imgcls("datasets", "import-corrections", "digits", str(file))
    assert (refused.code, "path" in refused.err, "label" in refused.err) == (2, True, True)
    assert len(json.loads(imgcls("datasets", "revisions", "digits", "--json").out)) == 1


def test_what_cannot_be_corrected_is_a_sentence(imgcls: Command, root: Path) -> None:
    three = first(root, "train/3")
    for words, code in (
        (("relabel", "digits", three), 2),
        (("relabel", "digits", three, "--label", "5", "--exclude"), 2),
        (("relabel", "digits", three, "--label", "cow"), 2),
        (("relabel", "digits", "train/3/none.png", "--label", "5"), 2),
        (("undo", "digits"), 2),
        (("diff", "digits", "7"), 2),
        (("revisions", "nothing"), 2),
    ):
        done = imgcls("datasets", *words)
        assert (done.code, len(done.err.strip().splitlines())) == (code, 1), words
