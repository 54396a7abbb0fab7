"""Projects, configs, data sets and models: add, list, show, change, remove."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

import imgcls_lab as lab
from cli.conftest import Command
from imgcls_lab import TrainConfig
from imgcls_lab.schemas import ConfigView, DatasetView, ModelView, ProjectView
from imgcls_lab.settings import Settings


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
    assert "imgcls-lab edit RUN --project NAME" in done.err
    run = lab.runs()[0]
    assert imgcls("edit", run.id, "--project", "other").code == 0
    assert run.refresh().view.project == "other"
    assert imgcls("projects", "rm", "used").code == 0
    assert "edit RUN --project NAME" in " ".join(imgcls("projects", "rm", "--help").out.split())


def test_a_data_set_is_rescanned(imgcls: Command, few: TrainConfig, tmp_path: Path) -> None:
    root = tmp_path / "pets"
    shutil.copytree(few.root, root)
    assert imgcls("datasets", "add", "pets", str(root)).code == 0
    done = imgcls("datasets", "rescan", "pets")
    assert (done.code, done.out) == (0, "pets: 10 classes; train 160, val 60.\n")
    shutil.rmtree(root / "train" / "3")
    (root / "train" / "3").mkdir()
    done = imgcls("datasets", "rescan", "pets", "--json")
    assert (done.code, json.loads(done.out)["images"]["train"]) == (1, 144)
    assert "“3” has no image" in imgcls("datasets", "rescan", "pets").err
    (listed,) = json.loads(imgcls("datasets", "list", "--json").out)
    assert listed["images"]["train"] == 144


@pytest.mark.usefixtures("without_heif")
def test_what_a_data_set_does_not_take_is_told_at_every_look(imgcls: Command, few: TrainConfig, tmp_path: Path) -> None:
    root = Path(shutil.copytree(Path(few.root) / "train", tmp_path / "pets"))
    (root / "3" / "a.heic").write_bytes(b"x")
    told = "1 file is not taken: 1 .heic (`pip install pillow-heif`, then they are read)."
    flat = "“pets” has no train/, so its 10 folders are the classes, and a share of each class is held out"
    added = imgcls("datasets", "add", "pets", str(root)).out
    assert f"Note: {told}" in added
    assert f"Note: {flat}" in added
    rescanned = imgcls("datasets", "rescan", "pets")
    assert rescanned.out.startswith("pets: 10 classes; train 160.\n“pets” has no train/")
    assert told in rescanned.out
    found = json.loads(imgcls("datasets", "rescan", "pets", "--json").out)
    assert (found["skipped_files"], told in found["notes"]) == ({".heic": 1}, True)


def test_a_folder_that_cannot_be_trained_on_is_not_registered(imgcls: Command, few: TrainConfig) -> None:
    done = imgcls("datasets", "add", "flat", str(Path(few.root) / "train" / "3"))
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "16 images" in done.err
    assert imgcls("datasets", "list").out == "No data sets yet.\n"


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
    lines = [line.split() for line in imgcls("configs", "show", "c").out.splitlines()]
    assert ["epochs", "4"] in lines, "a line a setting"
    assert ["created_at", *time.strftime("%Y-%m-%d %H:%M", time.localtime(found.created_at)).split()] in lines
    names = [item["name"] for item in json.loads(imgcls("configs", "fields", "--json").out)]
    assert names == list(TrainConfig.model_fields)
    assert "epochs" in imgcls("configs", "fields").out
    assert imgcls("configs", "edit", "c", "--set", "epochs=0").code == 2
    assert imgcls("configs", "rm", "c").code == 0


def test_a_changed_config_starts_from_the_saved_one_and_not_from_a_file_of_its_name(
    imgcls: Command, few: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert imgcls("configs", "add", "c", "--set", f"root={few.root}", "--set", "lr=0.5").code == 0
    Path("c").write_text(json.dumps({"root": few.root, "lr": 0.25}))
    assert imgcls("configs", "edit", "c", "--set", "epochs=4", "--description", "longer").code == 0
    found = ConfigView.model_validate_json(imgcls("configs", "show", "c", "--json").out)
    assert (found.config["lr"], found.config["epochs"], found.description) == (0.5, 4, "longer")


def test_a_limit_of_a_project_stays_until_it_is_taken_away(imgcls: Command) -> None:
    assert imgcls("projects", "add", "small", "--max-running", "2").code == 0
    limits = []
    for words in (["--description", "x"], ["--max-running", "0"], ["--max-running", "-1"]):
        assert imgcls("projects", "edit", "small", *words).code == 0
        shown = ProjectView.model_validate_json(imgcls("projects", "show", "small", "--json").out)
        limits.append(shown.max_running)
    assert limits == [2, 0, None]


def test_a_name_that_cannot_be_is_one_sentence(imgcls: Command) -> None:
    done = imgcls("projects", "add", "x" * 201)
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "name" in done.err.lower()
    assert "200 characters" in done.err
    assert imgcls("projects", "add", "").code == 2


def test_a_checkpoint_is_registered_and_the_list_says_what_its_files_say(imgcls: Command, few: TrainConfig) -> None:
    run = lab.train(few, name="digits")
    assert imgcls("db", "rebuild").code == 0
    done = imgcls("models", "register", run.id, "--name", "mine")
    assert done.code == 0
    assert "Registered the model mine, epoch " in done.out
    found = ModelView.model_validate_json(imgcls("models", "show", "mine", "--json").out)
    assert found.made_by is not None
    assert (found.made_by.run_id, found.facts.classes) == (run.id, 10)
    assert "32 x 32 px" in imgcls("models", "list").out
    assert imgcls("models", "register", run.id, "--checkpoint", "a009").code == 2
    assert json.loads(imgcls("models", "cached", "--json").out) == []
