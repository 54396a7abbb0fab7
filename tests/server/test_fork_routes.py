"""Runs as a tree over REST: fork, the tree, the curve that a fork has from its parent, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from serving import Api, Training

from imgcls_lab.events import CheckpointSaved, Finished
from tests.forkable import write_checkpoint


@pytest.fixture
def trained(train: Callable[..., Training]) -> Training:
    """A run of an epoch, with a checkpoint behind it."""
    run = train()
    run.points(*range(1, 11))
    write_checkpoint(run.folder / "checkpoints/a001-s00000010", step=10, epoch=1)
    (run.folder / "manifest.json").write_text("{}")
    run.write(CheckpointSaved(step=10, epoch=1, folder="checkpoints/a001-s00000010", links=("best", "last")))
    run.end(Finished(step=10, best_epoch=1, values={}))
    return run


async def test_a_run_is_forked_and_the_tree_and_its_past_are_read(api: Api, trained: Training) -> None:
    run = trained.run.id
    made = await api("POST", f"runs/{run}/fork", {"at": "last", "fields": {"epochs": 9}})
    assert made.status == 201, made.json
    child = made.json
    assert (child["parent_id"], child["lineage"], child["epochs"]) == (run, run, 9)
    again = await api("POST", f"runs/{run}/fork", {"at": "last", "fields": {"epochs": 9}, "name": "another name"})
    assert (again.status, again.json["id"]) == (200, child["id"])
    assert (child["made"], again.json["made"]) == (True, False)
    for one in (run, child["id"]):
        assert [item["id"] for item in (await api("GET", f"runs/{one}/lineage")).json] == [run, child["id"]]
    reply = (await api("GET", "series", run=child["id"], tag="loss/train")).json
    (past,) = reply["inherited"]
    assert past["run_id"] == child["id"]
    assert past["step"] == (await api("GET", "series", run=run, tag="loss/train")).json["series"][0]["step"]
    assert reply["series"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"at": "epoch 99"}, 404),
        ({"at": ""}, 400),
        ({"at": "x" * 201}, 400),
        ({"on_schedule": "sometimes"}, 400),
        ({"fields": {"seed": 9, "epochs": 9}}, 400),
        ({"fields": {"nothing": 1}}, 400),
        ({"fields": {"plugins": ["/x.py"]}}, 403),
        ({"fields": {"root": "/etc"}}, 403),
    ],
)
async def test_what_cannot_be_forked_is_refused(api: Api, trained: Training, body: dict[str, Any], status: int) -> None:
    reply = await api("POST", f"runs/{trained.run.id}/fork", body)
    assert reply.status == status, reply.json
    asked = await api("POST", f"runs/{trained.run.id}/fork/preview", body)
    if status == 400 and "fields" in body:  # the form says it beside the field
        assert (asked.status, asked.json["problems"]) == (200, reply.json["problems"])
        assert asked.json["problems"]
    else:
        assert asked.status == status, asked.json


async def test_a_preview_has_both_schedules_and_queues_nothing(api: Api, trained: Training) -> None:
    (trained.folder / "manifest.json").write_text(json.dumps({"data": {"train_images": 40}, "processes": 1}))
    reply = await api("POST", f"runs/{trained.run.id}/fork/preview", {"fields": {"epochs": 9}})
    assert (reply.status, reply.json["epoch"]) == (200, 1.0)
    for schedule in ("continued", "restarted"):
        curve = reply.json[schedule]
        assert (curve["epoch"][0], curve["epoch"][-1]) == (1.0, 8.9)
        assert len(curve["lr"]) == len(curve["epoch"])
    assert reply.json["continued"] != reply.json["restarted"]
    assert (await api("GET", "runs")).json["total"] == 1


async def test_a_run_without_a_checkpoint_and_one_that_is_not_there(api: Api, config: dict[str, Any]) -> None:
    waiting = (await api("POST", "runs", {"config": config})).json["id"]
    assert (await api("POST", f"runs/{waiting}/fork")).status == 409
    assert (await api("POST", "runs/20260101-000000-aaaaaa/fork")).status == 404
    assert (await api("GET", "runs/20260101-000000-aaaaaa/lineage")).status == 404
