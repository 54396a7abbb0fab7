"""Notebook sweeps on real digits: every trial's executed notebook, the bits of a plain training, kills, holes, TPE.

The quick one runs with the other tests; the 24 trials, the overhead beside plain papermill and the search are slow.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import nbformat
import pytest
from safetensors.numpy import load_file

import imgcls_lab as lab
from imgcls_lab import Sweep, TrainConfig, demo_data
from imgcls_lab.api import context
from imgcls_lab.batch.sweep_file import read_file
from imgcls_lab.events import Finished, Phase, RunKind, RunState, read_events
from imgcls_lab.settings import Settings
from tests import own_home

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "notebooks" / "train.ipynb"
COMMAND = [sys.executable, "-c", "from imgcls_lab.cli import main; main()"]


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    with own_home.ended(monkeypatch) as settings:
        yield settings


@pytest.fixture
def few(own: Settings) -> TrainConfig:
    """Sixteen images a class, one thread."""
    files = demo_data.prepare(own)
    root = own.home_path / "few digits"
    for split, count in (("train", 16), ("val", 6)):
        for folder in (files.root / split).iterdir():
            (root / split / folder.name).mkdir(parents=True)
            for path in sorted(folder.iterdir())[:count]:
                shutil.copy(path, root / split / folder.name)
    return files.config.with_changes(root=str(root), epochs=2, batch_size=32, threads=1)


def show(what: str, reached: str, target: str) -> None:
    print(f"\n{what}: {reached} (target {target})")


def notebook_sweep(config: TrainConfig, space: dict[str, list[Any]]) -> Sweep:
    return lab.sweep(as_parameters(config, without=set(space)), space, notebook=TRAIN, name="digits")


def as_parameters(config: TrainConfig, without: set[str]) -> dict[str, Any]:
    """A config as the parameters of notebooks/train.ipynb."""
    declared = {"root", "model_flavour", "load_pretrained", "image_size", "augmentation", "epochs", "batch_size", "lr"}
    values = config.model_dump(mode="json", exclude_defaults=True, exclude=without)
    direct = {name: value for name, value in values.items() if name in declared}
    return {**direct, "settings": {name: value for name, value in values.items() if name not in declared}}


def opens(run: lab.Run) -> bool:
    """Whether the executed notebook is whole: valid, every cell run, none failed, the live cell of this very run."""
    notebook = nbformat.read(run.notebook, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    live = [
        output.data.get("application/vnd.imgcls.run+json", {}).get("run_id") for output in outputs if "data" in output
    ]
    failed = any(output.output_type == "error" for output in outputs)
    return all(cell.execution_count for cell in cells) and not failed and run.id in live


def same_bits(run: lab.Run, tmp_path: Path) -> bool:
    """Whether `imgcls-lab train` with the trial's config gives the trial's weights and curve."""
    out = tmp_path / f"plain-{run.id}"
    config = tmp_path / f"{run.id}.json"
    config.write_text(run.config.model_dump_json())
    command = [*COMMAND, "train", "--config", str(config), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    ours, theirs = (
        load_file(p / "best" / "model.safetensors") for p in (run.folder / "checkpoints", out / "checkpoints")
    )
    plain = lab.Run(out.name, folder=out).metrics(["loss/train", "loss/val"])
    return (
        ours.keys() == theirs.keys()
        and all((ours[name] == theirs[name]).all() for name in ours)
        and run.metrics(["loss/train", "loss/val"]).equals(plain)
    )


def test_trials_as_notebooks_on_two_slots_equal_plain_trainings(few: TrainConfig, tmp_path: Path) -> None:
    sweep = notebook_sweep(few, {"lr": [1e-3, 3e-3]})
    sweep.wait(240)
    trials = sweep.view.trials
    runs = [lab.run(str(trial.run_id)) for trial in trials]
    opened = sum(map(opens, runs))
    show("executed notebooks that open", f"{opened} of {len(trials)}", "2 of 2")
    assert opened == 2
    assert {run.view.kind for run in runs} == {RunKind.NOTEBOOK}
    equal = same_bits(runs[0], tmp_path)
    show("weights and curve as `imgcls-lab train` gives them", "to the bit" if equal else "they differ", "to the bit")
    assert equal
    fingerprint = json.loads((runs[0].folder / "manifest.json").read_text())["data"]["fingerprint"]
    from imgcls_lab.batch.trial_identity import of_images

    assert of_images(Path(few.root), tmp_path / "memory") == fingerprint


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_24_trials_survive_kills_of_daemon_and_server_and_three_holes_are_filled(
    few: TrainConfig, own: Settings, tmp_path: Path
) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "server", "--no-browser", "--port=0", f"--ServerApp.root_dir={tmp_path}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    space = {"lr": [1e-4, 3e-4, 1e-3, 3e-3], "batch_size": [16, 32, 64], "seed": [0, 1]}
    sweep = notebook_sweep(few, space)
    deadline = time.monotonic() + 2400
    killed = False
    while sweep.state not in {RunState.SUCCEEDED, RunState.FAILED}:
        assert time.monotonic() < deadline, repr(sweep)
        done = sum(trial.state == "succeeded" for trial in sweep.view.trials)
        if done >= 12 and not killed:
            killed = True
            daemon = json.loads(own.executor_info.read_text())["pid"]
            os.kill(daemon, signal.SIGKILL)
            server.send_signal(signal.SIGKILL)
            server.wait(10)  # nobody is left but the driver, which starts the executor again
        time.sleep(0.5)
    trials = sweep.view.trials
    runs = [lab.run(str(trial.run_id)) for trial in trials if trial.run_id]
    notebooks = [run for run in lab.runs(limit=500) if run.view.kind is RunKind.NOTEBOOK]
    show("results after kill -9 of daemon and server half-way", f"{len(trials)}, {len(notebooks)} runs", "24, 24 runs")
    assert killed
    assert [trial.state for trial in trials] == ["succeeded"] * 24
    assert len(notebooks) == len({run.id for run in runs}) == 24
    opened = sum(map(opens, runs))
    show("executed notebooks that open", f"{opened} of 24", "24 of 24")
    assert opened == 24
    equal = sum(same_bits(run, tmp_path) for run in runs[::6])
    show("trials equal to `imgcls-lab train` to the bit", f"{equal} of {len(runs[::6])} tried", "all")
    assert equal == len(runs[::6])

    for run in runs[3:6]:
        run.delete()
    assert sweep.view.holes == 3
    sweep.fill().wait(600)
    kept = {run.id for run in runs} - {run.id for run in runs[3:6]}
    new = [run for run in lab.runs(limit=500) if run.view.kind is RunKind.NOTEBOOK and run.id not in kept]
    show("runs of a fill after three were deleted", str(len(new)), "3")
    assert len(new) == 3
    assert all(run.view.attempt == 1 for run in lab.runs(limit=500) if run.id in kept)

    plain = [overhead_of_papermill(few, tmp_path, number) for number in range(3)]
    ours = [overhead(run) for run in runs if run.folder.exists()]
    figures = f"median {median(ours):.1f} s; plain papermill {median(plain):.1f} s"
    show("overhead of a notebook trial over its training", figures, "1.5 s")


def overhead(run: lab.Run) -> float:
    """Seconds of a run that are not its training: from its start to its end, less from first event inside to last."""
    attempt = run.view.attempts[-1]
    events = [event for path in run.folder.glob("trainings/*/events-*.jsonl") for event in read_events(path)[0]]
    return float(attempt.ended_at or 0) - attempt.started_at - (events[-1].t - events[0].t)


def overhead_of_papermill(config: TrainConfig, tmp_path: Path, number: int) -> float:
    """The same of `papermill notebooks/train.ipynb`, without a daemon."""
    out = tmp_path / f"papermill-{number}"
    words = [f"{name}: {json.dumps(value)}" for name, value in as_parameters(config, set()).items()]
    command = [sys.executable, "-m", "papermill", str(TRAIN), str(out.with_suffix(".ipynb"))]
    command += ["-y", "\n".join([*words, f"out: {json.dumps(str(out))}"])]
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    took = time.monotonic() - began
    events, _ = read_events(out / "events-001.jsonl")
    first = next(event for event in events if isinstance(event, Phase))
    last = next(event for event in events if isinstance(event, Finished))
    return took - (last.t - first.t)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_tpe_with_pruning_beats_random_search_at_the_same_budget_of_epochs(own: Settings) -> None:
    demo_data.prepare(own, context.store())
    best: dict[str, list[float]] = {"tpe": [], "random": []}
    epochs: dict[str, float] = {}
    for strategy, values in best.items():
        request = read_file(ROOT / "notebooks" / f"digits-{strategy}.yaml")
        for seed in range(3):
            from imgcls_lab.api.sweep_handle import launch_sweep

            sweep = launch_sweep(request.model_copy(update={"seed": seed})).wait(900)
            values.append(float(sweep.results()[request.metric].min()))
            epochs[strategy] = epochs.get(strategy, 0) + sweep.view.epochs_done
    found = "; ".join(
        f"{name}: best validation loss {', '.join(f'{value:.4f}' for value in values)} in {epochs[name]:.0f} epochs"
        for name, values in best.items()
    )
    show("search at an equal budget", found, "TPE's median is lower")
    assert median(best["tpe"]) < median(best["random"])
