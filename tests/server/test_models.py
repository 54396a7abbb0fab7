"""Models over REST: the hub's cache, a checkpoint as a model, an export into a folder below the allowed roots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving import Api, Training

from imgcls_lab.events import CheckpointSaved, EpochEnded, Finished, RunKind
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store


@pytest.fixture
def trained(train: Callable[..., Training]) -> Training:
    """A run with one checkpoint, which is its best."""
    run = train()
    folder = run.folder / "checkpoints" / "a001-s00000010"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "resnet", "architectures": ["R"]}')
    run.points(10)
    values = {"metric/accuracy": 0.5, "loss/val": 1.0}
    run.write(EpochEnded(epoch=1, step=10, values=values, seconds=1.0, best=True))
    run.write(CheckpointSaved(step=10, epoch=1, folder="checkpoints/a001-s00000010", links=("best", "last")))
    run.end(Finished(step=10, best_epoch=1, values={}))
    return run


async def test_a_checkpoint_is_registered_by_its_run(api: Api, trained: Training) -> None:
    run = trained.run
    made = await api("POST", "models/checkpoints", {"run_id": run.id})
    assert made.status == 201
    assert (made.json["made_by"]["run_id"], made.json["made_by"]["epoch"]) == (run.id, 1)
    assert (made.json["facts"]["place"], made.json["facts"]["architecture"]) == ("folder", "R")
    assert (await api("GET", "models")).json == [made.json]
    assert (await api("POST", "models/checkpoints", {"run_id": run.id})).status == 409
    for body in ({"run_id": run.id, "checkpoint": "../.."}, {"run_id": "20260101-000000-abcdef"}):
        assert (await api("POST", "models/checkpoints", body)).status == 404, body
    assert (await api("GET", "models/cached")).json == []


async def test_an_export_is_a_task_that_writes_below_the_allowed_roots(
    api: Api, trained: Training, settings: Settings, store: Store, tmp_path: Path
) -> None:
    run = trained.run.id
    models = str(settings.models_dir)
    reply = await api("POST", "exports", {"run_id": run, "folder": models, "name": "production"})
    assert reply.status == 201
    task = store.runs.get(reply.json["id"])
    assert (task.kind, task.payload["export"]["out"]) == (RunKind.TASK, f"{models}/production")
    assert task.payload["export"]["folder"].endswith("checkpoints/a001-s00000010")
    made = await api("POST", "models/checkpoints", {"run_id": run})
    assert made.json["runs"] == 0, "an export is no run that began with it"
    refused: list[tuple[dict[str, Any], int]] = [
        ({"run_id": run, "folder": str(tmp_path / "outside"), "name": "x"}, 403),
        ({"run_id": run, "folder": "/etc", "name": "x"}, 403),
        ({"run_id": run, "folder": models, "name": "../x"}, 400),
        ({"run_id": run, "folder": models, "name": ".x"}, 400),
        ({"run_id": run, "folder": models, "name": "a\0b"}, 400),
        ({"run_id": run, "folder": models, "name": "tiny"}, 409),
        ({"run_id": run, "model_id": 1, "folder": models, "name": "x"}, 400),
        ({"folder": models, "name": "x"}, 400),
        ({"model_id": 99, "folder": models, "name": "x"}, 404),
        ({"run_id": run, "checkpoint": "none", "folder": models, "name": "x"}, 404),
        ({"run_id": run, "folder": models, "name": "x", "form": "pickle"}, 400),
    ]
    for body, status in refused:
        assert (await api("POST", "exports", body)).status == status, body
    outside = tmp_path / "outside"
    outside.mkdir(exist_ok=True)
    (settings.models_dir / "link").symlink_to(outside)
    body = {"run_id": run, "folder": f"{models}/link", "name": "x"}
    assert (await api("POST", "exports", body)).status == 403
    assert len([item for item in store.runs.list().items if item.kind is RunKind.TASK]) == 1


async def test_a_folder_for_models_is_chosen_among_the_roots_of_both(api: Api, model: Path) -> None:
    roots = [folder["name"] for folder in (await api("GET", "folders")).json["folders"]]
    both = (await api("GET", "folders", of="models")).json["folders"]
    assert [folder["name"] for folder in both] == [*roots, str(model.parent.resolve())]
    page = (await api("GET", "folders", id=both[-1]["id"])).json
    assert (page["root"], [folder["name"] for folder in page["folders"]]) == (str(model.parent.resolve()), ["tiny"])
