"""Limits and fair share between users: how many devices, how much of the disk, and who waits for whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from fair_share_simulation import HOST, Person, Simulation
from old_rows import stored

from imgcls_lab.errors import ForbiddenError, InputError
from imgcls_lab.events import RunState
from imgcls_lab.executor import disk_usage
from imgcls_lab.executor.devices import Device
from imgcls_lab.executor.disk_usage import DiskUsage
from imgcls_lab.executor.scheduler import PATIENCE, RESENTMENT, Scheduler, TurnWatch
from imgcls_lab.identity import user_name
from imgcls_lab.schemas import SubmitRequest, UserEdit
from imgcls_lab.store import Store, attempts
from imgcls_lab.store.cluster import Cluster
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch
from imgcls_lab.store.verdict import Verdict

GPUS = [Device(f"cuda:{n}", n, f"GPU {n}", "cuda", f"GPU-{n}") for n in range(4)]
Submit = Callable[..., str]


class Daemon:
    """A daemon of a store's home on a host with four GPUs, without a process."""

    def __init__(self, store: Store, host: str) -> None:
        self.store, self.host = store, host
        self.own = ExecutorStore(store.database, store.settings, host, f"{host}-1", HeartbeatWatch(1e9))
        self.own.register()
        self.own.save_devices([device.row() for device in GPUS])

    def claim(self) -> str | None:
        """The run that it takes now."""

        def scheduler_of(cluster: Cluster, drivers: int) -> Scheduler:
            return Scheduler(cluster, GPUS, self.own.claimed_devices(), drivers, host=self.host)

        claims = self.own.claim(scheduler_of, most=1)
        return claims[0].run.id if claims else None

    def finish(self, run_id: str) -> None:
        assert self.own.finish(run_id, 1, Verdict(RunState.FAILED)) is RunState.FAILED

    def message(self, run_id: str) -> str:
        return self.store.runs.get(run_id).message or ""


# ── devices ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_limit_of_devices_holds_on_all_hosts_together(store: Store, submit: Submit) -> None:
    store.users.edit(user_name(), UserEdit(max_devices=2))
    a, b = Daemon(store, "host-a"), Daemon(store, "host-b")
    first, second, third = (submit() for _ in range(3))
    assert (a.claim(), b.claim()) == (first, second)
    assert (a.claim(), b.claim()) == (None, None)
    assert a.message(third) == f"Waits: {user_name()} may use 2 devices at once."
    (view,) = store.users.list()
    assert (view.devices, view.max_devices, view.queued) == (2, 2, 1)
    a.finish(first)
    assert b.claim() == third
    store.users.edit(user_name(), UserEdit(max_devices=None))
    assert a.claim() is None  # nothing waits
    fourth = submit()
    assert a.claim() == fourth


def test_two_hosts_do_not_both_take_the_users_last_device(store: Store, submit: Submit) -> None:
    """Both daemons have seen that there is one left, and take it at the same time."""
    store.users.edit(user_name(), UserEdit(max_devices=1))
    first, second = submit(), submit()
    taken: list[object] = []

    def other() -> None:
        with store.database.write() as session:
            taken.append(attempts.claim(session, "host-b", "host-b-1", lambda run: [f"cuda:{run.number}"]))

    thread = threading.Thread(target=other)
    with store.database.write() as session:
        claim = attempts.claim(session, "host-a", "host-a-1", lambda run: ["cuda:0"])
        thread.start()
        thread.join(0.5)
        assert thread.is_alive(), "it waits until the first has decided"
    thread.join(20)
    assert claim is not None
    assert (claim.run.id, taken) == (first, [None])
    assert store.runs.get(second).state is RunState.QUEUED


def test_a_run_of_more_devices_than_its_user_may_have_keeps_no_other_waiting(store: Store, submit: Submit) -> None:
    store.users.edit(user_name(), UserEdit(max_devices=1))
    daemon = Daemon(store, "host-a")
    large, small = submit(gpus=2), submit()
    assert daemon.claim() == small
    daemon.finish(small)
    assert daemon.claim() is None
    assert "may use 1 device at once" in daemon.message(large)
    assert "needs 2" in daemon.message(large)
    store.users.edit(user_name(), UserEdit(max_devices=0))
    assert daemon.claim() is None
    assert "on hold" in daemon.message(large)
    store.users.edit(user_name(), UserEdit(max_devices=2))
    assert daemon.claim() == large
    assert store.users.get(user_name()).devices == 2


# ── the disk ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_runs_wait_while_the_others_take_too_much_of_the_disk(store: Store, submit: Submit) -> None:
    daemon = Daemon(store, "host-a")
    assert not daemon.own.counts_disk(), "nobody wants to know"
    store.users.edit(user_name(), UserEdit(max_disk_gb=1.5))
    assert daemon.own.counts_disk()
    run_id = submit()
    daemon.own.save_disk(1_500_000_001)
    assert daemon.own.is_over_disk()
    assert daemon.claim() is None
    assert "take 1.5 GB of the disk and may take 1.5 GB" in daemon.message(run_id)
    daemon.own.save_disk(1_500_000_000)
    assert store.users.get(user_name()).disk_gb == 1.5
    assert daemon.claim() == run_id


def test_what_is_deleted_is_counted_again_soon(store: Store, submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    """While runs wait for the disk it is counted every minute, otherwise every ten minutes."""
    monkeypatch.setattr(disk_usage, "ASK_EVERY", 0.0)
    monkeypatch.setattr(disk_usage, "COUNT_OVER", 0.0)
    monkeypatch.setattr(disk_usage, "REST", 0.0)
    daemon = Daemon(store, "host-a")
    store.users.edit(user_name(), UserEdit(max_disk_gb=0.001))
    large = submit()
    assert daemon.claim() == large
    daemon.finish(large)
    small = submit()
    (store.settings.run_dir(large) / "checkpoint.bin").write_bytes(b"x" * 2_000_000)
    usage = DiskUsage(store.settings)

    def counted(wanted: Callable[[float], bool]) -> bool:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            usage.update(daemon.own)
            found = store.users.get(user_name()).disk_gb
            if found is not None and wanted(found):
                return True
            time.sleep(0.02)
        return False

    assert counted(lambda gb: gb > 0.002)
    assert daemon.claim() is None
    store.runs.delete(large)
    assert counted(lambda gb: gb < 0.001)
    assert daemon.claim() == small
    (store.settings.run_dir(small) / "more.bin").write_bytes(b"x" * 2_000_000)
    for _ in range(20):
        usage.update(daemon.own)
        time.sleep(0.01)
    assert store.users.get(user_name()).disk_gb < 0.001, "nobody waits for the space: it is not counted all the time"


# ── who waits for whom ──────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    with Simulation.of(tmp_path, f"sqlite:///{tmp_path}/shared.db", monkeypatch, gpus=4) as made:
        yield made


def ada_after_bob(shared: Simulation) -> tuple[Person, Person]:
    """ada has had all devices for an hour and wants more, now that bob has come; four devices are free."""
    ada, bob = shared.add("ada"), shared.add("bob")
    for _ in range(4):
        shared.submit("ada", 3600)
    shared.run()
    bob.away = True
    for name in ("ada", "bob"):
        for _ in range(6):
            shared.submit(name, 600)
    return ada, bob


def reasons(person: Person) -> list[str]:
    return [run.message or "" for run in person.store.runs.list(states=[RunState.QUEUED], owner=person.name).items]


def taken(shared: Simulation, person: Person) -> int:
    """How many runs a daemon starts now."""
    count = 0
    while claims := shared.claim(person):
        count += len(claims)
    return count


def test_a_device_is_kept_for_ten_seconds_and_not_longer(shared: Simulation) -> None:
    ada, _ = ada_after_bob(shared)
    assert taken(shared, ada) == 0, "it is bob's turn for each device"
    assert any("it is bob's turn" in text for text in reasons(ada))
    for _ in range(3):
        shared.now += PATIENCE / 3 - 0.1
        assert taken(shared, ada) == 0
    shared.now += PATIENCE / 3
    assert taken(shared, ada) == 4, "bob's daemon took nothing"


def test_a_daemon_that_takes_what_is_kept_has_it(shared: Simulation) -> None:
    ada, bob = ada_after_bob(shared)
    assert taken(shared, ada) == 0
    shared.now += PATIENCE / 2
    assert shared.claim(bob, most=1)
    shared.now += PATIENCE * 0.8
    assert taken(shared, ada) == 0, "it takes one after the other, which is no reason to lose patience"


def test_the_next_device_is_kept_again_after_a_minute(shared: Simulation) -> None:
    ada, _ = ada_after_bob(shared)
    assert taken(shared, ada) == 0
    for _ in range(3):
        shared.now += PATIENCE / 2
        started = shared.claim(ada, most=1)
    assert started
    shared.now += RESENTMENT
    assert taken(shared, ada) == 0


def test_nothing_is_kept_for_a_user_whose_daemon_is_gone(shared: Simulation) -> None:
    ada, bob = ada_after_bob(shared)
    bob.own.sign_off()
    assert taken(shared, ada) == 4


@pytest.mark.parametrize("why", ["held", "named", "on hold"])
def test_nothing_is_kept_for_a_user_who_cannot_use_it(shared: Simulation, why: str) -> None:
    """held: bob's daemon sees that other programs have the devices; named: bob wants GPUs of another kind."""
    ada, bob = ada_after_bob(shared)
    if why == "held":
        bob.own.save_devices([device.row() | {"held_by": "python (a notebook)"} for device in GPUS])
    elif why == "named":
        with bob.store.database.connection() as connection:
            connection.exec_driver_sql("UPDATE runs SET requested_device = 'H100' WHERE owner = 'bob'")
    else:
        ada.store.users.edit("bob", UserEdit(max_devices=0))
    assert taken(shared, ada) == 4


def test_a_run_of_all_gpus_is_not_starved_by_another_users_runs_of_one(shared: Simulation) -> None:
    shared.add("ada"), shared.add("bob")
    for n in range(40):
        shared.submit("ada", 500 + 10 * n)
    shared.run(until=1000)
    large = [shared.submit("bob", 600, gpus=4) for _ in range(2)]
    shared.run()
    begun = shared.started_at(large[0])
    assert begun <= 1000 + 2 * 600, f"it began {begun:.0f} s after ada, when the runs of then had ended"
    between = [part for part in shared.held if part.user == "ada" and part.begin - shared.started[large[0]] >= 600]
    assert len({part.run for part in between}) > 10, "and ada goes on after it"
    assert {len([part for part in shared.held if part.run == run]) for run in large} == {4}


def test_runs_of_all_gpus_do_not_starve_another_users_runs_of_one(shared: Simulation) -> None:
    shared.add("ada"), shared.add("bob")
    for _ in range(12):
        shared.submit("bob", 600, gpus=4)
    shared.run(until=1000)
    small = [shared.submit("ada", 600) for _ in range(24)]
    shared.run()
    assert shared.started_at(small[0]) <= 1200, "at the next end of a run"
    last = {name: max(part.end for part in shared.held if part.user == name) for name in ("ada", "bob")}
    assert last["ada"] < last["bob"]
    begun = [part.begin for part in shared.held if part.user == "bob"]
    assert max(b - a for a, b in pairwise(begun)) <= 4 * 600


@pytest.mark.parametrize("wanted", [2, 3, 8])
def test_a_run_that_cannot_start_blocks_nobody(shared: Simulation, wanted: int) -> None:
    """bob may have one device, or there are fewer than the run needs, or another program holds two of the four."""
    ada, bob = ada_after_bob(shared)
    with bob.store.database.connection() as connection:
        connection.exec_driver_sql(f"UPDATE runs SET requested_gpus = {wanted} WHERE owner = 'bob'")
    if wanted == 2:
        ada.store.users.edit("bob", UserEdit(max_devices=1))
    if wanted == 3:
        held = {"cuda:2", "cuda:3"}
        for person in (ada, bob):
            rows = [d.row() | {"held_by": "python (a notebook)" if d.name in held else None} for d in GPUS]
            person.own.save_devices(rows)

        def scheduler_of(cluster: Cluster, drivers: int) -> Scheduler:
            claimed = {name for host, name in cluster.claims if host == HOST}
            return Scheduler(cluster, GPUS, claimed | held, drivers, host=HOST, watch=TurnWatch(lambda: shared.now))

        shared._become("ada")
        assert [len(ada.own.claim(scheduler_of, most=1)) for _ in range(3)] == [1, 1, 0]
        return
    assert taken(shared, ada) == 4


# ── who may set them, and what is recorded ──────────────────────────────────────────────────────────────────────────
def test_what_is_set_is_recorded(store: Store) -> None:
    store.users.edit("bob", UserEdit(weight=2, max_devices=3))
    store.users.edit("bob", UserEdit(weight=2))  # no change, no event
    store.users.edit("bob", UserEdit(max_devices=None, max_disk_gb=0.5))
    events = [event for event in store.events.list() if (event.kind, event.subject_id) == ("user", "bob")]
    assert [(event.action, event.user, event.details["changed"]) for event in reversed(events)] == [
        ("edited", user_name(), {"weight": [1.0, 2.0], "max_devices": [None, 3]}),
        ("edited", user_name(), {"max_devices": [3, None], "max_disk_gb": [None, 0.5]}),
    ]
    view = store.users.get("bob")
    assert (view.weight, view.max_devices, view.max_disk_gb) == (2.0, None, 0.5)


@pytest.mark.parametrize("name", ["", "  ", "bo\nb", "bo\x1b[31mb", "b\0b", "b" * 1000])
def test_a_name_that_no_user_has_is_refused(store: Store, name: str) -> None:
    before = stored(store.settings)
    with pytest.raises(InputError):
        store.users.edit(name, UserEdit(weight=2))
    assert stored(store.settings) == before


def test_who_is_no_administrator_is_refused_and_that_is_recorded(team: Callable[[str], Store]) -> None:
    ada, bob = team("ada"), team("bob")  # ada made the tables
    (first,) = (event for event in ada.events.list() if event.kind == "user")
    assert (first.user, first.subject_id, first.details) == ("ada", "ada", {"changed": {"admin": [False, True]}})
    for name, edit in (
        ("bob", UserEdit(max_devices=None)),
        ("bob", UserEdit(admin=True)),
        ("ada", UserEdit(weight=0.1)),
    ):
        with pytest.raises(ForbiddenError) as refused:
            bob.users.edit(name, edit)
        assert (refused.value.reason, refused.value.data["admins"]) == ("no_admin", ["ada"])
    events = [event for event in ada.events.list(user="bob") if event.kind == "user"]
    assert [(event.action, event.subject_id, event.refused) for event in events] == [
        ("edited", "ada", True), ("edited", "bob", True),
    ]  # fmt: skip
    assert [user.name for user in ada.users.list()] == ["ada"], "nothing was set"

    ada.users.edit("bob", UserEdit(admin=True))
    assert bob.users.edit("ada", UserEdit(admin=False)).admin is False
    with pytest.raises(InputError):
        bob.users.edit("bob", UserEdit(admin=False))
    with pytest.raises(ForbiddenError):
        ada.users.edit("ada", UserEdit(admin=True))


def test_two_administrators_do_not_dismiss_each_other(team: Callable[[str], Store]) -> None:
    ada, bob = team("ada"), team("bob")
    ada.users.edit("bob", UserEdit(admin=True))
    for _ in range(5):
        results: list[object] = []

        def dismiss(store: Store, whom: str) -> None:
            try:
                results.append(store.users.edit(whom, UserEdit(admin=False)))  # noqa: B023
            except (ForbiddenError, InputError) as error:
                results.append(error)  # noqa: B023

        threads = [threading.Thread(target=dismiss, args=pair) for pair in ((ada, "bob"), (bob, "ada"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        admins = [user.name for user in ada.users.list() if user.admin]
        assert (len(admins), len(results)) == (1, 2)
        left = {"ada": ada, "bob": bob}[admins[0]]
        for name in ("ada", "bob"):
            left.users.edit(name, UserEdit(admin=True))


def test_usage_that_is_charged_meanwhile_is_kept(store: Store, submit: Submit) -> None:
    """An edit writes what it sets and nothing else of the row."""
    daemon = Daemon(store, "host-a")
    run_id = submit()
    assert daemon.claim() == run_id
    daemon.finish(run_id)
    before = stored(store.settings)["users"][0]
    assert before["usage"] > 0
    store.users.edit(user_name(), UserEdit(weight=5))
    assert stored(store.settings)["users"][0] == before | {"weight": 5.0}


def test_a_submitted_run_has_no_say_in_its_limits(store: Store) -> None:
    with pytest.raises(ValueError, match="max_devices"):
        SubmitRequest(config={}, max_devices=100)
