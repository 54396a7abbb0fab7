"""One story of a run, whoever reads its events: database, folder and the forwarder of a notebook give the same state.

Each example writes real event files, cut into pieces anywhere, and reads them with the real store, folder and forwarder
after each piece.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgcls_lab import TrainConfig, events, run_layout, signing
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.batch.event_forwarder import EventForwarder
from imgcls_lab.events import (
    LIVE,
    RESUMABLE,
    Began,
    CheckpointSaved,
    EpochEnded,
    Event,
    EventWriter,
    Failed,
    FailureKind,
    Finished,
    Metrics,
    Notice,
    Phase,
    RunKind,
    Started,
    Stopped,
)
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.schemas import Cursor, RunDetail
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, run_folders

LAST_STEP = 30
STEPS_PER_EPOCH = 10
TRAIN_TAGS = ("loss/train", "lr")
QUICK = settings(deadline=None, suppress_health_check=list(HealthCheck))


# ── any events ──────────────────────────────────────────────────────────────────────────────────────────────────
numbers = st.sampled_from([0.25, 0.5, 0.75, math.nan, math.inf])
any_step = st.integers(0, LAST_STEP)


def started(resume_step: int, total_steps: int = LAST_STEP) -> Started:
    return Started(
        resume_step=resume_step, total_steps=total_steps, steps_per_epoch=STEPS_PER_EPOCH,
        epochs=total_steps // STEPS_PER_EPOCH, train_images=80, val_images=20, classes=2, device="cpu",
        precision="fp32", threads=1,
    )  # fmt: skip


def metrics(step: int, values: dict[str, float]) -> Metrics:
    return Metrics(step=step, epoch=step / STEPS_PER_EPOCH, values=values)


def saved(attempt: int, step: int, *links: str) -> CheckpointSaved:
    folder = f"{run_layout.CHECKPOINTS}/{run_layout.checkpoint_name(attempt, step)}"
    return CheckpointSaved(step=step, epoch=step // STEPS_PER_EPOCH, folder=folder, links=links)


def any_event(attempt: int) -> st.SearchStrategy[Event]:
    values = st.dictionaries(st.sampled_from(TRAIN_TAGS), numbers, min_size=1)
    evaluation = st.fixed_dictionaries({"metric/accuracy": numbers}, optional={"loss/val": numbers})
    links = st.lists(st.sampled_from([run_layout.LAST, run_layout.BEST]), unique=True)
    return st.one_of(
        st.builds(Phase, name=st.sampled_from(["scanning", "evaluating"])),
        st.builds(Began),
        st.builds(started, any_step),
        st.builds(metrics, any_step, values),
        st.builds(
            EpochEnded, step=any_step, epoch=st.integers(1, 3), seconds=st.just(1.0), values=evaluation,
            best=st.booleans(),
        ),
        st.builds(lambda step, names: saved(attempt, step, *names), any_step, links),
        st.builds(Notice, level=st.sampled_from(["info", "warning"]), text=st.sampled_from(["a", "b"])),
    )  # fmt: skip


stopped = st.builds(Stopped, step=any_step)
failed = st.builds(Failed, step=any_step, kind=st.sampled_from(FailureKind), message=st.just("It failed."))
finished = st.builds(
    Finished, step=any_step, best_epoch=st.just(1), values=st.just({"test/accuracy": 0.5, "metric/accuracy": 0.1})
)


@st.composite
def any_attempts(draw: st.DrawFn) -> list[list[Event]]:
    """The events of some attempts. The last event of an attempt may be followed by more, which nobody may count."""
    count = draw(st.integers(1, 3))
    attempts = []
    for number in range(1, count + 1):
        some = draw(st.lists(any_event(number), min_size=1, max_size=12))
        last = draw(st.none() | stopped | failed | (finished if number == count else st.nothing()))
        more = draw(st.lists(any_event(number), max_size=2)) if last is not None else []
        attempts.append([*some, *([last] if last else []), *more])
    return attempts


# ── written, and read piece by piece ────────────────────────────────────────────────────────────────────────────
@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """One second an event, so that all readers see the same stamps."""
    seconds = itertools.count(1000)
    monkeypatch.setattr(events.time, "time", lambda: float(next(seconds)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(Settings(home=str(tmp_path_factory.mktemp("home"))), migrate=True) as store:
        yield store


def write(folder: Path, attempt: int, what: list[Event]) -> None:
    with EventWriter(folder, attempt) as out:
        for event in what:
            out.write(event)
            if isinstance(event, CheckpointSaved):
                (folder / event.folder).mkdir(parents=True, exist_ok=True)


def new_run(store: Store, kind: RunKind = RunKind.TRAIN) -> Path:
    """The folder of a run that this process trains outside the queue."""
    run_id = run_layout.new_run_id()
    folder = store.settings.run_dir(run_id)
    folder.mkdir(parents=True)
    config = TrainConfig(root="/data/digits", model_flavour="tiny").model_dump_json()
    (folder / run_layout.CONFIG).write_text(config)
    info = signing.signed_info(store.settings.home_path, {"id": run_id, "kind": kind}, config.encode())
    (folder / run_layout.RUN_INFO).write_text(json.dumps(info))
    (folder / run_layout.OWNER).write_text(ProcessIdentity.current().to_json())
    return folder


def pieces(data: list[bytes], cuts: list[int]) -> Iterator[tuple[int, bytes]]:
    """(attempt, bytes that its file grows by), cut at places counted over all files."""
    places = sorted({cut % (sum(map(len, data)) + 1) for cut in cuts})
    begin = 0
    for attempt, text in enumerate(data, 1):
        inside = [place - begin for place in places if 0 < place - begin < len(text)]
        for low, high in itertools.pairwise([0, *inside, len(text)]):
            yield attempt, text[low:high]
        begin += len(text)


@dataclass
class Indexed:
    """A run of a folder as the executor's rounds bring it into the database."""

    store: Store
    run_id: str

    def look(self) -> RunDetail:
        database, home = self.store.database, self.store.settings
        run_folders.adopt(database, home, self.run_id)
        before: RunDetail | None = None
        while True:
            run = self.store.runs.get(self.run_id)
            if before is not None and (run.state, run.attempt) == (before.state, before.attempt):
                return run
            if run.state in LIVE:
                run_folders.follow(database, home, self.run_id)
            elif run.state in RESUMABLE:
                run_folders.reopen(database, home, self.run_id, run.attempt)
            before = run


def state_of(run: RunDetail) -> dict[str, object]:
    """All that a run's events say of it."""
    names = (
        "attempt", "step", "epoch", "total_steps", "epochs", "resumed_at_step", "phase", "message", "failure",
        "seconds_left", "best", "latest", "series_names", "devices", "resumable", "started_at", "ended_at", "ran",
    )  # fmt: skip
    return {
        **{name: getattr(run, name) for name in names},
        "state": run.state,
        "attempts": [(at.number, at.state, at.resume_step, at.failure, at.devices) for at in run.attempts],
        "checkpoints": [(at.name, at.step, at.epoch, at.attempt, at.links, at.created_at) for at in run.checkpoints],
    }


def curves_of(source: RunFolder | Store, run_id: str) -> dict[str, tuple[list[int], list[float], list[float | None]]]:
    reply = source.series() if isinstance(source, RunFolder) else source.metrics.series([run_id], max_points=10**6)
    return {item.tag: (item.step, item.epoch, item.time, item.value) for item in reply.series}


def assert_same(indexed: Indexed, folder: RunFolder) -> None:
    row, read = state_of(indexed.look()), state_of(folder.run())
    assert {name: (row[name], read[name]) for name in row if row[name] != read[name]} == {}
    assert curves_of(indexed.store, indexed.run_id) == curves_of(folder, indexed.run_id)


def damaged(data: bytes, places: list[int]) -> bytes:
    """The file with a byte flipped in some of its lines."""
    lines = data.splitlines(keepends=True)
    for place in places:
        line = bytearray(lines[place % len(lines)])
        line[len(line) // 2] ^= 1
        lines[place % len(lines)] = bytes(line)
    return b"".join(lines)


@settings(QUICK, max_examples=25)
@given(
    attempts=any_attempts(), cuts=st.lists(st.integers(0, 10**5), max_size=6),
    hurt=st.lists(st.integers(0, 20), max_size=2), torn=st.booleans(),
)  # fmt: skip
def test_database_and_folder_tell_the_same_story(
    store: Store, attempts: list[list[Event]], cuts: list[int], hurt: list[int], torn: bool
) -> None:
    draft = new_run(store)
    for number, what in enumerate(attempts, 1):
        write(draft, number, what)
    data = [damaged((draft / run_layout.events_name(n)).read_bytes(), hurt) for n in range(1, len(attempts) + 1)]
    if torn:  # the machine lost its power within a line
        data = [text + b'{"v":1,"att' for text in data]
    folder = new_run(store)
    if (draft / run_layout.CHECKPOINTS).exists():
        (draft / run_layout.CHECKPOINTS).rename(folder / run_layout.CHECKPOINTS)
    growing, indexed = RunFolder(folder), Indexed(store, folder.name)
    for attempt, more in pieces(data, cuts):
        with (folder / run_layout.events_name(attempt)).open("ab") as file:
            file.write(more)
        growing.run()
        indexed.look()
    assert_same(indexed, growing)
    assert state_of(RunFolder(folder).run()) == {**state_of(growing.run())}, "read at once, or as it grew"
    assert_same(indexed, RunFolder(folder))


# ── a notebook's trainings, passed on as its own events ─────────────────────────────────────────────────────────
@st.composite
def a_training(draw: st.DrawFn, *, ends: bool) -> list[list[Event]]:
    """The events of a training's attempts as the engine writes them: each goes on from a checkpoint, bit by bit."""
    accuracy = draw(st.lists(st.sampled_from([0.25, 0.5, 0.75]), min_size=3, max_size=3))  # by epoch
    checkpoints, attempts = [0], []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        start = draw(st.sampled_from(checkpoints))
        until = draw(st.integers(start, LAST_STEP))
        checkpoints = [step for step in checkpoints if step <= start]
        what: list[Event] = [Phase(name="scanning"), started(start)]
        for step in range(start + 1, until + 1):
            what.append(metrics(step, {"loss/train": 1 / step}))
            epoch, rest = divmod(step, STEPS_PER_EPOCH)
            if rest == 0:
                best = accuracy[epoch - 1] > max(accuracy[: epoch - 1], default=0)
                values = {"metric/accuracy": accuracy[epoch - 1]}
                what.append(EpochEnded(step=step, epoch=epoch, seconds=1, values=values, best=best))
            if rest == 0 or draw(st.booleans()):
                what.append(saved(number, step, run_layout.LAST))
                checkpoints.append(step)
        attempts.append(what)
        if until == LAST_STEP:
            break
    if until < LAST_STEP and ends:
        again: list[Event] = [Phase(name="scanning"), started(until)]
        attempts[-1].append(saved(number, until, run_layout.LAST))
        attempts.append(again)
        for epoch in range(until // STEPS_PER_EPOCH + 1, 4):
            best = accuracy[epoch - 1] > max(accuracy[: epoch - 1], default=0)
            step, values = epoch * STEPS_PER_EPOCH, {"metric/accuracy": accuracy[epoch - 1]}
            again.append(EpochEnded(step=step, epoch=epoch, seconds=1, values=values, best=best))
    if until == LAST_STEP or ends:
        attempts[-1].append(Finished(step=LAST_STEP, best_epoch=1, values={}))
    return attempts


class Notebook:
    """A notebook's attempts, without kernel and papermill: who forwards is killed and begun anew between them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.attempt = folder, 0
        (folder / run_layout.CONFIG).write_text("{}")

    def begin(self) -> None:
        self.attempt += 1
        self.events = EventWriter(self.folder, self.attempt)
        self.events.write(Phase(name="starting the kernel"))
        self.forwarder = EventForwarder(self.folder, self.events.write)
        self.events.write(Began())

    def train(self, number: int, attempts: list[list[Event]], cuts: list[int], killed: list[bool]) -> Path:
        """All attempts of a training. killed: whether the end of an attempt is not looked at any more."""
        inside = self.folder / run_layout.TRAININGS / f"{number:02d}-training"
        inside.mkdir(parents=True)
        config = TrainConfig(root="/data/digits", model_flavour="tiny").model_dump_json()
        (inside / run_layout.CONFIG).write_text(config)
        draft = self.folder.parent / f"draft-{self.folder.name}-{number}"
        draft.mkdir()
        for attempt, what in enumerate(attempts, 1):
            write(draft, attempt, what)
        data = [(draft / run_layout.events_name(n)).read_bytes() for n in range(1, len(attempts) + 1)]
        done = [0] * (len(data) + 1)
        for attempt, more in pieces(data, cuts):
            if attempt > 1 and done[attempt] == 0:
                self.events.close()
                self.begin()
            with (inside / run_layout.events_name(attempt)).open("ab") as file:
                file.write(more)
            done[attempt] += len(more)
            last = done[attempt] == len(data[attempt - 1])
            if not (last and killed[attempt % len(killed)]):
                self.forwarder.look()
        return inside


def points_of(folders: list[Path]) -> dict[str, list[tuple[int, float, float | None]]]:
    """The curves of trainings, one behind the other."""
    found: dict[str, list[tuple[int, float, float | None]]] = {}
    steps, epochs = 0, 0
    for folder in folders:
        training = RunFolder(folder)
        for item in training.series().series:
            known = found.setdefault(item.tag, [])
            shifted = [(steps + step, epochs + epoch) for step, epoch in zip(item.step, item.epoch, strict=True)]
            known += [(*place, value) for place, value in zip(shifted, item.value, strict=True)]
        view = training.run()
        steps, epochs = steps + view.step, epochs + int(view.epoch)
    return found


@settings(QUICK, max_examples=20)
@given(
    first=a_training(ends=True), second=st.none() | a_training(ends=False),
    cuts=st.lists(st.integers(0, 10**5), max_size=6), killed=st.lists(st.booleans(), min_size=1, max_size=3),
)  # fmt: skip
def test_a_notebook_run_tells_the_story_of_its_trainings(
    store: Store, first: list[list[Event]], second: list[list[Event]] | None, cuts: list[int], killed: list[bool]
) -> None:
    folder = new_run(store, RunKind.NOTEBOOK)
    notebook = Notebook(folder)
    notebook.begin()
    insides = [notebook.train(1, first, cuts, killed)]
    if second is not None:
        insides.append(notebook.train(2, second, cuts, killed))
    notebook.forwarder.look()
    views = [RunFolder(inside).run() for inside in insides]
    run = RunFolder(folder)
    shown = {
        item.tag: list(zip(item.step, item.epoch, item.value, strict=True)) for item in run.series().series
    }  # fmt: skip
    assert shown == points_of(insides)
    view = run.run()
    assert view.step == sum(one.step for one in views)
    assert view.epoch == pytest.approx(sum(one.epoch for one in views))
    assert view.latest == {**views[0].latest, **views[-1].latest}
    bests = [one.best.value for one in views if one.best]
    assert (view.best.value if view.best else None) == max(bests, default=None)
    end = notebook.forwarder.finished()
    assert end.best_epoch == (view.best.epoch if view.best else 0)
    notebook.events.write(end)
    assert_same(Indexed(store, folder.name), run)


def test_a_second_training_of_an_attempt_takes_nothing_back(store: Store) -> None:
    """What a notebook's attempt resumed from is where its first training did."""
    folder = new_run(store)
    write(folder, 1, [started(0), metrics(5, {"lr": 0.5}), metrics(8, {"lr": 0.5}), Stopped(step=8)])
    indexed = Indexed(store, folder.name)
    indexed.look()
    reader = store.metrics.points_since({folder.name: Cursor()}).cursors
    write(folder, 2, [started(5), metrics(10, {"lr": 0.25})])
    indexed.look()
    write(folder, 2, [started(10, total_steps=60), metrics(12, {"lr": 0.25})])
    run = indexed.look()
    assert (run.attempts[-1].resume_step, run.resumed_at_step, run.step, run.total_steps) == (5, 5, 12, 60)
    for source in (store.metrics.points_since(reader), RunFolder(folder).points_since(reader[folder.name])):
        assert source.superseded == {folder.name: 5}
        assert source.series[0].step == [10, 12]


def test_a_reader_that_saw_an_attempt_begin_hears_what_its_training_takes_back(store: Store) -> None:
    folder = new_run(store)
    write(folder, 1, [started(0), *(metrics(step, {"lr": 0.5}) for step in range(1, 9)), Stopped(step=8)])
    write(folder, 2, [Phase(name="scanning")])
    indexed, read = Indexed(store, folder.name), RunFolder(folder)
    indexed.look()
    cursor = store.metrics.points_since({folder.name: Cursor()}).cursors[folder.name]
    assert cursor == read.points_since(Cursor()).cursors[folder.name] == Cursor(attempt=2, seq=1)
    write(folder, 2, [started(5), metrics(6, {"lr": 0.25})])
    indexed.look()
    for source in (store.metrics.points_since({folder.name: cursor}), read.points_since(cursor)):
        assert source.superseded == {folder.name: 5}
