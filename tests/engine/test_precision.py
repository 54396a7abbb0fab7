"""The precision of a run: by hardware and layers, the same for all attempts, refused where it is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from imgcls_lab import cpu
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.model.precision import Precision, pick_precision, profile_layers
from imgcls_lab.events import Metrics, RunState, read_events

Make = Callable[..., TrainConfig]
CPU = torch.device("cpu")


class Net(nn.Module):
    """Layers over (n, 3, 32, 32), and how many milliseconds longer it takes in each precision."""

    def __init__(self, *layers: nn.Module, fp32: int = 0, bf16: int = 0) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.milliseconds = {False: fp32, True: bf16}

    def forward(self, pixel_values: torch.Tensor) -> Any:
        time.sleep(self.milliseconds[torch.is_autocast_enabled("cpu")] / 1000)
        return type("Output", (), {"logits": self.layers(pixel_values).mean((2, 3))})


def dense(**slow: int) -> Net:
    """Most multiply-adds in a convolution of 64 to 64 channels: 9 * 64 for each number that it gives on."""
    return Net(nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1), **slow)


def small() -> Net:
    """As dense, on a sixteenth of the pixels."""
    return Net(nn.Conv2d(3, 64, 3, padding=1, stride=4), nn.Conv2d(64, 64, 3, padding=1))


def depthwise(**slow: int) -> Net:
    """As in MobileNets: a window in each channel by itself, and a dense layer of a single pixel."""
    return Net(nn.Conv2d(3, 64, 1), nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.Conv2d(64, 64, 1), **slow)


def on(monkeypatch: pytest.MonkeyPatch, unit: str | None) -> None:
    monkeypatch.setattr(cpu, "bf16_unit", lambda: unit)


@pytest.mark.parametrize("unit", ["avx512_bf16", "amx_bf16"])
@pytest.mark.parametrize("slow", [{"bf16": 60}, {"fp32": 60}])
def test_auto_goes_by_the_layers_and_by_no_clock(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, unit: str, slow: dict[str, int]
) -> None:
    on(monkeypatch, unit)
    config = make_config(precision="auto")
    assert pick_precision(config, CPU, dense(**slow), (32, 32)).name == "bf16"
    assert pick_precision(config, CPU, depthwise(**slow), (32, 32)).name == "fp32"
    assert pick_precision(config, CPU, small(), (32, 32)).name == "fp32"
    assert pick_precision(config, CPU, small(), (128, 128)).name == "bf16"
    on(monkeypatch, None)
    assert pick_precision(config, CPU, dense(**slow), (32, 32)).name == "fp32"


def test_what_learns_the_batch_and_the_threads_do_not_count(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """So all trials of a sweep over these compute in one precision."""
    on(monkeypatch, "avx512_bf16")
    frozen = dense()
    frozen.requires_grad_(False)
    found = [
        pick_precision(make_config(precision="auto", **changes), CPU, model, (32, 32))
        for model in (dense(), frozen)
        for changes in ({}, {"batch_size": 2}, {"batch_size": 512}, {"threads": 7}, {"freeze_backbone": True})
    ]
    assert found == found[:1] * len(found)


def test_the_density_counts_dense_products_for_each_number_given_on() -> None:
    # of 32 x 32 pixels: 64 numbers each from 3 channels in 1 place, from 1 channel in 9 (no dense product), from 64
    assert profile_layers(depthwise(), (32, 32)).density == pytest.approx((64 * 3 + 64 * 64) / (3 * 64))
    assert profile_layers(dense(), (32, 32)).density == pytest.approx((9 * 3 + 9 * 64) / 2)
    linear = Net(nn.Flatten(2), nn.Linear(32 * 32, 10), nn.Unflatten(1, (3, 1)))
    assert profile_layers(linear, (32, 32)).density == 32 * 32
    assert profile_layers(dense(), (32, 32)).size == 32 * 32 * 64 * (9 * 3 + 9 * 64) / 2


def test_the_look_leaves_the_model_and_the_random_state_alone() -> None:
    model = Net(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    model.layers[1].eval()  # as under a frozen backbone
    before, state = [value.clone() for value in model.state_dict().values()], torch.get_rng_state()
    profile_layers(model, (32, 32))
    assert [module.training for module in model.layers] == [True, False, True]
    assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("capability", "expected"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16"), ((6, 1), "fp32")]
)
def test_a_gpu_computes_in_what_its_generation_multiplies(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    assert pick_precision(make_config(precision="auto"), torch.device("cuda", 0), dense(), (32, 32)).name == expected
    asked = pick_precision(make_config(precision="fp32"), torch.device("cuda", 0), dense(), (32, 32))
    assert asked == Precision("fp32", "The config asks for it.")


def test_what_the_first_attempt_chose_holds_for_all_and_the_manifest_says_why(
    make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, "avx512_bf16")
    monkeypatch.setattr("imgcls_lab.engine.model.precision.MIN_DENSITY", 0.0)
    monkeypatch.setattr("imgcls_lab.engine.model.precision.MIN_LAYER_SIZE", 0.0)
    config = make_config(precision="auto", image_size=32)
    stop = threading.Event()
    train(config, tmp_path / "run", stop=stop, on_event=lambda e: stop.set() if e.type == "metrics" else None)
    on(monkeypatch, None)
    outcome = train(config, tmp_path / "run")
    manifest = json.loads((outcome.folder / "manifest.json").read_text())
    assert outcome.state is RunState.SUCCEEDED
    assert manifest["precision"] == "bf16"
    assert "avx512_bf16" in manifest["precision_reason"]


def test_a_run_of_an_earlier_version_goes_on_in_the_precision_that_it_measured(
    make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, "avx512_bf16")
    stop = threading.Event()
    config = make_config(precision="auto", image_size=32)
    train(config, tmp_path / "run", stop=stop, on_event=lambda e: stop.set() if e.type == "metrics" else None)
    path = tmp_path / "run" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["precision_reason"], manifest["hardware"]["arithmetic"], manifest["hardware"]["processor"]
    path.write_text(json.dumps({**manifest, "precision": "bf16", "bf16_gain": 1.067}))
    events: list[Any] = []
    assert train(config, tmp_path / "run", on_event=events.append).state is RunState.SUCCEEDED
    assert [event.precision for event in events if event.type == "started"] == ["bf16"]


def test_a_run_that_goes_on_with_another_processor_says_so(
    make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    notices: list[str] = []

    def listen(event: Any) -> None:
        notices.extend([event.text] if event.type == "notice" else [])

    def begin(name: str) -> None:
        stop = threading.Event()
        train(config, tmp_path / name, stop=stop, on_event=lambda e: stop.set() if e.type == "metrics" else None)

    begin("same")
    train(config, tmp_path / "same", on_event=listen)
    assert notices == []
    begin("other")
    monkeypatch.setattr(cpu, "arithmetic", lambda: "x86_64 avx2")
    train(config, tmp_path / "other", on_event=listen)
    assert ["avx2”, which rounds differently" in text for text in notices] == [True]


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


def test_bf16_computes_with_the_weights_of_this_step_also_inside_an_autocast_of_the_caller(
    make_config: Make, tiny_vit: Path, tmp_path: Path
) -> None:
    """Autocast keeps what it has cast until the outermost one ends: inside another, a training learnt nothing new."""
    config = make_config(model_flavour=str(tiny_vit), precision="bf16", epochs=1, optimizer="sgd", lr=0.5, momentum=0.9)
    stop = threading.Event()

    def losses(name: str) -> list[float]:
        events = read_events(tmp_path / name / "events-001.jsonl")[0]
        return [event.values["loss/train"] for event in events if isinstance(event, Metrics)]

    train(config, tmp_path / "alone", stop=stop)
    with torch.autocast("cpu", torch.bfloat16):
        torch.nn.Linear(4, 4)(torch.ones(1, 4))
        train(config, tmp_path / "inside", stop=stop)
    train(config.with_changes(precision="fp32"), tmp_path / "fp32", stop=stop)
    assert losses("inside") == losses("alone")
    assert losses("alone") == pytest.approx(losses("fp32"), abs=0.05)
