"""Training in this process: in a kernel by `lab.train`, in a shell by `imgcls-lab train`.

The run is *external*: this process writes its folder under the home, where a daemon finds and indexes it. With `out`
the folder is the user's own and nobody indexes it. Neither needs a database or a server. In a notebook run, the
training belongs to that run (`notebook_run.py`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Unpack

from imgcls_lab import image_size, run_layout, run_paths, signing
from imgcls_lab.api import context, error_frames, notebook_run
from imgcls_lab.api.progress import TerminalLine, in_notebook
from imgcls_lab.api.resolving import config_of, print_notes, resolve_and_inspect
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.api.run_handle import Run
from imgcls_lab.config import ConfigFields, TrainConfig, takes_fields
from imgcls_lab.data_revision import Overlay
from imgcls_lab.engine.training.interrupts import signals
from imgcls_lab.errors import ExecutorError, ImgclsError, StoppedError, StoreError
from imgcls_lab.events import ENDED, TERMINAL, DesiredState, Event, EventWriter, Failed, FailureKind, RunKind, RunState
from imgcls_lab.executor import client
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.settings import Settings

if TYPE_CHECKING:
    from imgcls_lab.api.display import LiveCell

POLL_INTERVAL = 0.4  # seconds between two updates of the progress line
INDEX_TIMEOUT = 5.0  # seconds that the end of a run waits for the index


class Screen(Protocol):
    """Where a training in this process shows its progress."""

    def begin(self, run: RunFolder, *, indexed: bool) -> None: ...
    def on_event(self, event: Event) -> None: ...
    def end(self) -> None: ...


@takes_fields()
def train(
    config: TrainConfig | Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    project: str | None = None,
    out: Path | str | None = None,
    screen: Screen | None = None,
    **fields: Unpack[ConfigFields],
) -> Run:
    """Train here and now, with progress and a live plot; returns the run when it has ended or was stopped.

    `config`, or its `fields` as keywords, or both: a config of which some fields change. `help(lab.TrainConfig)` says
    what each field means.
    Interrupting (Ctrl-C, or the kernel's stop button) checkpoints first; the run can then be resumed. With `out` the
    same call again resumes exactly. In a notebook run, so does the same call of its next attempt; `name` and `project`
    are then the run's. Raises ConfigError and DataError before anything is written, ConflictError if `out` holds
    something else, StoppedError when a notebook run was stopped, and ImgclsError with a sentence if training fails.

    >>> lab.train(config, epochs=1, name="here and now").state
    The model ... comes without an image processor, so images are resized to 32 px ...
    <RunState.SUCCEEDED: 'succeeded'>
    """
    config, settings = config_of(config, fields), context.settings()
    outer = notebook_run.enclosing_run(settings)
    standalone = out is not None or outer is not None
    store = _store_if_needed(config)
    resolved, found = resolve_and_inspect(config, settings, store if out is None else None)
    overlay = _corrections(resolved, store)
    print_notes(image_size.advice(resolved, found))  # its scan says the rest
    shown, stop = screen or LineScreen(), threading.Event()
    with signals(stop), contextlib.ExitStack() as around:
        _check_device(resolved)
        if out is not None:
            folder, indexed = Path(out).expanduser().resolve(), False
        elif outer is not None:
            folder, indexed = notebook_run.training_folder(outer, resolved), True
        else:
            folder = make_run_folder(resolved, settings, name=name, project=project)
            around.enter_context(_recording_failure(folder))
            indexed = _ensure_indexed(settings)
        work = partial(_work(settings, standalone=standalone), overlay=overlay)
        outcome = _train(work, resolved, folder, shown, stop, indexed=indexed, standalone=standalone, outer=outer)
    if outcome.message and outcome.state is RunState.SUCCEEDED:
        print(outcome.message)
    if outer is not None and outcome.state is RunState.STOPPED:
        raise StoppedError(f"Stopped at step {outcome.step} after a checkpoint; resume the run to go on from there.")
    store = _store_or_none() if indexed and outer is None else None
    run = Run(folder.name, store=store, folder=folder)
    if isinstance(shown, LineScreen) and shown.cell is not None:
        run._adopt(shown.cell)
    if store is not None:
        _await_index(store, run.id)
    if outcome.state is RunState.STOPPED:
        print(how_to_resume(run, out, outcome.step), file=sys.stderr)
    return run


def _check_device(config: TrainConfig) -> None:
    """Raises ConfigError for a device that this machine lacks, before the run is made."""
    from imgcls_lab.engine.hardware import pick_device  # torch: takes seconds, which the training takes anyway

    pick_device(config)


def _await_index(store: Any, run_id: str) -> None:
    """Wait until the daemon has seen the end, so that `lab.runs()` in the next line shows it too."""
    until = time.monotonic() + INDEX_TIMEOUT
    while time.monotonic() < until:
        with contextlib.suppress(ImgclsError):
            if store.runs.get(run_id).state in ENDED:
                return
        time.sleep(0.1)


def how_to_resume(run: Run, out: Path | str | None, step: int) -> str:
    """The sentence after a stop."""
    saved = run.view.resumable
    where = f"at step {step} after a checkpoint" if saved else "before the first checkpoint"
    if out is not None:
        return f"Stopped {where}. The same command again {'goes on exactly from there' if saved else 'starts it'}."
    what = "go on exactly from there" if saved else "start it again"
    return f'Stopped {where}. To {what}: `imgcls-lab resume {run.id}`, or in Python lab.run("{run.id}").resume().'


@contextlib.contextmanager
def _recording_failure(folder: Path) -> Iterator[None]:
    """Write the last event of a training that could not write it itself: its owner, this process, may live on."""
    try:
        yield
    except BaseException as error:
        attempt = max((int(path.stem.partition("-")[2]) for path in folder.glob("events-*.jsonl")), default=1)
        with contextlib.suppress(OSError), EventWriter(folder, attempt) as events:
            if not isinstance(events.last, TERMINAL):
                interrupted = isinstance(error, KeyboardInterrupt)
                text = "It was interrupted before it began." if interrupted else str(error) or type(error).__name__
                kind = error.kind if isinstance(error, ImgclsError) else FailureKind.APPLICATION
                events.write(Failed(step=0, kind=FailureKind(kind), message=text))
        raise
    finally:
        # this process lives on after the run, so it must not stay the run's owner
        (folder / run_layout.OWNER).unlink(missing_ok=True)


def make_run_folder(config: TrainConfig, settings: Settings, *, name: str | None, project: str | None) -> Path:
    """A new run's folder under the home, complete from the moment that it has its name."""
    settings.make_home()
    run_id = run_layout.new_run_id()
    info = {
        "id": run_id,
        "kind": RunKind.TRAIN.value,
        "name": name or f"{Path(config.root).name} {Path(config.model_flavour).name}",
        "project": project or "default",
        "parent_id": None,
        "notes": "",
        "created_at": time.time(),
        "dataset_id": None,
        "model_id": None,
        "python": sys.executable,
    }
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=settings.runs_dir))  # 0700; a scan does not look at it
    try:
        text = config.model_dump_json(indent=1).encode()
        run_layout.write_atomic(temporary / run_layout.CONFIG, text)
        run_layout.write_atomic(temporary / run_layout.RUN_INFO, signing.signed_text(settings.home_path, info, text))
        run_layout.write_atomic(temporary / run_layout.OWNER, ProcessIdentity.current().to_json())
        folder = settings.run_dir(run_id)
        os.rename(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return folder


def _corrections(config: TrainConfig, store: Any) -> Overlay | None:
    """The corrections that a number in the config means. Raises NotFoundError; StoreError where there is no store."""
    if not isinstance(config.data_revision, int):
        return None
    overlay: Overlay | None = (store or context.store()).revisions.for_config(config)
    return overlay


def _work(settings: Settings, *, standalone: bool) -> Callable[..., Any]:
    """The engine's function that trains. A folder of one's own is all that a stand-alone run writes to."""
    from imgcls_lab import engine  # torch: takes seconds

    if standalone:
        return engine.standalone
    return partial(engine.train, cache_locations=engine.CacheLocations.of_home(settings))


def _train(
    work: Callable[..., Any],
    config: TrainConfig,
    folder: Path,
    screen: Screen,
    stop: threading.Event,
    *,
    indexed: bool,
    standalone: bool,
    outer: Path | None,
) -> Any:
    """Do the work, and show it; a stand-alone run from its first event on."""
    if not standalone:
        screen.begin(RunFolder(folder), indexed=indexed)
    showing = not standalone

    def on_event(event: Event) -> None:
        nonlocal showing
        if not showing:  # a finished or refused folder shows nothing
            if outer is not None and indexed:
                notebook_run.write_run_info(outer, folder)
            screen.begin(RunFolder(folder), indexed=indexed)
            showing = True
        screen.on_event(event)

    try:
        with _watching_desired_state(outer or folder, stop, keep=outer is not None), error_frames.emptied():
            return work(config, folder, on_event=on_event, stop=stop)
    except ImgclsError:
        if folder.is_dir():
            with contextlib.suppress(OSError), (folder / run_layout.OUTPUT_LOG).open("a") as log:
                log.write(traceback.format_exc())
        raise
    finally:
        if showing:
            screen.end()


@contextlib.contextmanager
def _watching_desired_state(folder: Path, stop: threading.Event, *, keep: bool) -> Iterator[None]:
    """Set `stop` when the panel or the command line stops this run: the daemon writes that into the folder.

    A kill is obeyed like a stop: this process is the user's kernel or shell and must live on. `keep`: the desired state
    in the folder belongs to this attempt; else it is of an earlier one and is removed.
    """
    done = threading.Event()
    if not keep:
        (folder / run_layout.DESIRED).unlink(missing_ok=True)

    def watch() -> None:
        while not done.wait(POLL_INTERVAL):
            with contextlib.suppress(OSError, ValueError):
                desired = run_paths.read_plain(folder, run_layout.DESIRED).decode().strip()
                if desired in (DesiredState.STOP, DesiredState.KILL):
                    stop.set()

    watcher = threading.Thread(target=watch, name="imgcls-desired", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


class LineScreen:
    """A line of progress; in a notebook the live cell in its place."""

    def __init__(self) -> None:
        self._line = None if in_notebook() else TerminalLine()
        self._run: RunFolder | None = None
        self.cell: LiveCell | None = None
        self._shown = 0.0

    def begin(self, run: RunFolder, *, indexed: bool) -> None:
        self._run = run
        if self._line is not None:
            self._line.show(run.run(), run.series)
        else:
            from imgcls_lab.api.display import LiveCell

            self.cell = LiveCell(run, served=indexed)
            self.cell.show()

    def on_event(self, _event: Event) -> None:
        due = time.monotonic() - self._shown > POLL_INTERVAL
        if self._line is not None and self._run is not None and due:
            self._shown = time.monotonic()
            self._line.show(self._run.run(), self._run.series)

    def end(self) -> None:
        if self._line is not None:
            if self._run is not None:
                view = self._run.run()
                # of a failure the shell gets the error itself
                show = self._line.print_epochs if view.state is RunState.FAILED else self._line.show
                show(view, self._run.series)
            self._line.close()
        if self.cell is not None:
            self.cell.update()


def _ensure_indexed(settings: Settings) -> bool:
    """Start the daemon that indexes the run. Returns whether there is one; training goes on without it."""
    try:
        context.store(settings)
        client.ensure(settings)
        return settings.autostart or any(item.state == "alive" for item in client.status(settings).executors)
    except (StoreError, ExecutorError) as error:
        print(f"The run is trained, but not listed: {error}", file=sys.stderr)
        return False


def _store_if_needed(config: TrainConfig) -> Any:
    """The store, where a name of the config may have to be looked up; folders need none."""
    paths = (config.root, config.model_flavour)
    if isinstance(config.data_revision, int) or not all(Path(path).expanduser().is_dir() for path in paths):
        return _store_or_none()
    return None


def _store_or_none() -> Any:
    try:
        return context.store()
    except StoreError:
        return None
