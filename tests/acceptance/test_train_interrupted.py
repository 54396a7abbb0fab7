"""`lab.train` in a process that lives on: an interrupt at any moment leaves no run that stands there for ever, and a
finished training leaves no memory behind."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from api.conftest import few, own

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.events import ENDED, RunState
from imgcls_lab.settings import Settings
from imgcls_lab.store import rebuild

__all__ = ["few", "own"]
pytestmark = pytest.mark.slow

# interrupts itself once: when a module is first imported, or at a step
INTERRUPTED = """
import os, signal, sys
import imgcls_lab as lab
from imgcls_lab.api import training

wanted, step = {module!r}, {step}

class Importer:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

class Screen(training.LineScreen):
    def on_event(self, event):
        global step
        if step is not None and getattr(event, "step", -1) == step:
            step = None
            os.kill(os.getpid(), signal.SIGINT)
        super().on_event(event)

sys.meta_path.insert(0, Importer())
try:
    lab.train(lab.TrainConfig.model_validate_json({config!r}), screen=Screen())
except KeyboardInterrupt:
    print("interrupted")
"""

MEMORY = """
import gc
import imgcls_lab as lab
lab.train(lab.TrainConfig.model_validate_json({config!r}))
import torch
gc.collect()
alive = [item for item in gc.get_objects() if isinstance(item, torch.Tensor) and item.numel() > 1000]
print("tensors alive", [(item.dtype, *item.shape) for item in alive])
print("bytes alive", sum(item.numel() * item.element_size() for item in alive))
"""


INTERRUPT = "os.kill(os.getpid(), signal.SIGINT)"
# IPython keeps the traceback of the last error, and with it what all its frames hold
KEPT = """
import gc, os, signal, sys
from IPython.core.interactiveshell import InteractiveShell
import imgcls_lab as lab
from imgcls_lab.api import training
from imgcls_lab.events import Metrics

def fault():
    {fault}

class Screen(training.LineScreen):
    def on_event(self, event):
        if isinstance(event, Metrics) and event.step == 3:
            fault()
        super().on_event(event)

def on_step(done, of):
    if done > 2:
        fault()

shell = InteractiveShell.instance()
config = lab.TrainConfig.model_validate_json({config!r})
shell.push({{"lab": lab, "Screen": Screen, "on_step": on_step, "config": config}})
done = shell.run_cell({call!r})
print("raised", type(done.error_in_exec).__name__, "kept", sys.last_traceback is not None)
del done
import torch
gc.collect()
alive = [item for item in gc.get_objects() if isinstance(item, torch.Tensor) and item.numel() > 1000]
print("tensors alive", [(item.dtype, *item.shape) for item in alive])
print("bytes alive", sum(item.numel() * item.element_size() for item in alive))
"""

# is interrupted from outside, at whatever it does then
ANY_MOMENT = """
import gc, os, sys
print("ready", flush=True)
try:
    import imgcls_lab as lab
    lab.train(lab.TrainConfig.model_validate_json({config!r}))
except KeyboardInterrupt:
    print("interrupted", flush=True)
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
gc.collect()
torch = sys.modules.get("torch")
kind = getattr(torch, "Tensor", None)
alive = [item for item in gc.get_objects() if kind and isinstance(item, kind) and item.numel() > 1000]
print("tensors alive", [(item.dtype, *item.shape) for item in alive])
print("bytes alive", sum(item.numel() * item.element_size() for item in alive))
"""
MOMENTS = 12


def printed(source: str) -> str:
    """What a process of ours prints."""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize(
    ("module", "step"),
    [
        ("torch", None),
        ("imgcls_lab.engine.hardware", None),
        ("transformers", None),
        ("imgcls_lab.engine.training.run", None),
        ("imgcls_lab.engine.training.loop", None),
        ("nothing", 0),
        ("nothing", 3),
    ],
)
def test_an_interrupt_leaves_no_run_that_starts_for_ever(
    module: str, step: int | None, few: TrainConfig, own: Settings
) -> None:
    printed(INTERRUPTED.format(module=module, step=step, config=few.model_dump_json()))
    folders = (
        [path for path in own.runs_dir.iterdir() if not path.name.startswith(".")] if own.runs_dir.exists() else []
    )
    assert len(folders) == (1 if step is not None else len(folders))
    for folder in folders:
        run = RunFolder(folder).run()
        assert run.state in (RunState.STOPPED, RunState.FAILED), json.dumps(run.model_dump(mode="json"))[:2000]
        assert not (folder / "owner.json").exists()  # nobody is waited for: it can be resumed and deleted


def interrupted_after(seconds: float | None, config: TrainConfig) -> tuple[str, float]:
    """What a process prints that is interrupted so many seconds after its beginning (None: never), and how long it ran.

    One that has ended by then gets none.
    """
    source = ANY_MOMENT.format(config=config.model_dump_json())
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", source], **pipes) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        begun = time.monotonic()
        if seconds is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err[-4000:]
    return first + out, time.monotonic() - begun


@pytest.mark.timeout(3600)
def test_an_interrupt_at_any_moment_leaves_a_run_that_can_be_resumed_or_deleted_and_no_memory(
    few: TrainConfig, own: Settings
) -> None:
    _, whole = interrupted_after(None, few)
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    ends: dict[str, int] = {}
    for _ in range(MOMENTS):
        known = {run.id for run in lab.runs()}
        moment = moments.uniform(0, whole)
        said, _ = interrupted_after(moment, few)
        where = f"{moment:.2f} s of {whole:.2f} s, seed {seed}"
        assert int(said.rpartition("bytes alive")[2]) == 0, f"{where}: {said[-2000:]}"
        rebuild(own)
        made = [run for run in lab.runs() if run.id not in known]
        folders = {path.name for path in own.runs_dir.glob("2*")} - known
        assert folders == {run.id for run in made}, where
        assert len(made) <= 1, where
        end = made[0].state.value if made else "none"
        ends[end] = ends.get(end, 0) + 1
        for run in made:
            assert run.state in ENDED, where
            if run.state is not RunState.SUCCEEDED:
                assert run.resume().kill().wait(timeout=120, check=False).state in ENDED, where
            run.delete()
            assert not own.run_dir(run.id).exists(), where
    print(f"{MOMENTS} interrupts in {whole:.1f} s, seed {seed}: {ends}")


def test_a_finished_training_leaves_no_memory_behind(few: TrainConfig, own: Settings) -> None:
    said = printed(MEMORY.format(config=few.model_dump_json()))
    alive = int(said.rpartition("bytes alive")[2])
    print(f"{alive:,} bytes of tensors after a training (at most 0)")
    assert alive == 0, said[-2000:]


@pytest.mark.parametrize(
    ("call", "fault", "raised"),
    [
        ("lab.train(config, screen=Screen())", f"{INTERRUPT}; {INTERRUPT}", "KeyboardInterrupt"),
        ("lab.train(config, screen=Screen())", "raise RuntimeError('a fault')", "ImgclsError"),
        ("lab.find_lr(config, steps=20, on_step=on_step)", INTERRUPT, "KeyboardInterrupt"),
        ("lab.find_batch_size(config, largest=16, on_step=on_step)", "raise RuntimeError('a fault')", "ImgclsError"),
    ],
    ids=["train, interrupted twice", "train, a fault", "find_lr, interrupted", "find_batch_size, a fault"],
)
def test_what_ended_with_an_error_leaves_no_memory_behind(
    call: str, fault: str, raised: str, few: TrainConfig, own: Settings
) -> None:
    said = printed(KEPT.format(config=few.model_dump_json(), call=call, fault=fault))
    assert f"raised {raised} kept True" in said
    assert said.split()[-3:] == ["bytes", "alive", "0"], said[-2000:]


def test_the_tests_interrupt_before_the_first_step_and_after_it(few: TrainConfig, own: Settings) -> None:
    steps = []
    for module, step in (("torch", None), ("nothing", 3)):
        known = set(own.runs_dir.glob("2*"))
        printed(INTERRUPTED.format(module=module, step=step, config=few.model_dump_json()))
        (folder,) = set(own.runs_dir.glob("2*")) - known
        run = RunFolder(folder).run()
        assert run.state is RunState.STOPPED, run.message
        steps.append(run.step)
    assert steps[0] == 0 < steps[1]
