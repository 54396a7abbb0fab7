"""Proofs over REST: a verification is queued once, its certificate is read, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving import Api, Training

from imgcls_lab.events import DesiredState, Finished
from imgcls_lab.schemas import Bisection, Certificate, Difference
from imgcls_lab.server.paths import configs_of, executes_code
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.store.claims import named_plugins


@pytest.fixture
def trained(train: Callable[..., Training]) -> Training:
    return ended(train())


def ended(run: Training) -> Training:
    run.points(*range(1, 11))
    run.end(Finished(step=10, best_epoch=1, values={}))
    return run


async def test_a_verification_is_queued_once_and_its_certificate_is_read(
    api: Api, store: Store, trained: Training
) -> None:
    place = f"runs/{trained.run.id}/verification"
    assert (await api("GET", place)).json == {"certificate": None, "task": None}
    made = await api("POST", place, {"steps": 5})
    assert (made.status, made.json["kind"], made.json["state"]) == (201, "task", "queued")
    assert (await api("POST", place)).json["id"] == made.json["id"]
    task = store.runs.get(made.json["id"])
    assert task.payload["verify"]["run"] == trained.run.id
    assert task.payload["verify"]["request"] == {"steps": 5, "at": ""}
    (trained.folder / "certificate.json").write_text("{}")
    assert (await api("GET", place)).json["certificate"] is None
    found = Certificate(
        run=trained.run.id, identical=False, checkpoint="", from_step=0, last_step=5, steps=5, hashes=3, first_step=2,
        differences=[Difference(kind="threads", text="threads is 2 and was 1")], sentence="Step 2 …", remedy="",
        made_at=1.0,
    )  # fmt: skip
    (trained.folder / "certificate.json").write_text(found.model_dump_json())
    read = (await api("GET", place)).json
    assert (read["certificate"], read["task"]["id"]) == (found.model_dump(mode="json"), made.json["id"])


@pytest.mark.parametrize("body", [{"steps": 0}, {"steps": 10**9}, {"at": "x" * 201}, {"path": "/etc"}])
async def test_what_is_no_verification_is_refused(api: Api, trained: Training, body: dict[str, Any]) -> None:
    reply = await api("POST", f"runs/{trained.run.id}/verification", body)
    assert reply.status == 400, reply.json


async def test_a_run_that_waits_and_one_that_is_not_there(api: Api, config: dict[str, Any]) -> None:
    waiting = (await api("POST", "runs", {"config": config})).json["id"]
    reply = await api("POST", f"runs/{waiting}/verification")
    assert reply.status == 409
    assert "Verify it when it has ended" in reply.json["message"]
    assert (await api("POST", "runs/20260101-000000-aaaaaa/verification")).status == 404
    assert (await api("GET", "runs/20260101-000000-aaaaaa/verification")).status == 404


async def test_a_search_is_queued_once_in_either_order_and_what_it_finds_is_read(
    api: Api, store: Store, train: Callable[..., Training], trained: Training
) -> None:
    one, other = trained.run.id, ended(train(lr=0.5)).run.id
    assert (await api("GET", f"runs/{one}/bisection", against=other)).json == {"found": None, "task": None}
    made = await api("POST", f"runs/{one}/bisection", {"against": other})
    assert (made.status, made.json["kind"], made.json["state"]) == (201, "task", "queued")
    assert (await api("POST", f"runs/{other}/bisection", {"against": one})).json["id"] == made.json["id"]
    third = ended_behind(store, train, made.json["id"])
    assert (await api("GET", f"runs/{one}/bisection", against=third)).json == {"found": None, "task": None}
    assert [each["run"] for each in store.runs.get(made.json["id"]).payload["bisect"]["runs"]] == [one, other]
    found = Bisection(
        one=one, other=other, first_step=3, after_step=0, replays=4, part="rate", name="lr", differences=[],
        sentence="Step 3 …",
    )  # fmt: skip
    file = store.settings.run_dir(made.json["id"]) / "bisection.json"
    for stale in ("{", found.model_copy(update={"other": third}).model_dump_json()):
        file.write_text(stale)
        assert (await api("GET", f"runs/{one}/bisection", against=other)).json["found"] is None
    file.write_text(found.model_dump_json())
    for before, after in ((one, other), (other, one)):
        read = (await api("GET", f"runs/{before}/bisection", against=after)).json
        assert (read["found"], read["task"]["id"]) == (found.model_dump(mode="json"), made.json["id"])


def ended_behind(store: Store, train: Callable[..., Training], task: str) -> str:
    """Another training that has ended; the task that waits lets it past."""
    store.runs.set_desired_state(task, DesiredState.STOP)
    return ended(train()).run.id


async def test_runs_that_cannot_be_searched_are_refused(api: Api, config: dict[str, Any], trained: Training) -> None:
    one, unknown = trained.run.id, "20260101-000000-aaaaaa"
    waiting = (await api("POST", "runs", {"config": config})).json["id"]
    for before, after, status in (
        (one, one, 400), (one, waiting, 409), (waiting, one, 409), (one, unknown, 404), (unknown, one, 404),
        (one, "../x", 404),
    ):  # fmt: skip
        reply = await api("POST", f"runs/{before}/bisection", {"against": after})
        assert reply.status == status, (before, after, reply.json)
    for body in ({}, {"against": 3}, {"against": "x" * 201}, {"against": waiting, "steps": 3}):
        assert (await api("POST", f"runs/{one}/bisection", body)).status == 400, body
    assert (await api("GET", f"runs/{one}/bisection")).status == 400
    assert (await api("GET", f"runs/{one}/bisection", against=unknown)).status == 404


async def test_a_search_executes_the_plugins_of_either_run(
    api: Api, store: Store, settings: Settings, train: Callable[..., Training], trained: Training
) -> None:
    plugin = Path(settings.datasets_dir) / "plugin.py"
    plugin.write_text("")
    plain, other = ended(train()).run.id, ended(train(plugins=[str(plugin)])).run.id
    for before, after in ((plain, other), (other, plain)):
        reply = await api("POST", f"runs/{before}/bisection", {"against": after})
        assert reply.status == 403, "this server takes no plugins"
        task = store.runs.get(store.proofs.bisect(before, after).id)
        assert executes_code(task)
        assert named_plugins(task) == [str(plugin)]
        assert [each.get("plugins") for each in configs_of(task)].count([str(plugin)]) == 1
        store.runs.set_desired_state(task.id, DesiredState.STOP)
    task = store.runs.get(store.proofs.bisect(plain, trained.run.id).id)
    assert (executes_code(task), named_plugins(task)) == (False, [])
