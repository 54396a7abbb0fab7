"""Changes of a run that trains over REST, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from serving import Api, Training

from imgcls_lab.events import Changed, Finished


async def test_a_run_is_changed_and_says_what_it_has_obeyed(api: Api, train: Callable[..., Training]) -> None:
    run = train()
    run.points(1, 2)
    lr = (await api("GET", f"runs/{run.run.id}")).json["config"]["lr"]
    body = {"lr_factor": 0.5, "fields": {"epochs": 9}, "key": "one request"}
    for _ in range(2):
        reply = await api("POST", f"runs/{run.run.id}/changes", body)
        assert reply.status == 200, reply.json
        assert [(each["field"], each["new"]) for each in reply.json["changes"]] == [("lr", lr / 2), ("epochs", 9)]
    about = {"epoch": 0.2, "epochs": 9, "total_steps": 90}
    run.write(Changed(number=1, step=2, field="lr", old=lr, new=lr / 2, **about))
    run.ingest()
    changes = (await api("GET", f"runs/{run.run.id}")).json["changes"]
    assert [each["step"] for each in changes] == [2, None]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"lr_factor": 0}, 400),
        ({"lr_factor": "fast"}, 400),
        ({"fields": {"seed": 1}}, 400),
        ({"fields": {"plugins": ["/x.py"]}}, 400),
        ({"fields": {"epochs": -1}}, 400),
        ({"fields": {"epochs": 5}, "more": 1}, 400),
        ({"fields": {"epochs": 5}, "key": "short"}, 400),
    ],
)
async def test_what_cannot_be_changed_is_refused(
    api: Api, train: Callable[..., Training], body: dict[str, Any], status: int
) -> None:
    reply = await api("POST", f"runs/{train().run.id}/changes", body)
    assert reply.status == status, reply.json


async def test_a_run_that_has_ended_and_one_that_is_not_there(api: Api, train: Callable[..., Training]) -> None:
    run = train()
    run.points(1, 2)
    run.end(Finished(step=2, best_epoch=0, values={}))
    assert (await api("POST", f"runs/{run.run.id}/changes", {"lr_factor": 2})).status == 409
    assert (await api("POST", "runs/20260101-000000-aaaaaa/changes", {"lr_factor": 2})).status == 404
