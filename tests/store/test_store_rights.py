"""Several users on one PostgreSQL: who may change what, what is recorded of it, and whose everything is."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from inspect import isfunction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from old_rows import stored
from store_steps import started, write
from test_store_folders import external

from imgcls_lab import signing
from imgcls_lab.audits import results
from imgcls_lab.errors import ConflictError, ForbiddenError, NotFoundError
from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.identity import user_name
from imgcls_lab.schemas import (
    ChangeEdit,
    ChangeRequest,
    ConfigEdit,
    DatasetEdit,
    ForkRequest,
    ModelEdit,
    ProjectEdit,
    ReplicatesRequest,
    RetrainRequest,
    RevisionEdit,
    RunEdit,
    RunEdits,
    RunsEdit,
    SubmitRequest,
    UserEdit,
)
from imgcls_lab.store import Store, attempts, audit, queue, rebuild, run_folders
from imgcls_lab.store.collection import Collection
from imgcls_lab.store.database import Database
from imgcls_lab.store.events import Events
from imgcls_lab.store.executors import Executors
from imgcls_lab.store.metrics import MetricReader
from imgcls_lab.store.models import Models
from imgcls_lab.store.proofs import Proofs
from imgcls_lab.store.registry import Configs, Datasets, Projects
from imgcls_lab.store.revisions import Revisions
from imgcls_lab.store.rights import Rights
from imgcls_lab.store.runs import Runs
from imgcls_lab.store.tables import AuditEvent
from imgcls_lab.store.users import Users
from imgcls_lab.store.verdict import Verdict

CONFIG = {"root": "/data/digits", "model_flavour": "tiny"}
Open = Callable[[str], Store]


@pytest.fixture
def images(tmp_path: Path) -> str:
    from PIL import Image

    for name in ("train/cat", "train/dog", "val/cat", "val/dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "pets" / name / "0.png")
    return str(tmp_path / "pets")


def entries(store: Store, images: str) -> SimpleNamespace:
    """One of everything, all of the user of this store."""
    project = store.projects.add(ProjectEdit(name="pets"))
    dataset = store.datasets.add(DatasetEdit(name="cats", root=images))
    store.revisions.add(dataset.id, correction(images, "dog"))
    return SimpleNamespace(
        project=project,
        config=store.configs.add(ConfigEdit(name="small", config=CONFIG, project_id=project.id)),
        dataset=dataset,
        model=store.models.add(ModelEdit(name="tiny", flavour="org/tiny")),
        run=store.runs.submit(SubmitRequest(config=CONFIG, name="first", project_id=project.id)),
    )


def correction(images: str, label: str) -> RevisionEdit:
    """All images are the same file."""
    content = (Path(images) / "train/cat/0.png").read_bytes()
    return RevisionEdit(changes=[ChangeEdit(image=hashlib.sha256(content).hexdigest(), label=label)])


def mutations(store: Store, of: SimpleNamespace, images: str) -> dict[tuple[type, str], Callable[[], object]]:
    """A call of every public method that changes an entry, by class and method."""
    runs = store.runs
    found: dict[tuple[type, str], Callable[[], object]] = {
        (Runs, "submit"): lambda: runs.submit(SubmitRequest(config=CONFIG, project_id=of.project.id)),
        (Runs, "submit_replicates"): lambda: runs.submit_replicates(
            ReplicatesRequest(config=CONFIG, project_id=of.project.id, replicates=2)
        ),
        (Runs, "retrain"): lambda: runs.retrain(of.run.id, RetrainRequest()),
        (Runs, "change"): lambda: runs.change(of.run.id, ChangeRequest(fields={"epochs": 7})),
        (Runs, "fork"): lambda: runs.fork(of.run.id, ForkRequest()),
        (Proofs, "verify"): lambda: store.proofs.verify(of.run.id),
        (Proofs, "bisect"): lambda: store.proofs.bisect(of.run.id, of.run.id),
        (Runs, "set_desired_state"): lambda: runs.set_desired_state(of.run.id, DesiredState.STOP),
        (Runs, "resume"): lambda: runs.resume(of.run.id),
        (Runs, "claim"): lambda: runs.claim(of.run.id),
        (Runs, "edit"): lambda: runs.edit(of.run.id, RunEdit(priority=9)),
        (Runs, "explain_stop"): lambda: runs.explain_stop(of.run.id, "no"),
        (Runs, "delete"): lambda: runs.delete(of.run.id),
        (Datasets, "rescan"): lambda: store.datasets.rescan(of.dataset.id),
        (Revisions, "add"): lambda: store.revisions.add(of.dataset.id, correction(images, "cat")),
        (Revisions, "undo"): lambda: store.revisions.undo(of.dataset.id),
        (Projects, "add_member"): lambda: store.projects.add_member(of.project.id, "bob"),
        (Projects, "remove_member"): lambda: store.projects.remove_member(of.project.id, "carl"),
        (Configs, "add"): lambda: store.configs.add(ConfigEdit(name="in", config=CONFIG, project_id=of.project.id)),
        (Configs, "restore"): lambda: store.configs.restore(of.config.id, 1),
        (Users, "edit"): lambda: store.users.edit("bob", UserEdit(admin=True)),
    }
    edits: list[tuple[type, Any, Any, Any]] = [
        (Projects, store.projects, of.project, ProjectEdit(name="mine now")),
        (Configs, store.configs, of.config, ConfigEdit(name="mine now", config=CONFIG)),
        (Datasets, store.datasets, of.dataset, DatasetEdit(name="mine now", root=images)),
        (Models, store.models, of.model, ModelEdit(name="mine now", flavour="org/other")),
    ]
    for kind, collection, entry, edit in edits:
        found[kind, "edit"] = lambda c=collection, e=entry, to=edit: c.edit(e.id, to)
        found[kind, "delete"] = lambda c=collection, e=entry: c.delete(e.id)
    return found


READS = {
    Runs: {
        "get",
        "list",
        "by_id",
        "by_key",
        "as_submitted",
        "compare",
        "changed_since",
        "live_on",
        "live_at",
        "lost_attempts",
        "last_scan",
        "log",
        "report",
        "view_only",
        "claim_view",
        "fork_preview",
        "lineage",
    },
    Collection: {
        *("list", "get", "named", "find", "root_of", "cached", "of_checkpoint"),
        *("versions", "difference", "config_of", "check_removable"),
    },
    Executors: {"status", "unattended_places", "usable_devices", "holder_parents", "mark_silent"},
    Events: {"list"},
    MetricReader: {"series", "points_since"},
    Users: {"list", "get"},
    Proofs: {"view", "bisection"},
    Revisions: {"list", "newest", "overlay", "for_config", "diff", "since"},
}
# They refuse run after run, in their answer: `test_of_many_runs_those_of_others_stay`.
MANY = {"edit_many", "delete_many", "act_many"}
FREE = {(kind, "add") for kind in (Projects, Datasets, Models)}  # a new entry is the user's own


def public(kind: type) -> set[str]:
    return {name for one in kind.__mro__ for name, value in vars(one).items() if isfunction(value) and name[0] != "_"}


def test_no_public_method_changes_what_is_somebody_elses(team: Open, images: str) -> None:
    """Every public method of every collection is a reader or is refused here. A new one fails until it stands here."""
    ada, bob = team("ada"), team("bob")
    of = entries(ada, images)
    ada.projects.add_member(of.project.id, "carl")
    calls = mutations(bob, of, images)
    for kind in (Runs, Projects, Configs, Datasets, Models, Revisions, Proofs, Executors, Events, MetricReader, Users):
        reads = READS[Collection] if issubclass(kind, Collection) else READS[kind]
        changing = {method for of_kind, method in {*calls, *FREE} if of_kind is kind}
        unknown = public(kind) - reads - changing - (MANY if kind is Runs else set())
        assert not unknown, f"{kind.__name__}: methods that no test of rights knows: {unknown}"
    before = stored(bob.settings)
    for (kind, method), call in calls.items():
        with pytest.raises(ForbiddenError) as refused:
            call()
        asked = refused.value.data["admins"] if kind is Users else [refused.value.data["owner"]]
        assert asked == ["ada"], (kind, method)
        assert "ada" in str(refused.value)
    after = stored(bob.settings)
    events = [event for event in after.pop("audit_events") if event["user"] == "bob"]
    assert after == {name: rows for name, rows in before.items() if name != "audit_events"}
    assert all(event["refused"] for event in events)
    assert {(event["kind"], event["action"]) for event in events} >= {
        ("run", "stopped"), ("run", "resumed"), ("run", "edited"), ("run", "deleted"), ("project", "joined"),
        ("project", "edited"), ("config", "deleted"), ("dataset", "rescanned"), ("model", "edited"),
        ("user", "edited"), ("dataset", "corrected"),
    }  # fmt: skip


def test_of_many_runs_those_of_others_stay(team: Open, images: str) -> None:
    ada, bob = team("ada"), team("bob")
    of, own = entries(ada, images), bob.runs.submit(SubmitRequest(config=CONFIG)).id
    before = ada.runs.get(of.run.id)
    edit = RunsEdit(runs=[of.run.id, own], edit=RunEdit(add_tags=["x"]))
    reply = bob.runs.edit_many(RunEdits(edits=[edit]))
    assert ([run.id for run in reply.changed], [(one.run, one.reason) for one in reply.refused]) == (
        [own], [(of.run.id, "not_yours")]
    )  # fmt: skip
    assert ada.runs.get(of.run.id) == before
    refused = [event for event in ada.events.list(run=of.run.id) if event.refused]
    assert [(event.user, event.action) for event in refused] == [("bob", "edited")]


def test_readers_write_nothing(team: Open, images: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = team("ada")
    of = entries(store, images)

    def written(_self: Database) -> None:
        raise AssertionError("a reader opened a transaction that writes")

    monkeypatch.setattr(Database, "write", written)
    store.runs.get(of.run.id), store.runs.list(owner="ada"), store.runs.by_id([of.run.id]), store.runs.by_key("k")
    store.runs.changed_since(0, {}), store.runs.lost_attempts(of.run.id)
    store.runs.last_scan("/data"), store.runs.log(of.run.id), store.executors.status(), store.events.list()
    store.users.list(), store.users.get("ada")
    store.revisions.list(of.dataset.id), store.revisions.diff(of.dataset.id, 1), store.revisions.newest(of.dataset.id)
    for collection in (store.projects, store.configs, store.datasets, store.models):
        collection.list(), collection.find("1"), collection.named("pets")


def test_everybody_sees_and_members_change(team: Open, images: str) -> None:
    ada, bob, carl = team("ada"), team("bob"), team("carl")
    of = entries(ada, images)
    project = ada.projects.add_member(of.project.id, "carl")
    assert (project.owner, project.members) == ("ada", ["carl"])
    assert {(s.runs.get(of.run.id).may_change, s.runs.get(of.run.id).owner) for s in (ada, carl)} == {(True, "ada")}
    assert bob.runs.get(of.run.id).may_change is False
    assert [s.projects.find("pets").may_change for s in (ada, bob, carl)] == [True, False, True]
    assert [s.projects.find("pets").may_manage for s in (ada, bob, carl)] == [True, False, False]
    assert [s.configs.find("small").may_change for s in (ada, bob, carl)] == [True, False, True]
    assert [s.models.find("tiny").may_change for s in (ada, bob, carl)] == [True, False, False]

    carl.runs.edit(of.run.id, RunEdit(priority=3))
    of_carl = carl.runs.submit(SubmitRequest(config=CONFIG, project_id=of.project.id))
    assert of_carl.owner == "carl"
    ada.runs.edit(of_carl.id, RunEdit(notes="seen"))  # the project's owner may, too
    with pytest.raises(ForbiddenError):
        carl.projects.add_member(of.project.id, "bob")
    with pytest.raises(ForbiddenError):
        carl.projects.delete(of.project.id)
    ada.projects.remove_member(of.project.id, "carl")
    with pytest.raises(ForbiddenError):
        carl.runs.set_desired_state(of.run.id, DesiredState.STOP)
    assert carl.runs.set_desired_state(of_carl.id, DesiredState.STOP).state is RunState.CANCELLED
    with pytest.raises(NotFoundError):
        ada.projects.remove_member(of.project.id, "carl")


def test_an_audit_by_another_user_takes_no_results_away(team: Open, images: str) -> None:
    ada, bob = team("ada"), team("bob")
    dataset = ada.datasets.add(DatasetEdit(name="cats", root=images)).id
    own = ada.audits.start(dataset).run_id
    assert own is not None
    results.write_summary(ada.settings.run_dir(own), results.Summary(root=images, stages=["files"], counts={"dark": 3}))
    with pytest.raises(NotFoundError):
        bob.audits.cancel(dataset)  # it is none of his
    others = bob.audits.start(dataset).run_id
    assert [store.audits.view(dataset).run_id for store in (ada, bob)] == [own, others]
    assert (ada.audits.view(dataset).counts, bob.audits.view(dataset).counts) == ({"dark": 3}, {})
    assert ada.audits.cancel(dataset).state is RunState.CANCELLED
    assert bob.audits.view(dataset).state is RunState.QUEUED


def test_what_nobody_owns_anybody_changes_and_nobody_takes(team: Open) -> None:
    ada, bob = team("ada"), team("bob")
    run = ada.runs.submit(SubmitRequest(config=CONFIG))
    default = bob.projects.find("default")
    assert (default.owner, default.may_change) == ("", True)
    with pytest.raises(ConflictError):
        bob.projects.add_member(default.id, "bob")  # it would give bob a say in everybody's runs
    with pytest.raises(ForbiddenError):
        bob.runs.set_desired_state(run.id, DesiredState.STOP)
    with ada.database.connection() as connection:
        connection.exec_driver_sql("UPDATE runs SET owner = ''")
    assert bob.runs.set_desired_state(run.id, DesiredState.STOP).state is RunState.CANCELLED


def test_a_run_is_moved_into_ones_own_projects_only(team: Open) -> None:
    ada, bob = team("ada"), team("bob")
    project = ada.projects.add(ProjectEdit(name="pets"))
    run = bob.runs.submit(SubmitRequest(config=CONFIG))
    with pytest.raises(ForbiddenError):
        bob.runs.edit(run.id, RunEdit(project_id=project.id))
    ada.projects.add_member(project.id, "bob")
    assert bob.runs.edit(run.id, RunEdit(project_id=project.id)).project == "pets"
    moved = bob.events.list(run=run.id)[0]
    assert moved.details == {"changed": {"project": ["default", "pets"]}}


def test_the_rule_itself() -> None:
    bob = Rights("bob", False, frozenset({7}))
    assert bob.may_change("bob")
    assert bob.may_change("")
    assert bob.may_change("ada", 7)
    assert not bob.may_change("ada", 8)
    assert not bob.may_change("ada")
    assert Rights("bob", True, frozenset()).may_change("ada", 8)


def test_a_file_of_ones_own_is_all_ones_own(sqlite: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite file has mode 0600. Its rows may name the same person otherwise, as under a hub or after a move."""
    run = sqlite.runs.submit(SubmitRequest(config=CONFIG))
    assert run.owner == user_name()
    monkeypatch.setenv("JUPYTERHUB_USER", "somebody")
    with Store.open(sqlite.settings) as other:
        assert other.runs.get(run.id).may_change
        assert other.runs.set_desired_state(run.id, DesiredState.STOP).state is RunState.CANCELLED
        assert other.events.list()[0].user == "somebody"


def test_a_training_of_a_kernel_is_its_users_and_gets_into_nobody_elses_project(team: Open) -> None:
    team("ada").projects.add(ProjectEdit(name="pets"))
    bob = team("bob")
    run_id, other = (external(bob, None, project=name) for name in ("pets", "of bob"))
    with Store.open(bob.settings, way="executor") as daemon:
        daemon.database.actor = replace(daemon.database.actor, user="bob")
        for folder in (run_id, other):
            write(bob, folder, 1, started())
            assert run_folders.adopt(daemon.database, daemon.settings, folder)
    assert [(bob.runs.get(i).owner, bob.runs.get(i).project) for i in (run_id, other)] == [
        ("bob", "default"), ("bob", "of bob"),
    ]  # fmt: skip
    assert bob.projects.find("of bob").owner == "bob"
    (launched,) = bob.events.list(run=run_id)
    assert (launched.action, launched.user, launched.way) == ("launched", "bob", "python")


# ── owners ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_lists_are_of_one_owner(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {}
    for user in ("ada", "bob", "carl"):
        monkeypatch.setenv("JUPYTERHUB_USER", user)
        with Store.open(store.settings) as own:
            names[user] = [own.runs.submit(SubmitRequest(config=CONFIG, name=f"{user} {n}")).name for n in range(3)]
            own.runs.set_desired_state(own.runs.list(where=f'"{user} 1"').items[0].id, DesiredState.STOP)
    page = store.runs.list(owner="bob", sort="name", descending=False)
    assert [run.name for run in page.items] == names["bob"]
    assert page.counts == {RunState.QUEUED: 2, RunState.CANCELLED: 1}
    assert page.total == 3
    assert page.owners == ["ada", "bob", "carl"]
    waiting = store.runs.list(owner="bob", states=[RunState.QUEUED], limit=1)
    assert (len(waiting.items), waiting.total) == (1, 2)
    assert store.runs.list(owner="nobody").items == []
    assert store.runs.list().total == 9


def test_a_long_list_of_one_owner_is_read_along_an_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgcls_lab.store.queries.MANY", 1)
    test_lists_are_of_one_owner(store, monkeypatch)


def test_a_rebuild_keeps_owners_and_members(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    with Store.open(store.settings) as ada:
        project = ada.projects.add(ProjectEdit(name="pets"))
        ada.projects.add_member(project.id, "carl")
        run = ada.runs.submit(SubmitRequest(config=CONFIG, project_id=project.id))
    assert json.loads((store.settings.run_dir(run.id) / "run.json").read_text())["row"]["owner"] == "ada"
    store.database.close()
    with store.database.connection() as connection:
        for table in ("audit_events", "project_members", "run_counts", "runs", "configs", "projects"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    if store.database.is_sqlite:  # of a server, a home's folders are its user's
        monkeypatch.delenv("JUPYTERHUB_USER")
    assert rebuild(store.settings).problems == []
    assert store.runs.get(run.id).owner == "ada"
    found = store.projects.find("pets")
    assert (found.owner, found.members) == ("ada", ["carl"])


def test_a_folder_gives_a_run_to_nobody_else(store: Store) -> None:
    """A record of a later revision is taken over by a rebuild, but for whose the run is."""
    run = store.runs.submit(SubmitRequest(config=CONFIG))
    path = store.settings.run_dir(run.id) / "run.json"
    record = json.loads(path.read_text())
    record["row"] |= {"owner": "mallory", "revision": 10**6, "priority": 7}
    path.write_text(json.dumps(signing.signed_info(store.settings.home_path, record)))
    rebuild(store.settings)
    again = store.runs.get(run.id)
    assert (again.priority, again.owner) == (7, user_name())


# ── the record of who did what ──────────────────────────────────────────────────────────────────────────────────────
def test_each_act_is_recorded_with_who_when_and_how(store: Store, images: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    with Store.open(store.settings, way="panel") as ada:
        of = entries(ada, images)
        ada.runs.edit(of.run.id, RunEdit(priority=5, notes=""))
        ada.runs.set_desired_state(of.run.id, DesiredState.STOP)
        ada.runs.set_desired_state(of.run.id, DesiredState.STOP)  # asking twice is asking once
        ada.runs.resume(of.run.id, {"num_workers": 0})
        ada.runs.set_desired_state(of.run.id, DesiredState.KILL)
        ada.runs.delete(of.run.id)
        ada.models.edit(of.model.id, ModelEdit(name="tiny", flavour="org/tiny"))  # no change, no event
    events = store.events.list(run=of.run.id)  # the run is gone, its events are not
    acts = [event.action for event in reversed(events)]
    assert acts == ["launched", "edited", "stopped", "resumed", "killed", "deleted"]
    assert {(event.user, event.way, event.subject_name, event.refused) for event in events} == {
        ("ada", "panel", "first", False)
    }
    assert events[-2].details == {"changed": {"priority": [0, 5]}}
    assert events[2].details["changed"]["num_workers"][1] == 0
    assert all("ada" in event.text and "panel" in event.text for event in events)
    assert {(event.kind, event.action) for event in store.events.list(user="ada")} >= {
        ("project", "added"), ("config", "added"), ("dataset", "added"), ("model", "added"),
    }  # fmt: skip
    assert store.events.list(user="bob") == []
    assert store.events.list(since=events[0].time + 60) == []
    newest = store.events.list(limit=2)
    assert [event.id for event in store.events.list(before=newest[1].id, limit=1)] == [newest[1].id - 1]


def test_an_act_that_fails_leaves_no_event(store: Store, submit: Callable[..., str], monkeypatch: Any) -> None:
    run_id = submit()
    before = store.events.list()

    def full(_session: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("imgcls_lab.store.database._count_changes", full)
    with pytest.raises(OSError, match="no space"):
        store.runs.set_desired_state(run_id, DesiredState.STOP)
    monkeypatch.undo()
    assert store.runs.get(run_id).state is RunState.QUEUED
    assert store.events.list() == before


def test_what_was_refused_is_recorded_once_a_minute(team: Open) -> None:
    ada, bob = team("ada"), team("bob")
    run = ada.runs.submit(SubmitRequest(config=CONFIG))
    for _ in range(5):
        with pytest.raises(ForbiddenError):
            bob.runs.set_desired_state(run.id, DesiredState.STOP)
    with pytest.raises(ForbiddenError):
        bob.runs.delete(run.id)
    refused = [event for event in ada.events.list(run=run.id) if event.refused]
    assert [(event.user, event.action) for event in refused] == [("bob", "deleted"), ("bob", "stopped")]


def test_the_executors_own_acts_are_its(store: Store, submit: Callable[..., str]) -> None:
    first = submit()
    second = submit(after=[first])
    with Store.open(store.settings, way="executor") as own:
        with own.database.write() as session:
            attempts.claim(session, "there", "there-1", lambda _run: ["cpu:0"])
        with own.database.write() as session:
            attempts.finish(session, first, 1, Verdict(RunState.LOST, message="Its process died"), None)
        own.runs.set_desired_state(first, DesiredState.STOP)
        with own.database.write() as session:
            queue.settle(session, queue.to_settle(session, {"there"}))
    done = [event.action for event in reversed(store.events.list(run=first))]
    assert done[:3] == ["launched", "started", "requeued"]
    requeued = next(event for event in store.events.list(run=first) if event.action == "requeued")
    assert (requeued.way, requeued.details) == ("executor", {"reason": "Its process died"})
    assert "executor" in requeued.text
    assert store.runs.get(second).state is RunState.CANCELLED
    cancelled = store.events.list(run=second, limit=1)[0]
    assert (cancelled.action, cancelled.way) == ("cancelled", "executor")


def test_the_record_is_bounded(store: Store, submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PRUNE_EVERY", 10)
    store.database.audit_kept = 20
    run_id = submit()
    for number in range(60):
        store.runs.edit(run_id, RunEdit(priority=number % 2 + 1))
    assert 20 <= len(store.events.list(limit=1000)) < 20 + 10
    long = "x" * 5000
    store.runs.edit(run_id, RunEdit(notes=long))
    assert len(json.dumps(store.events.list(limit=1)[0].details)) < 600


def test_a_user_is_of_the_process_and_not_of_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import pwd

    monkeypatch.setenv("USER", "mallory")
    monkeypatch.setenv("LOGNAME", "mallory")
    assert user_name() == pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.setattr(os, "geteuid", lambda: 987_654_321)
    assert user_name() == "987654321"
    monkeypatch.setenv("JUPYTERHUB_USER", "ada@uni")
    assert user_name() == "ada@uni"


@pytest.mark.parametrize("action", sorted(audit.ACTIONS))
def test_a_refused_event_names_its_object_once(action: str) -> None:
    event = AuditEvent(
        time=0, user="ada", host="vm", way="cli", action=action, refused=True, kind="project", details={}
    )
    assert audit.sentence(event).split().count("it,") + audit.sentence(event).split().count("it") == 1
    assert not re.search(r"to a member it|again it|up it", audit.sentence(event))
