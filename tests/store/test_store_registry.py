"""Projects, configs, data sets and models."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcls_lab.errors import ConfigError, ConflictError, InputError, NotFoundError
from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.schemas import ConfigEdit, DatasetEdit, ModelEdit, ProjectEdit, RunEdit
from imgcls_lab.store import Store


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for split, name, count in (("train", "cat", 3), ("train", "dog", 2), ("val", "cat", 1), ("val", "dog", 1)):
        folder = tmp_path / "pictures" / split / name
        folder.mkdir(parents=True)
        for number in range(count):
            (folder / f"{number}.png").write_bytes(b"x")
    return tmp_path / "pictures"


def test_the_default_project_is_there_and_stays(store: Store):
    (default,) = store.projects.list()
    assert default.name == "default"
    with pytest.raises(ConflictError):
        store.projects.delete(default.id)
    with pytest.raises(ConflictError):
        store.projects.edit(default.id, ProjectEdit(name="other"))
    assert store.projects.edit(default.id, ProjectEdit(name="default", description="x")).description == "x"


def test_a_project_is_created_edited_and_deleted(store: Store):
    made = store.projects.add(ProjectEdit(name="birds"))
    assert store.projects.edit(made.id, ProjectEdit(name="fish")).name == "fish"
    with pytest.raises(ConflictError, match="named “default” already"):
        store.projects.edit(made.id, ProjectEdit(name="default"))
    store.projects.delete(made.id)
    with pytest.raises(NotFoundError):
        store.projects.get(made.id)


def test_an_entry_is_found_by_its_name_else_by_its_number(store: Store):
    birds = store.projects.add(ProjectEdit(name="birds"))
    number = str(birds.id)
    assert [store.projects.find(text).id for text in ("birds", number)] == [birds.id, birds.id]
    other = store.projects.add(ProjectEdit(name=number))
    assert store.projects.find(number).id == other.id, "a name goes before a number"
    assert store.projects.named("birds") == birds
    assert store.projects.named("Birds") is None
    for text in ("fish", "99", "-1", ""):
        with pytest.raises(NotFoundError):
            store.projects.find(text)


def test_entries_are_listed_by_name_whatever_its_case(store: Store):
    for name in ("b", "A", "c"):
        store.configs.add(ConfigEdit(name=name, config={"root": "/data"}))
    assert [item.name for item in store.configs.list()] == ["A", "b", "c"]


def test_runs_are_counted_where_they_are(store: Store, submit):
    birds = store.projects.add(ProjectEdit(name="birds"))
    first, second = submit(), submit(project_id=birds.id)
    store.runs.edit(first, RunEdit(project_id=birds.id))
    store.runs.set_desired_state(second, DesiredState.STOP)
    assert {project.name: project.runs for project in store.projects.list()} == {"birds": 2, "default": 0}
    counts = {RunState.QUEUED: 1, RunState.CANCELLED: 1}
    assert (store.runs.list().counts, store.runs.list(project_id=birds.id).counts) == (counts, counts)
    store.runs.delete(second)
    assert (store.runs.list().counts, store.projects.get(birds.id).runs) == ({RunState.QUEUED: 1}, 1)


def test_what_is_in_use_is_not_deleted_and_the_error_says_by_what(store: Store, submit, pictures: Path):
    project = store.projects.add(ProjectEdit(name="birds"))
    dataset = store.datasets.add(DatasetEdit(name="pictures", root=str(pictures)))
    model = store.models.add(ModelEdit(name="tiny", flavour="tiny"))
    store.configs.add(ConfigEdit(name="c", config={"root": "/data"}, project_id=project.id))
    run = store.runs.get(submit(project_id=project.id, config={"root": str(pictures)}))
    assert (run.dataset_id, run.model_id) == (dataset.id, model.id), "found by folder and flavour"
    with pytest.raises(ConflictError, match="1 run and 1 config"):
        store.projects.delete(project.id)
    with pytest.raises(ConflictError, match="used by 1 run"):
        store.datasets.delete(dataset.id)
    with pytest.raises(ConflictError, match="used by 1 run"):
        store.models.delete(model.id)


def test_a_config_is_checked_and_completed(store: Store):
    made = store.configs.add(ConfigEdit(name="c", config={"root": "/data", "lr": 0.1}))
    assert (made.project, made.config["lr"], made.config["epochs"]) == ("default", 0.1, 10)
    with pytest.raises(ConfigError, match="did you mean lr"):
        store.configs.edit(made.id, ConfigEdit(name="c", config={"root": "/data", "lrr": 1}))
    assert store.configs.get(made.id).config["lr"] == 0.1
    store.configs.delete(made.id)
    assert store.configs.list() == []


def test_a_data_set_is_looked_at(store: Store, pictures: Path):
    made = store.datasets.add(DatasetEdit(name="pets", root=str(pictures)))
    assert (made.classes, made.images, made.problem) == (["cat", "dog"], {"train": 5, "val": 2}, None)
    assert (made.smallest_class, made.largest_class) == (2, 3)
    (pictures / "train/cat/9.png").write_bytes(b"x")
    assert store.datasets.get(made.id).images["train"] == 5, "to read is not to look"
    assert store.datasets.rescan(made.id).images["train"] == 6
    assert store.datasets.list()[0].images["train"] == 6
    pictures.rename(pictures.with_name("gone"))
    assert "not there any more" in store.datasets.list()[0].problem


def test_a_folder_that_cannot_be_trained_on_is_refused_with_the_reason(store: Store, pictures: Path):
    with pytest.raises(InputError, match="has no folder train/") as refused:
        store.datasets.add(DatasetEdit(name="no", root=str(pictures / "val")))
    assert [problem.field for problem in refused.value.problems] == ["root"]
    assert store.datasets.list() == []
    made = store.datasets.add(DatasetEdit(name="pets", root=str(pictures)))
    with pytest.raises(InputError, match="does not exist"):
        store.datasets.edit(made.id, DatasetEdit(name="pets", root=str(pictures / "no")))
    for file in (pictures / "train/dog").iterdir():
        file.unlink()
    renamed = store.datasets.edit(made.id, DatasetEdit(name="beasts", root=str(pictures)))
    assert (renamed.name, "“dog” has no image" in str(renamed.problem)) == ("beasts", True)


def test_a_missing_folder_is_refused(store: Store, tmp_path: Path):
    with pytest.raises(InputError, match="does not exist"):
        store.datasets.add(DatasetEdit(name="no", root=str(tmp_path / "no")))
    with pytest.raises(InputError, match=r"holds no config\.json"):
        store.models.add(ModelEdit(name="no", flavour=str(tmp_path)))
    assert store.datasets.list() == []


def test_a_hub_model_is_taken_by_its_word(store: Store):
    made = store.models.add(ModelEdit(name="vit", flavour="google/vit-base-patch16-224", revision="main"))
    assert (made.problem, made.revision) == (None, "main")
    assert store.models.edit(made.id, ModelEdit(name="vit", flavour="google/other")).flavour == "google/other"
    store.models.delete(made.id)
    assert store.models.list() == []
