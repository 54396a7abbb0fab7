"""`run.mistakes()`, `run.confusion_matrix()` and the like, in Python and on the command line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from imgcls_lab import TrainConfig, run_layout
from imgcls_lab.api.run_handle import Run
from imgcls_lab.cli import main
from imgcls_lab.errors import InputError, NotFoundError
from tests.analysis.made import MadeRun, image_id, made, names_of

CLASSES = ["cat", "dog", "eel"]
FIRST, SECOND = "20260101-000000-aaaaaa", "20260102-000000-bbbbbb"


def make(home: Path, run_id: str, sure: float) -> Run:
    folder = home / "runs" / run_id
    MadeRun(folder, CLASSES).write(*made(200, 3, sure=sure))
    (folder / run_layout.CONFIG).write_text(TrainConfig(root="flowers", model_flavour="m").model_dump_json())
    (folder / run_layout.RUN_INFO).write_text(json.dumps({"id": run_id, "name": f"sure {sure}"}))
    return Run(run_id, folder=folder)


@pytest.fixture
def run(home: Path) -> Run:
    make(home, SECOND, 3.0)
    return make(home, FIRST, 1.0)


def test_mistakes_come_as_a_table_and_a_data_frame(run: Run) -> None:
    labels, probs = made(200, 3, sure=1.0)
    wrong = labels != probs.argmax(1)
    found = run.mistakes(7, by="confidence")
    assert (len(found), found.total) == (7, wrong.sum())
    assert found.frame["confidence"].is_monotonic_decreasing
    assert not found.frame["correct"].any()
    assert str(wrong.sum()) in repr(found)
    assert len(run.mistakes(None)) == wrong.sum()
    assert set(run.mistakes(None, label="dog").frame["label"]) == {"dog"}
    assert len(run.mistakes(0)) == 0
    with pytest.raises(InputError):
        run.mistakes(by="colour")


def test_the_confusion_matrix_is_scikit_learns(run: Run) -> None:
    labels, probs = made(200, 3, sure=1.0)
    matrix = run.confusion_matrix()
    assert (matrix.frame.to_numpy() == confusion_matrix(labels, probs.argmax(1))).all()
    assert list(matrix.frame.index) == CLASSES
    assert matrix.cells["images"].sum() == 200
    assert "eel" in matrix._repr_mimebundle_()["image/svg+xml"]


def test_the_confusion_of_many_classes_is_sparse_and_shows_what_is_mistaken_most(home: Path) -> None:
    folder = home / "runs" / FIRST
    classes = [str(number) for number in range(1500)]
    labels = np.arange(1500) % 1400
    probs = np.zeros((1500, 1500), np.float32)
    probs[np.arange(1500), np.where(labels < 100, 0, labels)] = 1
    MadeRun(folder, classes).write(labels, probs)
    (folder / run_layout.CONFIG).write_text(TrainConfig(root="f", model_flavour="m").model_dump_json())
    matrix = Run(FIRST, folder=folder).confusion_matrix()
    assert (matrix.frame.shape, int(matrix.frame.to_numpy().sum())) == ((1500, 1500), 1500)
    assert set(matrix.table()["predicted"]) == {"0"}


def test_an_evaluation_has_a_row_for_each_image_and_each_class(run: Run) -> None:
    evaluation = run.evaluation()
    assert len(evaluation.frame) == 200
    assert list(evaluation.classes.index) == CLASSES
    assert evaluation.frame["correct"].mean() == pytest.approx(evaluation.view.values["metric/accuracy"])
    assert run.reliability().frame["images"].sum() == 200


def test_two_runs_and_one_image(run: Run) -> None:
    other = Run(SECOND, folder=run.folder.parent / SECOND)
    flips = other.flips(run)
    assert len(flips) == flips.view.fixed_total + flips.view.broke_total > 0
    assert set(flips.frame["change"]) <= {"fixed", "broke"}
    same = run.flips(run)
    assert (len(same), "change" in same.frame) == (0, True)
    story = run.image(image_id(names_of(200)[0]))
    assert story.frame["epoch"].tolist() == [1]
    assert run.image(names_of(200)[0]).view.image == story.view.image
    with pytest.raises(NotFoundError):
        run.flips()


def test_the_command_line_lists_mistakes_and_flips(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def imgcls(*words: str) -> str:
        with pytest.raises(SystemExit) as done:
            main(words)
        assert done.value.code == 0
        return capsys.readouterr().out

    total = run.mistakes(None).total
    assert len(json.loads(imgcls("mistakes", FIRST, "--number", "0", "--json"))) == total
    rows = list(csv.DictReader(io.StringIO(imgcls("mistakes", FIRST, "-n", "3", "--csv", "--by", "confidence"))))
    assert [row["name"] for row in rows] == [item.name for item in run.mistakes(3, by="confidence")]
    assert rows[0]["name"] in imgcls("mistakes", FIRST, "--by", "confidence")
    view = json.loads(imgcls("flips", FIRST, "--against", SECOND, "--json"))
    assert view["sentence"] in imgcls("flips", FIRST, "--against", SECOND)
    assert len(imgcls("flips", FIRST, "--against", SECOND, "--csv").splitlines()) == 1 + len(
        view["fixed"] + view["broke"]
    )
    with pytest.raises(SystemExit) as refused:
        main(["mistakes", FIRST, "--json", "--csv"])
    assert refused.value.code == 2
