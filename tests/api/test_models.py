"""A checkpoint becomes a model that says where it came from, and a folder for other programs, checked on images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from audit_steps import perform

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.api import context
from imgcls_lab.errors import ConflictError, InputError, NotFoundError
from imgcls_lab.events import RunState
from imgcls_lab.model_export import ExportTask
from imgcls_lab.schemas import DatasetEdit, ExportRequest, ModelEdit
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, rebuild


@pytest.fixture
def trained(few: TrainConfig, idle: Settings) -> str:
    """A run of two epochs that the store knows."""
    run = lab.train(few, name="digits")
    context.close()
    assert rebuild(idle).problems == []
    return run.id


@pytest.fixture
def store(trained: str) -> Store:
    return context.store()


def exported(store: Store, request: ExportRequest) -> ExportTask:
    """Queue an export and do it."""
    task = store.exports.task(request)
    store.exports.start(task)
    done = perform(store)
    assert done.state is RunState.SUCCEEDED, done.message
    assert (done.latest["export/images"] or 0) > 10
    assert (done.latest["export/difference"] or 0) <= (done.latest["export/limit"] or 0)
    return task


def test_a_registered_checkpoint_names_its_run_and_epoch(trained: str, store: Store, few: TrainConfig) -> None:
    made = lab.run(trained).register()
    best = store.runs.get(trained).best
    assert best is not None
    assert made.made_by is not None
    assert (made.name, made.made_by.run_id, made.made_by.epoch) == ("digits · best", trained, best.epoch)
    assert (made.facts.place, made.facts.classes, made.problem) == ("folder", 10, None)
    assert made.facts.parameters == sum(p.numel() for p in _model(made.flavour).parameters())
    with pytest.raises(ConflictError, match="digits · best"):
        lab.run(trained).register()
    with pytest.raises(NotFoundError, match="no checkpoint “a009”"):
        lab.run(trained).register("other", checkpoint="a009")
    assert made.runs == 0
    lab.launch(few.with_changes(model_flavour=made.flavour, epochs=1))
    assert store.models.get(made.id).runs == 1


def test_the_licence_of_a_checkpoint_is_that_of_the_model_it_began_with(trained: str, few: TrainConfig) -> None:
    card = Path(few.model_flavour) / "README.md"
    assert not card.exists()
    made = lab.run(trained).register("mine")
    assert made.facts.licence == ""
    card.write_text("---\nlicense: mit\n---\n")
    try:
        facts = context.store().models.get(made.id).facts
        assert (facts.licence, facts.licence_of) == ("mit", few.model_flavour)
    finally:
        card.unlink()


def test_a_checkpoint_goes_to_a_folder_of_production_and_agrees(trained: str, store: Store, tmp_path: Path) -> None:
    task = exported(store, ExportRequest(run_id=trained, folder=str(tmp_path), name="digits"))
    assert (task.out, task.reported) == (str(tmp_path / "digits"), True)
    assert (tmp_path / "digits" / "model.safetensors").is_file()
    assert [entry.name for entry in tmp_path.glob(".digits*")] == []
    with pytest.raises(ConflictError, match="is there already"):
        store.exports.task(ExportRequest(run_id=trained, folder=str(tmp_path), name="digits"))


def test_a_registered_model_is_checked_on_a_data_set(
    trained: str, store: Store, few: TrainConfig, tmp_path: Path
) -> None:
    made = lab.run(trained).register()
    assert store.exports.task(ExportRequest(model_id=made.id, folder=str(tmp_path), name="x")).run_folder
    bare = store.models.add(ModelEdit(name="bare", flavour=few.model_flavour, load_pretrained=False))
    with pytest.raises(InputError, match="no weights"):
        store.exports.task(ExportRequest(model_id=bare.id, folder=str(tmp_path), name="x"))
    copied = tmp_path / "from elsewhere"
    lab.run(trained).export("hf", copied)
    other = store.models.add(ModelEdit(name="other", flavour=str(copied)))
    wanted = ExportRequest(model_id=other.id, form="onnx", folder=str(tmp_path), name="as onnx")
    with pytest.raises(InputError, match="Choose a data set"):
        store.exports.task(wanted)
    dataset = store.datasets.add(DatasetEdit(name="few", root=few.root))
    exported(store, wanted.model_copy(update={"dataset_id": dataset.id}))
    assert len(json.loads((tmp_path / "as onnx" / "classes.json").read_text())) == 10


def test_weights_that_changed_since_are_not_exported(trained: str, store: Store, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = lab.run(trained).best_checkpoint.resolve() / "model.safetensors"
    tensors = {name: -3 * value if value.is_floating_point() else value for name, value in load_file(weights).items()}
    save_file(tensors, weights, metadata={"format": "pt"})
    store.exports.start(store.exports.task(ExportRequest(run_id=trained, folder=str(tmp_path), name="x")))
    done = perform(store)
    assert done.state is RunState.FAILED
    assert "not the one that the run reported" in str(done.message)
    assert list(tmp_path.glob("*x*")) == []


def _model(folder: str) -> Any:
    from transformers import AutoModelForImageClassification

    return AutoModelForImageClassification.from_pretrained(folder)
