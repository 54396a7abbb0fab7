"""Proofs over REST: a verification is queued once, its certificate is read, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from serving import Api, Training

from imgcls_lab.events import Finished
from imgcls_lab.schemas import Certificate, Difference
from imgcls_lab.store import Store


@pytest.fixture
def trained(train: Callable[..., Training]) -> Training:
    run = train()
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
