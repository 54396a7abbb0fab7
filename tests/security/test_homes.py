"""Two users, each with a home and a daemon of its own, on one PostgreSQL: neither executes, judges or removes the
other's runs, whatever their folders say. Users are told apart as a hub does it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

from store_steps import HOST, claim, feed, finish, points, started

from imgcls_lab.api import forms
from imgcls_lab.api.run_handle import Run
from imgcls_lab.cli.output import read_config
from imgcls_lab.errors import ConfigError, ImgclsError, InputError, NotFoundError, StoreError
from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.schemas import ConfigEdit, ProjectEdit, RunEdit, SubmitRequest, UserEdit
from imgcls_lab.server.batch import executed
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, alerts, attempts, cluster, homes, rebuild
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch
from imgcls_lab.store.tables import DeviceClaim
from tests.store.postgres_server import Server

CONFIG = {"root": "/data/digits", "model_flavour": "tiny"}


@dataclass
class Person:
    name: str
    settings: Settings
    store: Store
    own: ExecutorStore
    become: Callable[[str], None]

    def submit(self, **fields: object) -> str:
        self.become(self.name)
        return self.store.runs.submit(SubmitRequest(config=CONFIG, **fields)).id

    def claims(self) -> attempts.Claim | None:
        self.become(self.name)
        return claim(self.store)


@pytest.fixture
def person(postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Person]]:
    url = postgres.url()
    stores: list[Store] = []

    def become(name: str) -> None:
        monkeypatch.setenv("JUPYTERHUB_USER", name)

    def make(name: str, folder: str | None = None, host: str = HOST) -> Person:
        become(name)
        settings = Settings(home=str(tmp_path / (folder or name)), db_url=url)
        store = Store.open(settings, migrate=True)
        stores.append(store)
        own = ExecutorStore(store.database, settings, host, f"{folder or name}-1", HeartbeatWatch(1e9))
        own.register()
        return Person(name, settings, store, own, become)

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def ada(person: Callable[..., Person]) -> Person:
    return person("ada")


@pytest.fixture
def bob(ada: Person, person: Callable[..., Person]) -> Person:
    return person("bob")


def test_a_daemon_takes_no_run_of_another_home(ada: Person, bob: Person) -> None:
    theirs = ada.submit(priority=1000)
    assert bob.claims() is None
    mine = bob.submit()
    taken = bob.claims()
    assert taken is not None
    assert taken.run.id == mine
    with ada.store.database.write() as session:
        found = attempts.claim(session, HOST, "ada-1", lambda _: ["cpu:1"])
    assert found is not None
    assert found.run.id == theirs


def test_a_daemon_judges_no_live_run_of_another_home(ada: Person, bob: Person) -> None:
    run_id = ada.submit()
    assert ada.claims() is not None
    assert bob.own.live_runs() == []
    bob.own.register()  # a new daemon frees what ended runs held
    bob.own.forget_host(bob.own.live_runs())
    assert ada.store.runs.get(run_id).state is RunState.STARTING
    assert ada.own.claimed_devices() == {"cpu:0"}
    assert bob.own.claimed_devices() == {"cpu:0"}, "a device that ada's run holds is not free for bob"
    assert ada.own.beats(), "ada's daemon is still registered"


def test_a_daemon_settles_only_the_queue_of_its_home(ada: Person, bob: Person) -> None:
    first = ada.submit()
    then = ada.submit(after=[first], host="gone")
    ada.store.runs.set_desired_state(first, DesiredState.STOP)
    bob.own.settle()
    assert ada.store.runs.get(then).state is RunState.QUEUED
    ada.become("ada")
    ada.own.settle()
    assert ada.store.runs.get(then).state is RunState.CANCELLED


def test_alerts_go_to_the_webhook_of_their_own_home(ada: Person, bob: Person) -> None:
    with ada.store.database.write() as session:
        session.info["webhook_state"] = "pending"
        alerts.add(session, "disk-x", "disk", "The disk is full.", host=HOST)
    assert [alert.id for alert in ada.own.pending_alerts()] == ["disk-x"]
    assert bob.own.pending_alerts() == []


def plant(ada: Person, bob: Person, run_id: str, **columns: object) -> Path:
    """Put a copy of ada's folder into bob's home, newer than the database, with other columns in its record."""
    folder = bob.settings.run_dir(run_id)
    folder.mkdir(parents=True)
    for path in ada.settings.run_dir(run_id).iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / "config.json").write_text(json.dumps(CONFIG))
    info = json.loads((folder / "run.json").read_text())
    info["row"] |= {"revision": 10**6, **columns}
    (folder / "run.json").write_text(json.dumps(info))
    return folder


def test_a_rebuild_changes_no_run_of_another_home(ada: Person, bob: Person) -> None:
    run_id = ada.submit(name="ada's")
    claimed = ada.claims()
    assert claimed is not None
    feed(ada.store, run_id, 1, started(), *points(1, 5))
    finish(ada.store, run_id, 1, RunState.FAILED, message="it failed")
    before = ada.store.runs.get(run_id)
    plant(ada, bob, run_id, state="queued", owner="bob", host="host-b")
    bob.become("bob")
    report = rebuild(bob.settings)
    assert ada.store.runs.get(run_id) == before
    assert [problem for problem in report.problems if run_id in problem]
    assert [problem for problem in bob.store.check() if run_id in problem]
    assert not [problem for problem in ada.store.check() if run_id in problem], "ada's home is in order"


def test_a_folder_cannot_queue_a_run_for_another_home_or_in_anothers_name(ada: Person, bob: Person) -> None:
    run_id = ada.submit()
    home, other = ada.store.database.home, run_id[:-6] + "zzzzzz"
    folder = plant(ada, bob, run_id, state="queued", owner="ada", home=home, record_behind=True)
    text = (folder / "run.json").read_text().replace(run_id, other)
    (folder / "run.json").write_text(text)
    folder.rename(folder.with_name(other))
    ada.store.runs.set_desired_state(run_id, DesiredState.STOP)
    bob.become("bob")
    rebuild(bob.settings)
    assert bob.store.runs.get(other).home == bob.store.database.home
    assert bob.store.runs.get(other).owner == "bob"
    assert ada.claims() is None, "ada's daemon must not start what bob's folder holds"


def test_files_of_another_home_are_not_read_not_even_from_a_copy(ada: Person, bob: Person) -> None:
    run_id = ada.submit(name="secret")
    folder = plant(ada, bob, run_id)
    for name in ("output.log", "notebook.ipynb"):
        (folder / name).write_text("planted")
    (folder / "reports").mkdir()
    (folder / "reports" / "test.json").write_text("{}")
    bob.become("bob")
    view = bob.store.runs.get(run_id)
    assert view.name == "secret"
    assert view.elsewhere is not None
    assert "ada" in view.elsewhere
    handle = Run(run_id, store=bob.store)
    attacks: list[Callable[[], object]] = [
        lambda: bob.store.runs.log(run_id),
        lambda: bob.store.runs.report(run_id, split="test"),
        lambda: executed(bob.store, run_id),
        lambda: handle.folder,
        lambda: handle.notebook,
        handle.predictions,
        handle.best_model,
        handle.log,
    ]
    for attack in attacks:
        with pytest.raises(NotFoundError) as refused:
            attack()
        assert refused.value.reason == "another_home"


def test_a_change_from_another_home_reaches_the_folder_by_its_own_daemon(
    ada: Person, person: Callable[..., Person]
) -> None:
    """The same user with a second home elsewhere: nothing is written there, and the first home's record follows."""
    second = person("ada", "ada-2", "host-b")
    run_id = ada.submit()
    second.store.runs.edit(run_id, RunEdit(notes="from afar"))
    assert not second.settings.run_dir(run_id).exists()

    def noted() -> str:
        return str(json.loads((ada.settings.run_dir(run_id) / "run.json").read_text())["notes"])

    assert noted() == ""
    ada.own.catch_up_folders()
    assert noted() == "from afar"
    second.store.runs.set_desired_state(run_id, DesiredState.STOP)
    with pytest.raises(NotFoundError):
        second.store.runs.resume(run_id, {"num_workers": 0})
    assert second.store.runs.resume(run_id).state is RunState.QUEUED
    second.store.runs.set_desired_state(run_id, DesiredState.STOP)
    second.store.runs.delete(run_id)
    assert ada.settings.run_dir(run_id).exists()
    ada.own.catch_up_folders()
    assert not ada.settings.run_dir(run_id).exists()


def test_a_user_sets_no_weight_or_limit_for_himself(ada: Person, bob: Person) -> None:
    bob.become("bob")
    for edit in (UserEdit(weight=1000), UserEdit(admin=True), UserEdit(max_disk_gb=None)):
        with pytest.raises(ImgclsError) as refused:
            bob.store.users.edit("bob", edit)
        assert refused.value.reason == "no_admin"
    ada.become("ada")  # whose program made the tables
    assert ada.store.users.edit("bob", UserEdit(weight=2, max_devices=1)).weight == 2
    with pytest.raises(InputError):
        ada.store.users.edit("ada", UserEdit(admin=False))


def test_a_project_at_its_limit_counts_the_runs_of_all_homes(ada: Person, bob: Person) -> None:
    ada.become("ada")
    project = ada.store.projects.add(ProjectEdit(name="small", max_running=1)).id
    ada.submit(project_id=project)
    assert ada.claims() is not None
    with bob.store.database.read() as session:
        assert cluster.limited_projects(session)[project].refusal() is not None


def test_stale_claims_of_another_home_are_left_to_it(ada: Person, bob: Person) -> None:
    run_id = ada.submit()
    assert ada.claims() is not None
    finish(ada.store, run_id, 1, RunState.FAILED)
    with ada.store.database.write() as session:  # as after a restored backup
        session.add(DeviceClaim(host=HOST, device="cpu:0", run_id=run_id, attempt=1, claimed_at=0.0))
    assert bob.own.register() == 0
    ada.become("ada")
    assert ada.own.register() == 1


def test_the_id_of_a_home_is_found_again_and_is_no_link(ada: Person, tmp_path: Path) -> None:
    file, known = ada.settings.home_path / homes.HOME_ID, ada.store.database.home
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    ada.become("ada")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(homes, "host_name", lambda: HOST)
        assert homes.identify(ada.store.database, ada.settings) == known
    file.unlink()
    elsewhere = tmp_path / "planted"
    elsewhere.write_text("0" * 16)
    file.symlink_to(elsewhere)
    with pytest.raises(StoreError):
        homes.identify(ada.store.database, ada.settings)


def test_no_config_of_another_user_brings_its_plugins_along(ada: Person, bob: Person) -> None:
    """A config that bob names by its name, and the run that his form begins with, could hold code of ada's."""
    config = {**CONFIG, "plugins": ["/shared/ada/evil.py"]}
    ada.become("ada")
    ada.store.configs.add(ConfigEdit(name="baseline", config=config))
    run_id = ada.store.runs.submit(SubmitRequest(config=config)).id
    bob.become("bob")
    with pytest.raises(ConfigError) as refused:
        read_config("baseline", [], bob.store)
    assert refused.value.reason == "foreign_plugins"
    assert read_config("baseline", ["plugins=/home/bob/mine.py"], bob.store).plugins == ("/home/bob/mine.py",)
    assert Run(run_id, store=bob.store).config.plugins == ()
    assert forms._start(bob.store)["plugins"] == []
    assert Run(run_id, store=ada.store).config.plugins == ("/shared/ada/evil.py",)
