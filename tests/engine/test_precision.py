"""The precision of a run: measured where it is not given, the same for all attempts, refused where it is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import precision, train
from imgcls_lab.engine.precision import Precision, bf16_gain, pick_precision
from imgcls_lab.protocol import RunState

Make = Callable[..., TrainConfig]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other crawl where other work shares the cores, and would drown the sleeps below."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Net(nn.Module):
    """A model that takes so many milliseconds longer in each precision."""

    def __init__(self, fp32: int, bf16: int) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 32 * 32, 64)
        self.milliseconds = {False: fp32, True: bf16}

    def forward(self, pixel_values: torch.Tensor) -> Any:
        torch.rand(1)  # as dropout draws
        logits = self.layer(pixel_values.flatten(1))
        time.sleep(self.milliseconds[torch.is_autocast_enabled("cpu")] / 1000)
        return type("Output", (), {"logits": logits})


def test_the_gain_is_measured_and_leaves_model_and_random_state_alone(make_config: Make) -> None:
    model, other = Net(fp32=60, bf16=5), Net(fp32=5, bf16=60)
    before, state = model.layer.weight.clone(), torch.get_rng_state()
    config = make_config(batch_size=8)
    assert bf16_gain(model, 32, config) > 1.5
    assert bf16_gain(other, 32, config) < 0.7
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(model.layer.weight, before)
    assert model.layer.weight.grad is None


def test_what_was_measured_on_this_machine_is_not_measured_again(make_config: Make, tmp_path: Path) -> None:
    config = make_config(batch_size=8)
    first = bf16_gain(Net(fp32=40, bf16=5), 32, config, tmp_path / "shared")
    assert bf16_gain(Net(fp32=5, bf16=40), 32, config, tmp_path / "shared") == first
    assert bf16_gain(Net(fp32=5, bf16=40), 32, config, tmp_path / "other") < 1
    assert bf16_gain(Net(fp32=5, bf16=40), 32, make_config(batch_size=4), tmp_path / "shared") < 1
    (tmp_path / "shared" / "bf16.json").write_text("{")
    assert bf16_gain(Net(fp32=5, bf16=40), 32, config, tmp_path / "shared") < 1


@pytest.mark.parametrize(("fp32", "bf16", "expected"), [(60, 5, "bf16"), (5, 60, "fp32")])
def test_auto_takes_the_faster(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, fp32: int, bf16: int, expected: str
) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: True)
    chosen = pick_precision(make_config(precision="auto"), CPU, Net(fp32, bf16), 32)
    assert chosen.name == expected
    assert chosen.bf16_gain is not None


def test_a_processor_without_bf16_is_not_measured(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: False)
    assert pick_precision(make_config(precision="auto"), CPU, Net(1, 1), 32) == Precision("fp32")


def test_what_the_first_attempt_measured_holds_for_all(
    make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: True)
    monkeypatch.setattr(precision, "bf16_gain", lambda *_: 3.0)
    config = make_config(precision="auto", image_size=32)
    stop = threading.Event()
    train(config, tmp_path / "run", stop=stop, on_event=lambda e: stop.set() if e.type == "metrics" else None)
    monkeypatch.setattr(precision, "bf16_gain", lambda *_: 0.5)
    outcome = train(config, tmp_path / "run")
    manifest = json.loads((outcome.folder / "manifest.json").read_text())
    assert outcome.state is RunState.SUCCEEDED
    assert (manifest["precision"], manifest["bf16_gain"]) == ("bf16", 3.0)


HUB = """
import json, os, sys
from pathlib import Path
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
hub, folder, root, model = map(Path, sys.argv[1:5])
kept = hub / "models--acme--tiny"
(kept / "refs").mkdir(parents=True)
(kept / "snapshots").mkdir()
for branch, sha in (("main", 40 * "a"), ("v1", 40 * "b")):
    (kept / "refs" / branch).write_text(sha)
    os.symlink(model, kept / "snapshots" / sha)
config = TrainConfig(
    root=str(root), model_flavour="acme/tiny", revision=sys.argv[5] or None, epochs=1, device="cpu", threads=1,
    precision="fp32", warmup_epochs=0,
)
train(config, folder)
print(json.dumps(json.loads((folder / "manifest.json").read_text())["model"]))
"""


@pytest.mark.parametrize(("revision", "commit"), [("", 40 * "a"), ("v1", 40 * "b"), (40 * "b", 40 * "b")])
def test_the_revision_of_a_hub_model_is_taken_and_its_commit_recorded(
    tmp_path: Path, digits_source: Path, tiny_vit: Path, revision: str, commit: str
) -> None:
    hub = tmp_path / "hub"
    done = subprocess.run(
        [sys.executable, "-c", HUB, hub, tmp_path / "run", digits_source, tiny_vit, revision],
        env={**os.environ, "HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"name": "acme/tiny", "commit": commit}
