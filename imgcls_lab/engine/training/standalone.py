"""Training into a folder that the user names, without database or executor: `imgcls-lab train --out DIR`.

A new folder starts a run; an unfinished run continues exactly; a finished one is reported as such. Another config is
accepted where it changes no result, or where there is no checkpoint yet: then nothing would be lost, and a config that
failed can be corrected in place. Otherwise it is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from imgcls_lab import run_layout, run_paths
from imgcls_lab.config import TrainConfig
from imgcls_lab.data_revision import Overlay
from imgcls_lab.engine.reporting.outcome import Outcome
from imgcls_lab.errors import ConfigError, ConflictError
from imgcls_lab.events import Event, Finished, RunState, read_events


def standalone(
    config: TrainConfig,
    out: Path,
    *,
    on_event: Callable[[Event], None] | None = None,
    stop: threading.Event | None = None,
    overlay: Overlay | None = None,
) -> Outcome:
    """Train in `out`. The same call again resumes what is unfinished and returns what is finished.

    overlay: the corrections that the config means, where it names them by a number.
    Raises ConflictError if the folder holds something else or a run with another config; else as `train`.
    """
    out = Path(out).expanduser().resolve()  # a run's folder is no link, but its user may name it by one
    if out.exists() and not out.is_dir():
        raise ConflictError(f"“{out}” is a file. Give a new or empty folder.")
    if (out / run_layout.CONFIG).exists():
        trained = any((out / run_layout.CHECKPOINTS).glob("a*-s*"))
        changed = _is_changed(config, out, trained=trained)
        finished = _finished(out)
        if finished:
            return Outcome(
                RunState.SUCCEEDED,
                finished.step,
                out,
                finished.values,
                f"The run in “{out}” is finished already; its best checkpoint is checkpoints/best.",
            )
        if changed:
            _replace_config(config, out, trained=trained)
    elif out.exists() and any(out.iterdir()):
        raise ConflictError(f"The folder “{out}” is not empty and holds no run. Give a new or empty folder.")

    from imgcls_lab.engine.training.run import train  # torch: takes seconds

    return train(config, out, on_event=on_event, stop=stop, overlay=overlay)


def _is_changed(config: TrainConfig, out: Path, *, trained: bool) -> bool:
    """Whether the folder's run has another config. Raises ConflictError if it has trained with its own."""
    try:
        before = TrainConfig.parse_saved(run_paths.read_plain(out, run_layout.CONFIG))
    except ConfigError as error:
        raise ConflictError(f"The folder “{out}” holds a config.json that is no run's. Give another folder.") from error
    changes = config.changes_from(before.model_dump(mode="json"))
    if not changes or not trained:
        return bool(changes)
    try:
        before.resumed_with(config.model_dump(), out)
    except ConfigError as error:
        refused = {problem.field for problem in error.problems}
        shown = "; ".join(
            f"{name}: {there} there, {now} now" for name, (there, now) in changes.items() if name in refused
        )
        raise ConflictError(
            f"The run in “{out}” has another config ({shown}). Give another folder, or the same values to resume it."
        ) from error
    return True


def _replace_config(config: TrainConfig, out: Path, *, trained: bool) -> None:
    if not trained:
        (out / run_layout.MANIFEST).unlink(missing_ok=True)  # what was resolved for the config before
        (out / run_layout.DATA_REVISION).unlink(missing_ok=True)
        for name in (run_layout.CHECKPOINTS, run_layout.TENSORBOARD):
            link = out / name
            if link.is_symlink():  # to where the config before wanted them
                link.unlink()
    run_layout.write_atomic(out / run_layout.CONFIG, config.model_dump_json(indent=1))


def _finished(out: Path) -> Finished | None:
    """The last event, if the run ended as planned."""
    for path in sorted(out.glob("events-*.jsonl"), reverse=True):
        events, _ = read_events(path)
        if events:
            return events[-1] if isinstance(events[-1], Finished) else None
    return None
