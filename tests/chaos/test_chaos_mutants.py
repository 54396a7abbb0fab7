"""Seeded defects: each takes one mechanism away, and the check that guards it must notice.

A check is a function that fails when the promise is broken. It holds of the product, and fails of the mutant; both
are shown. The defects are patches of this test's own process, or of a script of the tests: the product has no switch.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from figures import note
from store_steps import claim, feed, finish, points, started, write
from stub_daemon import argv
from stub_lab import StubLab

from imgcls_lab.events import LIVE, DesiredState, RunState
from imgcls_lab.executor import processes, run_monitor
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.executor.daemon import Daemon
from imgcls_lab.executor.run_monitor import UnchangedTimer
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.run_layout import RUN_TAG, new_run_id
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.store import attempts, queue, states, submitting
from imgcls_lab.store.ingest import ingest
from imgcls_lab.store.locked_runs import LockedRun
from imgcls_lab.store.tables import DeviceClaim

Patch = pytest.MonkeyPatch


# ── the checks ──────────────────────────────────────────────────────────────────────────────────────────────────
def late_news_change_nothing(lab: StubLab, _: Path) -> None:
    """A lost attempt comes back to life and reports its end, after the next one was started."""
    run_id = lab.submit()
    claim(lab.store)
    finish(lab.store, run_id, 1, RunState.LOST, message="x", counted=False)
    claim(lab.store)
    finish(lab.store, run_id, 1, RunState.FAILED, message="late")
    assert (lab.state(run_id), lab.run(run_id).attempt) == (RunState.STARTING, 2)


def each_run_is_claimed_once(lab: StubLab, _: Path) -> None:
    for _number in range(6):
        lab.submit()
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda n: claim_as(lab, f"host-{n}"), range(6)))
    ids = [one for one in found if one is not None]
    assert len(ids) == len(set(ids)), "two hosts run one run"


def claim_as(lab: StubLab, host: str) -> str | None:
    with lab.store.database.write() as session:
        claimed = attempts.claim(session, host, host, lambda _: ["cpu:0"])
        return claimed.run.id if claimed else None


def a_device_has_one_run(lab: StubLab, _: Path) -> None:
    from sqlalchemy.exc import IntegrityError

    for _number in range(4):
        lab.submit()
    for _number in range(4):
        try:
            claim(lab.store, "cpu:0")
        except IntegrityError:
            continue
    live = lab.store.runs.list(states=LIVE).items
    assert len(live) == 1, "two runs on one device"


def the_same_submit_is_one_run(lab: StubLab, _: Path) -> None:
    request = SubmitRequest(config={"root": "/data"}, idempotency_key="the-same-key")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: lab.store.runs.submit(request), range(16)))
    assert lab.store.runs.list().total == 1


def events_are_indexed_once(lab: StubLab, _: Path) -> None:
    """Two daemons read the same events at once: one has begun, the other finishes first."""
    run_id = lab.submit()
    claim(lab.store)
    feed(lab.store, run_id, 1, started())
    write(lab.store, run_id, 1, *points(1, 50))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ingest(lab.store.database, lab.settings, run_id, 1), range(4)))
    assert lab.steps(run_id) == list(range(1, 51))


def a_reused_pid_is_not_the_run(_: StubLab, __: Path) -> None:
    me = ProcessIdentity.current()
    former = ProcessIdentity(me.machine_id, me.boot_id, me.pid, "1")
    assert me.alive()
    assert not former.alive(), "a pid was taken for the process that had it before"


def a_child_that_left_the_group_is_ended(lab: StubLab, __: Path) -> None:
    tag = processes.tag_of(new_run_id(), 1)
    child = subprocess.Popen(["sleep", "60"], env={**os.environ, RUN_TAG: tag}, start_new_session=True)
    try:
        LocalBackend(lab.settings).clear(*tag_parts(tag))
        lab.until(lambda: child.poll() is not None, 10, lambda: "a process of the run outlives it")
    finally:
        child.kill()
        child.wait()


def tag_parts(tag: str) -> tuple[str, int]:
    run_id, number = tag.split("/")
    return run_id, int(number)


def no_two_trainers_of_a_run_live_at_once(lab: StubLab, _: Path) -> None:
    """The supervisor is killed and leaves its trainer behind; the next attempt starts when that is dead."""
    daemon = Daemon(lab.settings, backend=LocalBackend(lab.settings, argv))
    daemon._register(daemon.store_of(lab.store))
    run_id = lab.submit(steps=400, step_seconds=0.02, hold_at=20)
    lab.until(lambda: daemon.round(daemon.store_of(lab.store)) or lab.run(run_id).step > 0)
    os.kill(lab.supervisor(run_id), signal.SIGKILL)
    lab.until(
        lambda: (
            daemon.round(daemon.store_of(lab.store))
            or (lab.run(run_id).attempt == 2 and lab.state(run_id) is RunState.RUNNING)
        )
    )
    assert not (lab.settings.run_dir(run_id) / "doubled").exists(), "two trainers of one run"


def a_moved_clock_reaps_nobody(_: StubLab, __: Path) -> None:
    real = time.time
    watch = run_monitor.UnchangedTimer(time.monotonic)
    watch.update("beat")
    with Patch.context() as patch:
        patch.setattr(time, "time", lambda: real() + 3600)
        assert watch.update("beat") < 30, "a clock that was set counts as silence"


def a_sleeping_observer_accuses_nobody(_: StubLab, __: Path) -> None:
    now = [0.0]
    watch = run_monitor.UnchangedTimer(lambda: now[0])
    watch.update("beat")
    now[0] = 3600  # the machine was suspended, and the beat stood still with it
    assert watch.update("beat") < 30, "the observer slept, and blames the run for it"


def a_killed_save_leaves_only_whole_checkpoints(_: StubLab, folder: Path) -> None:
    script = Path(__file__).with_name("checkpoint_crasher.py")
    command = [sys.executable, str(script), str(folder / f"saved-{time.monotonic_ns()}"), "15", *CRASHER]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split()[2] == "0", "a checkpoint that cannot be loaded"


def a_limit_holds_when_hosts_claim_at_once(lab: StubLab, _: Path) -> None:
    from imgcls_lab.schemas import ProjectEdit

    project = lab.store.projects.add(ProjectEdit(name="small", max_running=1)).id
    for _number in range(4):
        lab.store.runs.submit(SubmitRequest(config={"root": "/d"}, project_id=project))
    for number in range(4):
        claim_as(lab, f"host-{number}")
    assert len(lab.store.runs.list(states=LIVE).items) == 1


def a_stop_is_not_taken_back(lab: StubLab, _: Path) -> None:
    run_id = lab.submit()
    claim(lab.store)
    lab.store.runs.set_desired_state(run_id, DesiredState.KILL)
    lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
    assert lab.run(run_id).desired_state is DesiredState.KILL


# ── the defects ─────────────────────────────────────────────────────────────────────────────────────────────────
CRASHER: list[str] = []  # further arguments of checkpoint_crasher.py


def no_fence(patch: Patch) -> None:
    """States are moved whatever the attempt."""
    patch.setattr(LockedRun, "is_current", True)


def select_then_update(patch: Patch) -> None:
    """What is waiting is looked up in one transaction, and taken in another, whoever took it in between."""
    together = threading.Barrier(6)

    def naive(lab: StubLab, host: str) -> str:
        with lab.store.database.read() as session:
            run = next(queue.waiting(session, host))
        together.wait(10)
        with lab.store.database.write() as session:
            states.change_run(session, run.id, state=RunState.STARTING.value, attempt=run.attempt + 1, host=host)
        return run.id

    patch.setattr(sys.modules[__name__], "claim_as", naive)


def no_unique_device(patch: Patch) -> None:
    """The claim of a device has a key that is new each time."""

    def another(*, device: str, **row: object) -> DeviceClaim:
        return DeviceClaim(device=f"{device}#{time.monotonic_ns()}", **row)

    patch.setattr(attempts, "DeviceClaim", another)


def no_unique_key(patch: Patch) -> None:
    """The key is looked up first and not written down as unique."""
    real = submitting.new_run

    def forgetful(*arguments, **options):
        run = real(*arguments, **options)
        run.idempotency_key = None
        return run

    patch.setattr(submitting, "new_run", forgetful)


def no_offset_guard(patch: Patch) -> None:
    """Events are written from where this reader began, wherever another has come meanwhile."""
    from imgcls_lab.store import ingest as module

    serial = [0]

    def rows_with_a_key_of_their_own(session, batches) -> None:
        serial[0] += 1000
        for batch in batches:
            batch.rows = [(*row[:2], row[2] + serial[0], *row[3:]) for row in batch.rows]
        write_rows(session, batches)

    write_rows = module._write_rows
    together = threading.Barrier(4)
    read = module.scan_events

    def read_together(path, offset, **bounds):
        found = read(path, offset, **bounds)
        if offset:
            together.wait(10)
        return found

    progress_of = module._progress

    def progress_without_sequence(run, attempt, history):
        progress = progress_of(run, attempt, history)
        progress.attempt.seq = 0  # the reducer leaves out what it has seen, which would hide the defect
        progress.attempt.state = RunState.RUNNING
        return progress

    patch.setattr(module, "_progress", progress_without_sequence)
    patch.setattr(module, "_is_next", lambda *_: True)
    patch.setattr(module, "_write_rows", rows_with_a_key_of_their_own)
    patch.setattr(module, "scan_events", read_together)


def pid_without_start_time(patch: Patch) -> None:
    patch.setattr(ProcessIdentity, "status", lambda self: "alive" if Path(f"/proc/{self.pid}").exists() else "dead")


def group_kill_alone(patch: Patch) -> None:
    """Only the group of the trainer is ended; who left it is not looked for."""
    patch.setattr(processes, "tagged", lambda _: [])


def requeue_before_the_kill(patch: Patch) -> None:
    patch.setattr(LocalBackend, "clear", lambda *_: [])


def wall_clock_lease(patch: Patch) -> None:
    """Silence is measured by the time of day."""

    def time_of_day() -> float:
        return time.time()

    patch.setattr(run_monitor, "MAX_STEP", float("inf"))
    patch.setattr(run_monitor, "UnchangedTimer", lambda _clock: UnchangedTimer(time_of_day))


def unbounded_steps(patch: Patch) -> None:
    patch.setattr(run_monitor, "MAX_STEP", float("inf"))


def naive_checkpoint(patch: Patch) -> None:
    patch.setattr(sys.modules[__name__], "CRASHER", ["naive"])


def limit_only_read(patch: Patch) -> None:
    """The limit of a project is looked at by the daemon before, and not again where the run is taken."""
    patch.setattr(attempts, "limited_projects", lambda *_, **__: {})


def desired_overwritten(patch: Patch) -> None:
    real = states.change_run

    def always(session, run_id, /, *where, **values):
        return real(session, run_id, **values) if "desired_state" in values else real(session, run_id, *where, **values)

    patch.setattr(states, "change_run", always)


PAIRS = [
    (no_fence, late_news_change_nothing),
    (select_then_update, each_run_is_claimed_once),
    (no_unique_device, a_device_has_one_run),
    (no_unique_key, the_same_submit_is_one_run),
    (no_offset_guard, events_are_indexed_once),
    (pid_without_start_time, a_reused_pid_is_not_the_run),
    (group_kill_alone, a_child_that_left_the_group_is_ended),
    (requeue_before_the_kill, no_two_trainers_of_a_run_live_at_once),
    (wall_clock_lease, a_moved_clock_reaps_nobody),
    (unbounded_steps, a_sleeping_observer_accuses_nobody),
    (naive_checkpoint, a_killed_save_leaves_only_whole_checkpoints),
    (limit_only_read, a_limit_holds_when_hosts_claim_at_once),
    (desired_overwritten, a_stop_is_not_taken_back),
]


@pytest.fixture
def sqlite_lab(home: Path):
    lab = StubLab(home, lease=2.0)
    yield lab
    lab.close()


@pytest.mark.parametrize("check", [check for _, check in PAIRS], ids=lambda check: check.__name__)
def test_the_check_holds_of_the_product(sqlite_lab: StubLab, tmp_path: Path, check: Callable[..., None]):
    check(sqlite_lab, tmp_path)


@pytest.mark.parametrize(("defect", "check"), PAIRS, ids=lambda item: item.__name__)
def test_the_defect_is_caught(
    sqlite_lab: StubLab, tmp_path: Path, defect: Callable[[Patch], None], check: Callable[..., None]
):
    with Patch.context() as patch:
        defect(patch)
        with pytest.raises(AssertionError):
            check(sqlite_lab, tmp_path)
    note(f"seeded defect: {words(defect)}", f"caught: {words(check)}", "caught")


def words(function: Callable[..., None]) -> str:
    return function.__name__.replace("_", " ")
