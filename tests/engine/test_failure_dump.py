"""A step that gives no finite number is kept whole before the weights move, and can be played again."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from imgcls_lab.cli import main
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.training import failure_dump
from imgcls_lab.engine.training.replay import replay
from imgcls_lab.errors import DivergedError, NotFoundError

from .conftest import WILD, of_type

Make = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def diverged(make_config: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diverged") / "run"
    with pytest.raises(DivergedError, match="`imgcls-lab replay run`"):
        train(make_config(**WILD), folder)
    return folder


@pytest.fixture
def broken(diverged: Path, tmp_path: Path) -> Path:
    """The folder of a run that diverged; a test may change it."""
    return Path(shutil.copytree(diverged, tmp_path / "run", symlinks=True))


def test_a_diverged_step_is_played_again_from_its_folder_alone(broken: Path) -> None:
    facts = json.loads((broken / "failure" / failure_dump.FACTS).read_text())
    found = replay(broken)
    assert found.step == facts["step"]
    broken_first = found.output or (found.gradient if math.isfinite(found.loss) else "loss")
    assert broken_first is not None
    assert broken_first in found.cause
    assert found.images
    assert set(found.images) <= {path for batch in facts["batches"] for path in batch["images"]}
    assert {path.stat().st_mode & 0o077 for path in (broken / "failure").rglob("*")} == {0}


def test_mixed_images_are_played_again_with_their_shares(make_config: Make, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    endless = tmp_path / "endless.py"  # a rate that mixed images diverge at depends on how a processor rounds
    endless.write_text(
        "from imgcls_lab.engine.optim.losses import LOSSES\n"
        "LOSSES.register('endless')(lambda logits, target, terms: logits.square().sum() / 0.0)\n"
    )
    with pytest.raises(DivergedError) as error:
        train(make_config(plugins=[str(endless)], loss="endless", mixup=0.4, cutmix=1.0), tmp_path / "run")
    kept = load_file(tmp_path / "run/failure" / failure_dump.TENSORS)
    assert len(set(kept["shares-0"].tolist())) > 1
    assert f"at step {replay(tmp_path / 'run').step}" in str(error.value)


def test_the_weights_are_those_from_before_the_step(broken: Path) -> None:
    from imgcls_lab.engine.model.classifier import load_exported

    model, _ = load_exported(broken / "failure" / "model")
    assert all(bool(weight.isfinite().all()) for weight in model.parameters())


def test_the_first_module_to_overflow_is_named(broken: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = broken / "failure" / failure_dump.TENSORS
    tensors = load_file(path)
    tensors["values-0"][0, 0, 0, 0] = float("nan")
    save_file(tensors, path)
    found = replay(broken)
    assert found.output is not None
    assert found.output.startswith("resnet.embedder")
    assert found.output in found.cause


def test_weights_that_were_broken_before_are_told_apart(broken: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = broken / "failure" / "model" / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if name.endswith("convolution.weight"))
    weights[name].fill_(torch.inf)
    save_file(weights, path, metadata={"format": "pt"})
    assert "before this step" in replay(broken).cause


def test_the_command_says_it_in_words_and_as_json(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["replay", str(broken), "--json"])
    assert json.loads(capsys.readouterr().out)["step"] == replay(broken).step
    with pytest.raises(SystemExit, match="2"):
        main(["replay", str(broken.parent)])
    assert "holds no failed batch" in capsys.readouterr().err


def test_a_sound_run_keeps_no_batch_and_tells_memory_and_waiting(make_config: Make, tmp_path: Path) -> None:
    folder = train(make_config(epochs=1), tmp_path / "run").folder
    with pytest.raises(NotFoundError):
        replay(folder)
    point = of_type(folder, "metrics")[-1].values
    assert 0.05 < point["device/memory_gb"] < 64
    assert 0 <= point["throughput/data_wait"] < 1


def test_fp16_may_leave_a_step_out_but_not_lose_the_loss() -> None:
    one, inf = torch.tensor(1.0), torch.tensor(math.inf)
    assert failure_dump.is_finite(one, inf, scaled=True)
    assert not failure_dump.is_finite(inf, one, scaled=True)
    assert not failure_dump.is_finite(one, inf, scaled=False)
