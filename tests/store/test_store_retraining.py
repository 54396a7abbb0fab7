"""Training again from the best: the child's config, its own copy of the model, one child a click."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from store_steps import checkpoint, claim, epoch, feed, finish, started

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, ConflictError, NotFoundError
from imgcls_lab.events import Changed, RunState
from imgcls_lab.schemas import ChangeEdit, ChangeRequest, DatasetEdit, RetrainRequest, RevisionEdit, SubmitRequest
from imgcls_lab.schemas.limits import MAX_NAME
from imgcls_lab.store import Store
from imgcls_lab.store.claims import config_to_reuse
from imgcls_lab.store.retraining import child_config, child_name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    from PIL import Image

    for number, name in enumerate(("train/cat/0", "train/dog/0", "val/cat/0", "val/dog/0")):
        path = tmp_path / f"pets/{name}.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(path)
    return tmp_path / "pets"


@pytest.fixture
def parent(store: Store, root: Path) -> str:
    """A run that has succeeded, with a best checkpoint."""
    store.datasets.add(DatasetEdit(name="pets", root=str(root)))
    config = {"root": str(root), "model_flavour": "tiny", "epochs": 9, "lr": 1e-3, "seed": 5}
    run_id = store.runs.submit(SubmitRequest(config=config, name="pets tiny")).id
    claim(store)
    saved = checkpoint(store, run_id, 1, 10, "best")
    folder = store.settings.run_dir(run_id)
    for name in ("config.json", "model.safetensors", "training_state.safetensors", "checksums.json"):
        (folder / saved.folder / name).write_text(name)
    (folder / "checkpoints/best").symlink_to(Path(saved.folder).name)
    feed(store, run_id, 1, started(), epoch(1, 0.5), saved)
    finish(store, run_id, 1, RunState.SUCCEEDED)
    return run_id


def test_a_child_takes_the_best_model_and_the_newest_revision(store: Store, root: Path, parent: str) -> None:
    dataset = store.datasets.find("pets").id
    image = hashlib.sha256((root / "val/cat/0.png").read_bytes()).hexdigest()
    store.revisions.add(dataset, RevisionEdit(changes=[ChangeEdit(image=image, label="dog")]))
    child = store.runs.get(store.runs.retrain(parent, RetrainRequest()).id)
    folder = store.settings.run_dir(child.id)
    assert (child.from_best, store.runs.get(parent).from_best) == (True, False)
    assert (child.parent_id, child.data_revision, child.name) == (parent, 1, "pets tiny, revision 1")
    assert sorted(path.name for path in (folder / "initial_model").iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "data_revision.json").is_file()
    config = TrainConfig.parse(child.config)
    assert (config.model_flavour, config.load_pretrained) == (str(folder / "initial_model"), True)
    assert (config.epochs, config.lr, config.seed, config.data_revision) == (3, pytest.approx(3e-4), 5, 1)

    store.runs.delete(parent)
    assert (folder / "initial_model/model.safetensors").read_text() == "model.safetensors"
    assert store.runs.get(child.id).parent_id is None


def test_a_child_begins_with_what_was_changed_while_its_parent_trained(store: Store, root: Path) -> None:
    config = {"root": str(root), "model_flavour": "tiny", "epochs": 9, "lr": 1e-3}
    parent = store.runs.submit(SubmitRequest(config=config)).id
    claim(store)
    saved = checkpoint(store, parent, 1, 10, "best")
    (store.settings.run_dir(parent) / "checkpoints/best").symlink_to(Path(saved.folder).name)
    store.runs.change(parent, ChangeRequest(fields={"lr": 1e-2}))
    store.runs.change(parent, ChangeRequest(fields={"epochs": 30}))
    about = {"epoch": 0.5, "epochs": 9, "total_steps": 90}
    obeyed = Changed(number=1, step=5, field="lr", old=1e-3, new=1e-2, **about)
    feed(store, parent, 1, started(total=90), obeyed, epoch(1, 0.5), saved)
    finish(store, parent, 1, RunState.STOPPED)  # before it has obeyed the second one
    child = TrainConfig.parse(store.runs.get(store.runs.retrain(parent, RetrainRequest()).id).config)
    assert (child.lr, child.epochs) == (pytest.approx(3e-3), 3)
    assert config_to_reuse(store.runs.get(parent))["lr"] == 1e-2
    assert config_to_reuse(store.runs.get(parent))["epochs"] == 9


@pytest.mark.parametrize(
    ("parent_name", "revision", "name"),
    [
        ("digits #1", 1, "digits #1, revision 1"),
        ("digits #1, revision 1", 2, "digits #1, revision 2"),
        ("digits #1, revision 2", 2, "digits #1, revision 2, trained again"),
        ("digits #1, revision 2, trained again", 3, "digits #1, revision 3"),
        ("digits #1, revision 2 (2)", 3, "digits #1, revision 3"),
        ("digits #1", None, "digits #1, trained again"),
    ],
)
def test_a_child_is_named_by_its_revision_in_place_of_its_parent_s(
    parent_name: str, revision: int | None, name: str
) -> None:
    assert child_name(parent_name, revision) == name
    assert len(child_name("x" * MAX_NAME, revision)) == MAX_NAME


def test_one_click_is_one_child(store: Store, parent: str) -> None:
    first = store.runs.retrain(parent, RetrainRequest())
    assert store.runs.retrain(parent, RetrainRequest()).id == first.id
    other = store.runs.retrain(parent, RetrainRequest(fields={"epochs": 2}))
    assert other.id != first.id
    assert store.runs.get(other.id).config["epochs"] == 2
    assert [store.runs.get(run.id).name for run in (first, other)] == [
        "pets tiny, trained again", "pets tiny, trained again (2)",
    ]  # fmt: skip
    claim(store)
    finish(store, first.id, 1, RunState.FAILED)
    assert store.runs.retrain(parent, RetrainRequest()).id not in (first.id, other.id)


def test_what_cannot_be_trained_again_leaves_nothing(store: Store, parent: str) -> None:
    waiting = store.runs.submit(SubmitRequest(config=store.runs.get(parent).config)).id
    before = sorted(path.name for path in store.settings.runs_dir.iterdir())
    for run, request, kind in (
        (waiting, RetrainRequest(), ConflictError),
        (parent, RetrainRequest(revision=4), NotFoundError),
        (parent, RetrainRequest(fields={"epochs": 0}), ConfigError),
        ("no-such-run", RetrainRequest(), NotFoundError),
    ):
        with pytest.raises(kind):
            store.runs.retrain(run, request)
    assert sorted(path.name for path in store.settings.runs_dir.iterdir()) == before


def test_a_run_that_the_database_says_otherwise_is_not_trained_again(store: Store, parent: str) -> None:
    if store.database.is_sqlite:
        return  # who can write that file has the home's key, too
    with store.database.connection() as connection:
        config = json.dumps({**store.runs.get(parent).config, "plugins": ["/planted.py"]})
        connection.exec_driver_sql(f"UPDATE runs SET config = '{config}' WHERE id = '{parent}'")
    with pytest.raises(ConflictError) as refused:
        store.runs.retrain(parent, RetrainRequest())
    assert refused.value.reason == "not_submitted"


def test_the_schedule_of_a_child() -> None:
    def of(**fields: object) -> TrainConfig:
        return child_config(TrainConfig.parse({"root": "/data", **fields}), Path("/model"), None)

    assert [of(epochs=epochs, warmup_epochs=0).epochs for epochs in (1, 2, 3, 9, 10, 100)] == [1, 2, 3, 3, 4, 34]
    thawed = of(epochs=30, freeze_backbone=True, unfreeze_epoch=3)
    assert (thawed.freeze_backbone, thawed.unfreeze_epoch) == (False, None)
    assert of(epochs=30, freeze_backbone=True).freeze_backbone
    assert of(epochs=3, warmup_epochs=3).warmup_epochs == pytest.approx(0.6)
