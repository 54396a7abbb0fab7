"""Whatever a user gets wrong ends in one sentence with the remedy, and a `failed` event that says the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import standalone, train
from imgcls_lab.engine.training import loop
from imgcls_lab.errors import (
    ConfigError,
    ConflictError,
    DataError,
    DivergedError,
    ImgclsError,
    ModelError,
    OutOfMemoryError,
)
from imgcls_lab.events import RunState

from .conftest import WILD, events_of, of_type
from .test_resume import start, wait_for_step

Make = Callable[..., TrainConfig]


def failure(config: TrainConfig, folder: Path, kind: type[ImgclsError], name: str = "application") -> ImgclsError:
    """The error of a run that must fail; also checks that the last event says it."""
    with pytest.raises(kind) as caught:
        train(config, folder)
    last: Any = events_of(folder)[-1]
    assert (last.type, last.kind, last.message) == ("failed", name, str(caught.value))
    assert not list(folder.glob("checkpoints/.*"))
    return caught.value


def test_missing_folder(make_config: Make, tmp_path: Path) -> None:
    assert "does not exist" in str(failure(make_config(root="/nowhere/at/all"), tmp_path / "run", DataError))


def test_unreadable_images_are_left_out_counted_and_named(make_config: Make, digits: Path, tmp_path: Path) -> None:
    (digits / "train/digit-0/000.png").write_bytes(b"no image")
    good = (digits / "val/digit-1/030.png").read_bytes()
    (digits / "val/digit-1/030.png").write_bytes(good[: len(good) // 2])
    train(make_config(root=str(digits), epochs=1), tmp_path / "run")
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert sorted(manifest["data"]["quarantined"]) == ["train/digit-0/000.png", "val/digit-1/030.png"]
    assert (manifest["data"]["train_images"], manifest["data"]["val_images"]) == (119, 39)
    assert any("2 images are left out" in notice.text for notice in of_type(tmp_path / "run", "notice"))


def test_class_without_a_readable_image(make_config: Make, digits: Path, tmp_path: Path) -> None:
    for path in (digits / "train/digit-2").iterdir():
        path.write_bytes(b"no image")
    assert "“digit-2”" in str(failure(make_config(root=str(digits)), tmp_path / "run", DataError))


@pytest.mark.parametrize("workers", [0, 1])
def test_file_that_vanishes_during_training(make_config: Make, digits: Path, tmp_path: Path, workers: int) -> None:
    def vanish(event: Any) -> None:
        if event.type == "started":
            for path in (digits / "train/digit-0").iterdir():
                path.unlink()

    config = make_config(root=str(digits), cache="off", num_workers=workers)
    with pytest.raises(DataError) as caught:
        train(config, tmp_path / "run", on_event=vanish)
    assert caught.value.reason == "unreadable_now"


def test_model_that_is_nowhere(make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code = (
        "import sys; from imgcls_lab.engine.model.classifier import read_flavour\n"
        "try: read_flavour('some-body/no-such-model', None, None)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("ModelError")
    assert "some-body/no-such-model" in said
    assert "cannot be reached" in said
    text = str(failure(make_config(model_flavour=str(tmp_path / "absent")), tmp_path / "run", ModelError))
    assert "does not exist" in text


def test_pretrained_without_weights(make_config: Make, tmp_path: Path) -> None:
    text = str(failure(make_config(load_pretrained=True), tmp_path / "run", ModelError))
    assert "no model.safetensors" in text
    assert "load_pretrained" in text


def test_pickled_weights_are_not_loaded(make_config: Make, tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_bytes((tiny_model / "config.json").read_bytes())
    torch.save({"weight": torch.zeros(1)}, model / "pytorch_model.bin")
    config = make_config(model_flavour=str(model), load_pretrained=True)
    assert "no model.safetensors" in str(failure(config, tmp_path / "run", ModelError))


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        ("evil", {"AutoConfig": "evil.Config", "AutoModelForImageClassification": "evil.Model"}),
        ("bert", {"AutoModelForImageClassification": "evil.Model"}),
        ("resnet", {"AutoImageProcessor": "evil.Processor"}),
    ],
    ids=["config and model", "model", "processor"],
)
def test_model_with_code_of_its_own_is_refused_and_none_is_run(
    make_config: Make, tiny_model: Path, tmp_path: Path, kind: str, needed: dict[str, str]
) -> None:
    model, marker = tmp_path / "model", tmp_path / "marker"
    model.mkdir()
    (model / "evil.py").write_text(f"open({str(marker)!r}, 'w')\n")
    known = json.loads((tiny_model / "config.json").read_text()) if kind == "resnet" else {}
    (model / "config.json").write_text(json.dumps({**known, "model_type": kind, "auto_map": needed}))
    if "AutoImageProcessor" in needed:
        (model / "preprocessor_config.json").write_text(
            json.dumps({"image_processor_type": "Processor", "auto_map": needed})
        )
    error = failure(make_config(model_flavour=str(model)), tmp_path / "run", ModelError)
    assert (error.reason, error.data) == ("code_of_its_own", {"model": str(model)})
    assert f"“{model}”" in str(error)
    assert not marker.exists()


def test_model_of_another_kind(make_config: Make, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert "no image classifier" in str(failure(make_config(model_flavour=str(model)), tmp_path / "run", ModelError))


def test_image_size_that_the_model_cannot_take(make_config: Make, tiny_vit: Path, tmp_path: Path) -> None:
    config = make_config(model_flavour=str(tiny_vit), image_size=2)
    assert "2 px" in str(failure(config, tmp_path / "run", ModelError))


def test_bf16_where_a_cpu_computes_it_wrong(make_config: Make, tmp_path: Path) -> None:
    text = str(failure(make_config(precision="bf16"), tmp_path / "run", ConfigError))
    assert "too small for bf16" in text
    train(make_config(precision="auto", epochs=1), tmp_path / "auto")
    assert of_type(tmp_path / "auto", "started")[0].precision == "fp32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_gpu_that_is_not_there(make_config: Make, tmp_path: Path) -> None:
    assert "no GPU" in str(failure(make_config(device="cuda"), tmp_path / "run", ConfigError))


def test_diverged_loss_is_said_with_its_step(make_config: Make, tmp_path: Path) -> None:
    text = str(failure(make_config(**WILD), tmp_path / "run", DivergedError, "diverged"))
    assert "step" in text
    assert "Lower lr" in text


def test_out_of_memory_is_no_traceback(make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(*_: Any, **__: Any) -> None:
        torch.empty(2**50, dtype=torch.uint8)

    monkeypatch.setattr(loop, "_step", hungry)
    text = str(failure(make_config(), tmp_path / "run", OutOfMemoryError, "out_of_memory"))
    assert "batch_size" in text


def test_two_trainers_in_one_folder(make_config: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(folder, make_config(epochs=1000), 1)
    try:
        wait_for_step(folder, 1, 1)
        with pytest.raises(ConflictError, match="Another process"):
            train(make_config(epochs=1000), folder)
    finally:
        process.terminate()
        process.wait(20)


def test_process_with_a_broken_config_says_so_in_its_last_event(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"root": "x", "batch_size": 0}')
    code = subprocess.run([sys.executable, "-m", "imgcls_lab.engine", str(tmp_path)], check=False).returncode
    last: Any = events_of(tmp_path)[-1]
    assert code == 1
    assert last.type == "failed"
    assert "batch_size" in last.message


def test_standalone_resumes_says_finished_and_refuses(make_config: Make, tmp_path: Path) -> None:
    import threading

    out, stop = tmp_path / "out", threading.Event()
    first = standalone(
        make_config(), out, stop=stop, on_event=lambda event: stop.set() if event.type == "metrics" else None
    )
    assert first.state is RunState.STOPPED
    with pytest.raises(ConflictError, match=r"lr: 0\.003 there, 0\.5 now"):
        standalone(make_config(lr=0.5), out)
    assert standalone(make_config(), out).state is RunState.SUCCEEDED
    again = standalone(make_config(), out)
    assert again.state is RunState.SUCCEEDED
    assert "finished already" in str(again.message)
    assert not (out / "events-003.jsonl").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("mine")
    with pytest.raises(ConflictError, match="not empty"):
        standalone(make_config(), tmp_path / "full")


def test_a_config_that_failed_before_training_can_be_mended_in_its_folder(make_config: Make, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(ImgclsError, match="optimizer"):
        standalone(make_config(optimizer="sgd", betas=(0.9, 0.99)), out)
    ended = standalone(make_config(epochs=1), out)
    assert ended.state is RunState.SUCCEEDED
    assert json.loads((out / "config.json").read_text())["optimizer"] == "adamw"
    with pytest.raises(ConflictError, match="another config"):
        standalone(make_config(epochs=1, lr=0.5), out)


def test_batches_of_one_image_are_refused_where_batch_norm_cannot_learn_from_them(
    make_config: Make, tmp_path: Path, tiny_vit: Path
) -> None:
    text = str(
        failure(make_config(batch_size=1, image_size=16), tmp_path / "run", ConfigError)
    )  # its last maps are 1 px
    assert "batch_size to 2" in text
    assert of_type(tmp_path / "run", "started") == []
    few = {"batch_size": 1, "epochs": 1, "log_every": 40}
    for name, changes in (
        ("layer norm", {"model_flavour": str(tiny_vit)}),
        ("larger maps", {"image_size": 64}),
        ("frozen batch norm", {"freeze_backbone": True}),
    ):
        assert train(make_config(**few, **changes), tmp_path / name).state is RunState.SUCCEEDED, name


def test_a_run_keeps_everything_to_its_user(make_config: Make, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        standalone(make_config(epochs=1), tmp_path / "run")
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "run").rglob("*") if not path.is_symlink()}
    open_to_others = {str(path): oct(mode) for path, mode in modes.items() if mode & 0o077}
    assert open_to_others == {}
