"""A trainer without torch: writes the same folder as the engine, and misbehaves as the run's notes (JSON) say.

Runs as `python stub_trainer.py FOLDER --attempt N`. Keys: steps, step_seconds, save_every, fail_at, exit_at (with
exit_code), signal_at (with signal), hang_at, hold_at (its first attempt waits there, to be stopped or killed, or until
the file hold_until is there, so that a test need not be faster than it), slow_start, ignore_term, children (depth of a
tree that ignores SIGTERM), stay (seconds after the last event), silent (never write an event), first_attempt_only
(misbehave once). A trial of a sweep, whose notes are a sentence, reads them from wish.json beside the folder of its
images.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from imgcls_lab.events import (
    CheckpointSaved,
    EpochEnded,
    EventWriter,
    Failed,
    FailureKind,
    Finished,
    Metrics,
    Phase,
    Started,
    Stopped,
)
from imgcls_lab.run_layout import checkpoint_name, write_atomic

CHILD = (
    "import os, signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "depth = int(sys.argv[1])\n"
    "if depth % 2: os.setsid()\n"
    "if depth > 1: subprocess.Popen([sys.executable, '-c', sys.argv[2], str(depth - 1), sys.argv[2]])\n"
    "time.sleep(600)\n"
)


def value_at(step: int) -> float:
    return 1.0 / step


def keep_alone(folder: Path) -> None:
    """Locks for as long as this trainer lives; where another one lives, the fact is written down for the test."""
    lock(folder / "trainer.lock", folder, "two trainers of this run lived at once")
    if (node := os.environ.get("IMGCLS_NODE_NAME")) is not None:
        for device in filter(None, os.environ["CUDA_VISIBLE_DEVICES"].split(",")):
            lock(folder.parents[1] / f"{node}-{device}.lock", folder, f"two trainers were on GPU {device} of {node}")


def lock(path: Path, folder: Path, otherwise: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        (folder / "doubled").write_text(otherwise)


def main(folder: Path, attempt: int) -> int:
    keep_alone(folder)
    info = json.loads((folder / "run.json").read_text())
    beside = Path(json.loads((folder / "config.json").read_text()).get("root") or "/").parent / "wish.json"
    wish = json.loads(beside.read_text() if info["notes"].startswith("A trial") else info["notes"] or "{}")
    if wish.get("first_attempt_only") and attempt > 1:
        wish = {key: wish[key] for key in ("steps", "step_seconds", "save_every") if key in wish}
    stopping = []
    handler = signal.SIG_IGN if wish.get("ignore_term") else lambda *_: stopping.append(1)
    signal.signal(signal.SIGTERM, handler)
    print(f"attempt {attempt} on {os.environ.get('CUDA_VISIBLE_DEVICES')!r}", flush=True)
    print(f"node {os.environ.get('IMGCLS_NODE_NAME')}", flush=True)
    if wish.get("children"):
        subprocess.Popen([sys.executable, "-c", CHILD, str(wish["children"]), CHILD])
    time.sleep(wish.get("slow_start", 0))
    if wish.get("silent"):
        time.sleep(600)
    if wish.get("exit_at") == 0:
        print("ImportError: no module named nothing", flush=True)
        return wish.get("exit_code", 1)
    steps, per_epoch = wish.get("steps", 20), wish.get("save_every", 5)
    saved = sorted(int(path.name.split("-s")[1]) for path in (folder / "checkpoints").glob("a*-s*"))
    start = saved[-1] if saved else 0
    with EventWriter(folder, attempt) as out:
        out.write(Phase(name="loading"))
        out.write(
            Started(
                resume_step=start, total_steps=steps, steps_per_epoch=per_epoch, epochs=max(1, steps // per_epoch),
                train_images=100, val_images=20, classes=2, device="cpu", precision="fp32", threads=1,
            )
        )  # fmt: skip
        for step in range(start + 1, steps + 1):
            if stopping:
                save(folder, attempt, step - 1, out, per_epoch)
                out.write(Stopped(step=step - 1))
                return 0
            time.sleep(wish.get("step_seconds", 0.02))
            if wish.get("fail_at") == step:
                kind = FailureKind(wish.get("kind", "application"))
                out.write(Failed(step=step, kind=kind, message="The stub failed as it was told."))
                return 1
            if wish.get("exit_at") == step:
                print("the last words", flush=True)
                return wish.get("exit_code", 1)
            if wish.get("signal_at") == step:
                os.kill(os.getpid(), wish["signal"])
            while wish.get("hang_at") == step:
                time.sleep(0.1)
            while (
                attempt == 1
                and wish.get("hold_at") == step
                and not (stopping or Path(wish.get("hold_until", "/no")).exists())
            ):
                time.sleep(0.02)
            out.write(Metrics(step=step, epoch=step / per_epoch, values={"loss/train": value_at(step), "lr": 0.1}))
            if step % per_epoch == 0:
                epoch = step // per_epoch
                values = {"metric/accuracy": step / steps, "loss/val": value_at(step)}
                out.write(EpochEnded(step=step, epoch=epoch, seconds=0.1, values=values, best=True))
                save(folder, attempt, step, out, per_epoch)
        out.write(Finished(step=steps, best_epoch=steps // per_epoch, values={"metric/accuracy": 1.0}))
        time.sleep(wish.get("stay", 0))
    return 0


def save(folder: Path, attempt: int, step: int, out: EventWriter, per_epoch: int) -> None:
    if step == 0:
        return
    name = checkpoint_name(attempt, step)
    target, temporary = folder / "checkpoints" / name, folder / "checkpoints" / f".{name}"
    temporary.mkdir(parents=True, exist_ok=True)
    write_atomic(temporary / "state.json", json.dumps({"step": step}))
    if not target.exists():
        temporary.rename(target)
    out.write(CheckpointSaved(step=step, epoch=step // per_epoch, folder=f"checkpoints/{name}", links=("last",)))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[3])))
