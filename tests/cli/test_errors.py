"""Bad input: one sentence on stderr, exit code 2, no traceback, nothing written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from cli.conftest import Command, argv
from imgcls_lab import TrainConfig
from imgcls_lab.cli.output import SAVED_NAMES
from imgcls_lab.errors import NotFoundError
from imgcls_lab.schemas import ConfigEdit
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store


@pytest.fixture
def config(few: TrainConfig, tmp_path: Path) -> str:
    path = tmp_path / "cfg.json"
    path.write_text(few.model_dump_json())
    return str(path)


@pytest.mark.parametrize("command", ["train", "launch"])
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--set", "root=/no/such/folder"], "The folder “/no/such/folder” does not exist."),
        (["--set", "batch_size=0"], "batch_size: must be greater than 0, not 0."),
        (["--set", "learning_rate=1"], "There is no such field; did you mean lr?"),
        (["--set", "qqq=1"], "There is no such field; `imgcls-lab configs fields` lists them."),
        (["--set", "epoch=3"], "There is no such field; did you mean epochs?"),
        (["--set", "epochs"], "“epochs” is no setting; write NAME=VALUE, such as epochs=5."),
        (["--set", "lr=fast"], "lr: must be a number, not “fast”."),
        (["--config", "missing.json"], "There is no config file “missing.json”"),
    ],
)
def test_a_wrong_config_is_one_sentence(
    imgcls: Command, config: str, idle: Settings, command: str, words: list[str], sentence: str
) -> None:
    done = imgcls(command, "--config", config, *words)
    assert done.code == 2
    assert sentence in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not list(idle.runs_dir.iterdir())


def test_a_config_that_is_not_saved_is_answered_with_those_that_are(
    imgcls: Command, few: TrainConfig, idle: Settings
) -> None:
    with Store.open(idle, migrate=True) as store:
        project = store.projects.list()[0].id
        for number in range(SAVED_NAMES + 2):
            edit = ConfigEdit(name=f"small {number}", config=few.model_dump(mode="json"), project_id=project)
            store.configs.add(edit)
    done = imgcls("launch", "--config", "large")
    assert done.code == 2
    assert "“small 3”" in done.err
    assert "and 2 more" in done.err


def test_an_unknown_model_without_a_network_is_one_sentence(
    shell: Command, config: str, idle: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    done = shell("train", "--config", config, "--set", "model_flavour=no/such-model")
    assert done.code == 2
    assert "Traceback" not in done.err
    assert "“no/such-model”" in done.err.strip().splitlines()[-1]
    (run,) = idle.runs_dir.iterdir()
    assert "Traceback" in (run / "output.log").read_text()


def test_a_class_that_only_val_has_is_named(imgcls: Command, few: TrainConfig, idle: Settings, tmp_path: Path) -> None:
    for folder in ("train/cat", "train/dog", "val/cat", "val/fox"):
        (tmp_path / "pets" / folder).mkdir(parents=True)
        (tmp_path / "pets" / folder / "1.png").write_bytes(b"")
    done = imgcls("launch", "--set", f"root={tmp_path / 'pets'}")
    assert done.code == 2
    assert "fox" in done.err


def test_what_is_not_there_is_one_sentence(imgcls: Command, idle: Settings) -> None:
    for words in (["show", "nope"], ["logs", "nope"], ["stop", "nope"], ["datasets", "show", "nope"]):
        done = imgcls(*words)
        assert done.code == 2
        assert "“nope”" in done.err
        assert len(done.err.splitlines()) == 1


def test_a_config_file_that_is_no_json_is_named(imgcls: Command, tmp_path: Path) -> None:
    (tmp_path / "cfg.json").write_text("{root: 1}")
    done = imgcls("train", "--config", str(tmp_path / "cfg.json"))
    assert done.code == 2
    assert "is not valid JSON" in done.err
    (tmp_path / "cfg.json").write_text("[]")
    assert "must hold a JSON object" in imgcls("train", "--config", str(tmp_path / "cfg.json")).err


def test_a_config_that_an_earlier_version_saved_with_a_run_is_read_and_a_users_is_not(
    imgcls: Command, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"root": str(tmp_path / "nowhere"), "workers": 0}))
    assert "num_workers" in imgcls("train", "--config", str(path)).err
    (tmp_path / "manifest.json").write_text("{}")
    done = imgcls("train", "--config", str(path))
    assert done.code == 2
    assert "nowhere" in done.err
    assert "num_workers" not in done.err


@pytest.mark.parametrize("words", [("launch", "--config"), ("sweep",)])
def test_an_endless_file_is_refused_and_not_read_for_ever(
    imgcls: Command, idle: Settings, words: tuple[str, ...]
) -> None:
    done = imgcls(*words, "/dev/zero")
    assert done.code == 2
    assert "“/dev/zero” is larger" in done.err


def test_a_config_that_is_nested_without_end_is_one_sentence(imgcls: Command, tmp_path: Path) -> None:
    (tmp_path / "cfg.json").write_text("[" * 200_000)
    done = imgcls("train", "--config", str(tmp_path / "cfg.json"))
    assert done.code == 2
    assert "nested too deep" in done.err


def test_a_config_comes_out_of_a_pipe(imgcls: Command, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_text, args=('{"root": "nowhere"}',))
    writer.start()
    done = imgcls("launch", "--config", str(pipe))
    writer.join()
    assert done.code == 2
    assert "nowhere" in done.err


def test_a_broken_database_is_one_sentence_and_exit_code_1(
    imgcls: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IMGCLS_DB_URL", "postgresql://someone:secret@127.0.0.1:1/none")
    done = imgcls("runs")
    assert done.code == 1
    assert "secret" not in done.err
    assert "Traceback" not in done.err


def test_debug_shows_the_traceback(idle: Settings) -> None:
    from imgcls_lab.cli import main

    with pytest.raises(NotFoundError):
        main(["show", "nope", "--debug"])


def test_help_is_light() -> None:
    code = "import sys; from imgcls_lab.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([m for m in ('torch', 'sqlmodel', 'pandas', 'pydantic') if m in sys.modules], len(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, modules = done.stdout.strip().splitlines()[-1].rsplit(" ", 1)
    assert (heavy, int(modules) < 450) == ("[]", True), f"{modules} modules, of which the time of a start depends"


def test_a_reader_that_goes_away_gets_no_traceback(idle: Settings) -> None:
    process = subprocess.Popen(argv("doctor"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    end = time.monotonic() + 100
    while process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
