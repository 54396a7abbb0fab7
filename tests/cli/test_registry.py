"""Projects, configs, data sets and models: add, list, show, change, remove."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import imgcls_lab as lab
from cli.conftest import Command
from imgcls_lab import TrainConfig
from imgcls_lab.settings import Settings
from imgcls_lab.wire import ConfigView, DatasetView, ModelView, ProjectView


@pytest.fixture(autouse=True)
def _idle(idle: Settings) -> None: ...


def test_projects(imgcls: Command) -> None:
    assert imgcls("projects", "add", "birds", "--description", "of the garden").out == "Added the project birds.\n"
    twice = imgcls("projects", "add", "birds")
    assert (twice.code, len(twice.err.splitlines())) == (3, 1)
    assert imgcls("projects", "edit", "birds", "--name", "tits").code == 0
    found = [ProjectView.model_validate(item) for item in json.loads(imgcls("projects", "list", "--json").out)]
    assert [(item.name, item.description) for item in found] == [("default", ""), ("tits", "of the garden")]
    assert imgcls("projects", "rm", "tits").code == 0
    assert imgcls("projects", "show", "tits").code == 2


def test_a_project_in_use_stays(imgcls: Command, few: TrainConfig) -> None:
    lab.launch(few, project="used")
    done = imgcls("projects", "rm", "used")
    assert (done.code, len(done.err.splitlines())) == (3, 1)


def test_datasets(imgcls: Command, few: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(few.root).parent)
    assert imgcls("datasets", "add", "few", "few digits").code == 0
    (found,) = [DatasetView.model_validate(item) for item in json.loads(imgcls("datasets", "list", "--json").out)]
    assert (found.root, found.images["train"], len(found.classes)) == (few.root, 160, 10)
    assert "train 160" in imgcls("datasets", "list").out
    assert imgcls("datasets", "edit", "few", "--description", "sixteen a class").code == 0
    shown = DatasetView.model_validate_json(imgcls("datasets", "show", "few", "--json").out)
    assert (shown.description, shown.root) == ("sixteen a class", few.root)
    assert imgcls("datasets", "rm", str(shown.id)).code == 0
    assert imgcls("datasets", "list").out == "No data sets yet.\n"
    assert Path(few.root).is_dir()


def test_models(imgcls: Command, few: TrainConfig) -> None:
    assert imgcls("models", "add", "tiny", few.model_flavour, "--from-scratch").code == 0
    assert imgcls("models", "edit", "tiny", "--revision", "main").code == 0
    (found,) = [ModelView.model_validate(item) for item in json.loads(imgcls("models", "list", "--json").out)]
    assert (found.flavour, found.load_pretrained, found.revision) == (few.model_flavour, False, "main")
    assert imgcls("models", "edit", "tiny", "--pretrained").code == 0
    assert ModelView.model_validate_json(imgcls("models", "show", "tiny", "--json").out).load_pretrained
    assert imgcls("models", "rm", "tiny").code == 0


def test_configs(imgcls: Command, few: TrainConfig) -> None:
    words = ["--set", f"root={few.root}", "--set", "model_flavour=a/b", "--set", "epochs=3", "--set", "image_size=null"]
    assert imgcls("configs", "add", "c", *words).code == 0
    assert imgcls("configs", "edit", "c", "--set", "epochs=4").code == 0
    found = ConfigView.model_validate_json(imgcls("configs", "show", "c", "--json").out)
    assert (found.config["epochs"], found.config["model_flavour"]) == (4, "a/b")
    assert imgcls("configs", "edit", "c", "--set", "epochs=0").code == 2
    assert imgcls("configs", "rm", "c").code == 0


def test_a_name_that_cannot_be_is_one_sentence(imgcls: Command) -> None:
    done = imgcls("projects", "add", "x" * 201)
    assert (done.code, done.err) == (2, "Name must have at most 200 characters.\n")
    assert imgcls("projects", "add", "").code == 2
