"""Training into a folder that the user names, without database or executor: `imgcls-lab train --out DIR`.

A fresh folder starts, an unfinished one goes on exactly, a finished one says so. Another config is refused, unless
there is no checkpoint yet: then nothing would be lost, and a config that failed can be mended in place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from imgcls_lab import layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.outcome import Outcome
from imgcls_lab.errors import ConfigError, ConflictError
from imgcls_lab.protocol import Event, Finished, RunState, read_events


def standalone(
    config: TrainConfig,
    out: Path,
    *,
    on_event: Callable[[Event], None] | None = None,
    stop: threading.Event | None = None,
) -> Outcome:
    """Train in `out`. The same call again resumes what is unfinished and returns what is finished.

    Raises ConflictError if the folder holds something else or a run with another config; else as `train`.
    """
    out = Path(out).expanduser().absolute()
    if out.exists() and not out.is_dir():
        raise ConflictError(f"“{out}” is a file. Give a new or empty folder.")
    if (out / layout.CONFIG).exists():
        _settle_config(config, out)
        finished = _finished(out)
        if finished:
            return Outcome(
                RunState.SUCCEEDED,
                finished.step,
                out,
                finished.values,
                f"The run in “{out}” is finished already; its best checkpoint is checkpoints/best.",
            )
    elif out.exists() and any(out.iterdir()):
        raise ConflictError(f"The folder “{out}” is not empty and holds no run. Give a new or empty folder.")

    from imgcls_lab.engine.run import train  # torch: takes seconds

    return train(config, out, on_event=on_event, stop=stop)


def _settle_config(config: TrainConfig, out: Path) -> None:
    """Raises ConflictError if the folder's run has another config and has trained with it."""
    try:
        before = TrainConfig.parse((out / layout.CONFIG).read_bytes()).model_dump()
    except ConfigError as error:
        raise ConflictError(f"The folder “{out}” holds a config.json that is no run's. Give another folder.") from error
    after = config.model_dump()
    differing = [name for name in after if after[name] != before[name]]
    if not differing:
        return
    if any((out / layout.CHECKPOINTS).glob("a*-s*")):
        shown = "; ".join(f"{name}: {before[name]} there, {after[name]} now" for name in differing)
        raise ConflictError(
            f"The run in “{out}” has another config ({shown}). Give another folder, or the same values to resume it."
        )
    (out / layout.MANIFEST).unlink(missing_ok=True)  # what was resolved for the config before
    for name in (layout.CHECKPOINTS, layout.TENSORBOARD):
        link = out / name
        if link.is_symlink():  # to where the config before wanted them
            link.unlink()
    layout.write_atomic(out / layout.CONFIG, config.model_dump_json(indent=1))


def _finished(out: Path) -> Finished | None:
    """The last event, if the run ended as planned."""
    for path in sorted(out.glob("events-*.jsonl"), reverse=True):
        events, _ = read_events(path)
        if events:
            return events[-1] if isinstance(events[-1], Finished) else None
    return None
