"""Corrections over REST: add, list, compare, undo; training on them; and what a request may not name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from serving import Api

from imgcls_lab.schemas import DatasetEdit
from imgcls_lab.schemas.revisions import MAX_CHANGES
from imgcls_lab.store import Store


@pytest.fixture
def place(store: Store, images: Path) -> str:
    return f"datasets/{store.datasets.add(DatasetEdit(name='pets', root=str(images))).id}/revisions"


def image(images: Path, name: str) -> str:
    return hashlib.sha256((images / name).read_bytes()).hexdigest()


async def test_corrections_are_added_listed_compared_and_undone(api: Api, images: Path, place: str) -> None:
    assert (await api("GET", place)).json == []
    five = image(images, "train/cat/5.png")  # no other file has its content
    body = {"changes": [{"image": five, "label": "dog", "why": "label_error"}], "parent": 0, "message": "seen"}
    made = await api("POST", place, body)
    assert (made.status, made.json["number"], made.json["relabelled"]) == (201, 1, 1)
    stale = await api("POST", place, {**body, "changes": [{"image": five, "excluded": True}]})
    assert stale.status == 409
    diff = (await api("GET", f"{place}/1")).json
    assert diff["changes"] == [
        {"image": five, "name": "train/cat/5.png", "split": "train", "before": "cat", "label": "dog",
         "why": "label_error", "found": True},
    ]  # fmt: skip
    undone = await api("POST", f"{place}/1/undo")
    assert (undone.status, undone.json["restored"]) == (201, 1)
    assert [item["number"] for item in (await api("GET", place)).json] == [2, 1]
    assert (await api("GET", f"{place}/2", against=0)).json["changes"] == []
    for reply in (made, stale, await api("GET", place), await api("GET", f"{place}/1")):
        assert str(images) not in reply.body.decode()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"changes": []}, 400),
        ({"changes": [{"image": "../../etc/passwd", "excluded": True}]}, 400),
        ({"changes": [{"image": "A" * 64, "excluded": True}]}, 400),
        ({"changes": [{"image": "0" * 64, "excluded": True}]}, 400),
        ({"changes": [{"image": "0" * 64, "label": "dog", "path": "/etc/passwd"}]}, 400),
        ({"changes": [{"image": "0" * 64, "label": "x" * 201}]}, 400),
        ({"changes": [{"image": "0" * 64, "excluded": True}], "parent": 9}, 400),
        ({"changes": [{"image": "0" * 64, "excluded": True}] * (MAX_CHANGES + 1)}, 400),
    ],
)
async def test_what_is_no_correction_is_refused(api: Api, place: str, body: dict[str, Any], status: int) -> None:
    reply = await api("POST", place, body)
    assert reply.status == status
    assert (await api("GET", place)).json == []


async def test_numbers_that_are_none_are_not_found(api: Api, place: str) -> None:
    for path in ("datasets/9/revisions", f"{place}/7", f"{place}/0", f"{place}/x", f"{place}/{'9' * 30}"):
        assert (await api("GET", path)).status == 404, path
    assert (await api("POST", f"{place}/3/undo")).status == 404
    assert (await api("GET", f"{place}/1", against="x")).status == 400


async def test_a_run_is_submitted_with_corrections_and_names_no_file_outside(
    api: Api, store: Store, images: Path, place: str, config: dict[str, Any], tmp_path: Path
) -> None:
    body = {"changes": [{"image": image(images, "train/cat/5.png"), "label": "dog"}]}
    await api("POST", place, body)
    made = await api("POST", "runs", {"config": {**config, "data_revision": 1}})
    assert made.status == 201
    detail = (await api("GET", f"runs/{made.json['id']}")).json
    assert (detail["data_revision"], detail["later_revisions"]) == (1, [])
    assert (await api("POST", "runs", {"config": {**config, "data_revision": 2}})).status == 404
    outside = tmp_path / "corrections.json"
    outside.write_text(store.revisions.overlay(1, 1).to_json())
    for path in (str(outside), "/etc/passwd", str(images)):
        refused = await api("POST", "runs", {"config": {**config, "data_revision": path}})
        assert refused.status in (400, 403), path
        assert [problem["field"] for problem in refused.json["problems"]] == ["data_revision"]
    since = f"runs/{made.json['id']}/corrections"
    assert (await api("GET", since)).json["total"] == 0
    await api("POST", place, {"changes": [{"image": image(images, "train/cat/5.png"), "excluded": True}]})
    found = (await api("GET", since)).json
    assert (found["against"], found["excluded"], found["relabelled"], found["total"]) == (1, 1, 0, 1)
    assert (await api("GET", "runs/20260101-000000-aaaaaa/corrections")).status == 404
    again = await api("POST", f"runs/{made.json['id']}/retrain")
    assert again.status == 409  # it has no checkpoint
    for fields in ({"plugins": ["/x.py"]}, {"root": "/etc"}):
        assert (await api("POST", f"runs/{made.json['id']}/retrain", {"fields": fields})).status == 403
