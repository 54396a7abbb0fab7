"""The same config gives the same bits, whoever starts it and whatever else the machine does then.

By `imgcls-lab train --out`, the queue, `lab.train` in a real kernel, and a notebook that papermill executes in the
queue. The quick one starts each way once; ten runs, five of them beside a loop that eats all cores, are slow.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

import imgcls_lab as lab
from imgcls_lab import TrainConfig, demo_data, run_layout
from imgcls_lab.cpu import cores
from imgcls_lab.events import EpochEnded, Metrics, Started, read_events
from imgcls_lab.settings import Settings
from tests import own_home

TRAIN = Path(__file__).parents[2] / "notebooks" / "train.ipynb"
COMMAND = [sys.executable, "-c", "from imgcls_lab.cli import main; main()"]
CURVE = ("loss/train", "lr", "grad_norm", "loss/val", "metric/accuracy")
WITHIN = 800  # seconds of a run, on a machine where nothing is left for it
LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    for _ in range(100_000): pass"


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    with own_home.ended(monkeypatch) as settings:
        yield settings


@pytest.fixture
def config(own: Settings) -> TrainConfig:
    """Sixteen digits a class; precision, threads, cache and the like are left to the machine."""
    files = demo_data.prepare(own)
    root = own.home_path / "few digits"
    for split, count in (("train", 16), ("val", 6)):
        for folder in (files.root / split).iterdir():
            (root / split / folder.name).mkdir(parents=True)
            for path in sorted(folder.iterdir())[:count]:
                shutil.copy(path, root / split / folder.name)
    return files.config.with_changes(root=str(root), epochs=3, batch_size=32, log_every=1)


def large(config: TrainConfig, folder: Path) -> TrainConfig:
    """The same with a model and pictures that train in bf16 where the processor has it."""
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps({**demo_data.TINY_RESNET, "embedding_size": 64, "hidden_sizes": [64, 128, 256, 512]})
    )
    return config.with_changes(model_flavour=str(folder), image_size=64, epochs=2)


@contextmanager
def all_cores_busy() -> Iterator[None]:
    with ExitStack() as ended:
        for _ in range(cores()):
            loop = ended.enter_context(subprocess.Popen([sys.executable, "-c", LOOP]))
            ended.callback(loop.kill)
        yield


def by_cli(config: TrainConfig, folder: Path) -> Path:
    given = folder.with_suffix(".json")
    given.write_text(config.model_dump_json())
    subprocess.run(
        [*COMMAND, "train", "--config", given, "--out", folder], check=True, capture_output=True, timeout=WITHIN
    )
    return folder


def by_queue(config: TrainConfig, folder: Path) -> Path:
    return lab.launch(config, name=folder.name).wait(WITHIN).folder


def by_kernel(config: TrainConfig, folder: Path) -> Path:
    manager, kernel = start_new_kernel(kernel_name="python3", startup_timeout=120)
    try:
        source = f"import imgcls_lab as lab\nrun = lab.train({config.model_dump_json()!r})\nprint(run.folder)"
        source = source.replace("lab.train(", "lab.train(lab.TrainConfig.parse(").replace(")\nprint", "))\nprint")
        said: list[str] = []
        reply = kernel.execute_interactive(
            source, timeout=WITHIN, output_hook=lambda message: said.append(message["content"].get("text", ""))
        )
        assert reply["content"]["status"] == "ok", reply["content"]
        return Path("".join(said).split()[-1])
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)


def by_notebook(config: TrainConfig, folder: Path) -> Path:
    values = config.model_dump(mode="json", exclude_defaults=True)
    direct = {name: values.pop(name) for name in ("root", "model_flavour", "load_pretrained")}
    run = lab.launch_notebook(TRAIN, {**direct, "settings": values}, name=folder.name).wait(WITHIN)
    (inside,) = (run.folder / run_layout.TRAININGS).iterdir()
    return inside


def bits(folder: Path) -> str:
    """A hash of the final weights and of the whole curve."""
    digest = hashlib.sha256((folder / run_layout.CHECKPOINTS / run_layout.LAST / "model.safetensors").read_bytes())
    for event in read_events(folder / run_layout.events_name(1))[0]:
        if isinstance(event, Metrics | EpochEnded):
            digest.update(repr([event.step, *(event.values.get(tag) for tag in CURVE)]).encode())
    return digest.hexdigest()


def how(folder: Path) -> str:
    """What the run resolved, and why."""
    started = next(event for event in read_events(folder / run_layout.events_name(1))[0] if isinstance(event, Started))
    reason = json.loads((folder / run_layout.MANIFEST).read_text())["precision_reason"]
    return f"{started.precision}, {started.threads} threads. {reason}"


def show(found: dict[str, str], runs: int) -> None:
    print(f"\n{runs} runs of one config, their hashes: {len(set(found.values()))} (target 1)")
    for name, value in found.items():
        print(f"  {value[:16]}  {name}")


WAYS: dict[str, Callable[[TrainConfig, Path], Path]] = {
    "cli": by_cli, "queue": by_queue, "kernel": by_kernel, "notebook": by_notebook,
}  # fmt: skip


@pytest.mark.timeout(900)
def test_every_way_to_start_a_run_gives_its_bits_on_a_busy_machine_too(config: TrainConfig, tmp_path: Path) -> None:
    def start(way: str) -> Path:
        return WAYS[way](config, tmp_path / way)

    with ThreadPoolExecutor(2) as both:
        folders = dict(zip(("cli", "kernel"), both.map(start, ("cli", "kernel")), strict=True))
        with all_cores_busy():
            folders |= zip(("queue", "notebook"), both.map(start, ("queue", "notebook")), strict=True)
    found = {way: bits(folder) for way, folder in folders.items()}
    show(found, len(found))
    assert len(set(found.values())) == 1, {way: how(folder) for way, folder in folders.items()}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("slots", "model"), [("1", "tiny"), ("2", "large")])
def test_ten_runs_of_a_config_five_of_them_on_a_busy_machine_have_one_hash(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slots: str, model: str
) -> None:
    monkeypatch.setenv("IMGCLS_CPU_SLOTS", slots)  # all cores or half of them for each
    config = large(config, tmp_path / "large-resnet") if model == "large" else config
    ways = [*WAYS, "kernel", "queue", "notebook", "cli", "queue", "kernel"]
    found, said = {}, {}
    for number, way in enumerate(ways):
        busy = number % 2 == 1
        with all_cores_busy() if busy else ExitStack():
            folder = WAYS[way](config, tmp_path / f"{number}-{way}")
        name = f"{way}, {'beside a busy loop' if busy else 'alone'} ({number + 1})"
        found[name], said[name] = bits(folder), how(folder)
    show(found, len(found))
    print(f"  {said[next(iter(said))]}")
    assert len(found) == 10
    assert len(set(found.values())) == 1, said
