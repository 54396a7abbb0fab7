"""Many runs in a shell: tagged, archived, moved, listed by a view, deleted with the bytes that it frees."""

from __future__ import annotations

import json

from cli.conftest import Command
from imgcls_lab import api
from imgcls_lab.api import context
from imgcls_lab.events import DesiredState
from imgcls_lab.schemas import ListView, SavedViewEdit, SubmitRequest
from imgcls_lab.settings import Settings


def made(number: int) -> list[str]:
    """Runs that were cancelled, by id."""
    runs = context.store().runs
    found = [
        runs.submit(SubmitRequest(config={"root": "/data", "lr": 0.1 * (n + 1)}, name=f"r{n}")).id
        for n in range(number)
    ]
    for run_id in found:
        runs.set_desired_state(run_id, DesiredState.STOP)
    return found


def test_runs_are_tagged_archived_moved_and_deleted_by_a_query(imgcls: Command, idle: Settings) -> None:
    first, second, third = made(3)
    done = imgcls("tag", "--where", "lr>0.15", "--add", "slow", "--json")
    assert done.code == 0, done.err
    assert {run["id"] for run in json.loads(done.out)["changed"]} == {second, third}
    assert imgcls("tag", third, "--remove", "slow", "--add", "x").code == 0
    assert api.run(third).tags == ["x"]
    assert imgcls("archive", "--where", "tag=slow").code == 0
    assert {run.id for run in api.runs()} == {first, third}
    assert imgcls("unarchive", "--where", "archived=true").code == 0
    assert imgcls("move", "birds", first, second).code == 0
    assert {run.view.project for run in api.runs(where="tag!=x")} == {"birds"}
    assert "slow" in imgcls("tags").out
    told = imgcls("delete", "--where", "tag=slow", "--dry-run", "--json")
    assert (told.code, json.loads(told.out)["deleted"]) == (0, [second])
    assert api.runs().total == 3
    gone = imgcls("delete", first, second, "nobody", "--yes", "--json")
    assert gone.code == 1
    reply = json.loads(gone.out)
    assert (reply["deleted"], [one["run"] for one in reply["refused"]], reply["freed"] > 0) == (
        [first, second], ["nobody"], True
    )  # fmt: skip
    assert [run.id for run in api.runs()] == [third]
    for wrong in (("tag", third), ("archive",), ("archive", third, "--where", "lr>1"), ("tag", third, "--add", "a b")):
        assert imgcls(*wrong).code == 2, wrong


def test_runs_are_stopped_and_resumed_by_a_query(imgcls: Command, idle: Settings) -> None:
    first, second, third = made(3)
    told = imgcls("resume", "--where", "lr>0.15", "--dry-run", "--json")
    assert {run["id"] for run in json.loads(told.out)["changed"]} == {second, third}
    assert {run.state for run in api.runs()} == {"cancelled"}
    done = imgcls("resume", "--where", "lr>0.15")
    assert (done.code, done.out) == (0, "2 runs queued again.\n")
    assert {run.id for run in api.runs(where="state=queued")} == {second, third}
    again = imgcls("resume", first, second, "--json")
    assert again.code == 1
    reply = json.loads(again.out)
    assert ([run["id"] for run in reply["changed"]], [one["run"] for one in reply["refused"]]) == ([first], [second])
    listed = imgcls("stop", "--where", "state=queued", "--dry-run")
    assert "3 runs would be asked to stop; nothing is changed." in listed.out
    assert all(run_id in listed.out for run_id in (first, second, third))
    assert imgcls("stop", "--where", "state=queued", "--wait").code == 0
    assert {run.state for run in api.runs()} == {"cancelled"}
    assert imgcls("kill", first, second, third).out == "3 runs asked to end now.\n"
    for wrong in (("stop",), ("resume", first, second, "--set", "num_workers=0"), ("kill", first, "--where", "lr>1")):
        assert imgcls(*wrong).code == 2, wrong


def test_a_dry_run_names_the_runs_and_changes_nothing(imgcls: Command, idle: Settings) -> None:
    first, second = made(2)
    assert imgcls("resume", second).code == 0
    before = [run.view for run in api.runs()]
    tried = imgcls("archive", first, second, "--dry-run")
    assert (tried.code, first in tried.out, f"{second} stays" in tried.err) == (1, True, True)
    assert imgcls("tag", "--where", "lr>0", "--add", "x", "--dry-run").code == 0
    moved = imgcls("move", "birds", first, "--dry-run")
    assert (moved.code, "would be made" in moved.err) == (0, True)
    assert [run.view for run in api.runs()] == before
    assert [project.name for project in context.store().projects.list()] == ["default"]
    assert "--where 'state=failed created<30d'" in imgcls("archive", "--help").out


def test_a_saved_view_is_listed_and_shown(imgcls: Command, idle: Settings) -> None:
    made(2)
    view = ListView(where="lr<0.15", columns=["optimizer", "curve", "size"], sort="lr", descending=False)
    context.store().views.save(SavedViewEdit(name="slow", view=view))
    assert "lr<0.15" in imgcls("views").out
    shown = imgcls("runs", "--view", "slow", "--columns", "weight_decay,tag")
    assert shown.code == 0, shown.err
    assert "r0" in shown.out
    assert "r1" not in shown.out
    frame = api.runs(view="slow").frame()
    assert list(frame["optimizer"]) == ["adamw"]
    assert imgcls("runs", "--view", "nothing").code != 0
    assert imgcls("views", "--delete", "slow").code == 0
    assert context.store().views.list() == []


def test_a_run_in_python_has_tags(idle: Settings) -> None:
    (run_id,) = made(1)
    run = api.run(run_id).tag("a", "b").untag("a").edit(archived=True)
    assert (run.tags, run.view.archived) == (["b"], True)
    assert run.edit(tags=["c"], archived=False).tags == ["c"]
    assert run.delete().deleted == [run_id]
