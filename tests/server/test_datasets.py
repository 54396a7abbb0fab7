"""The routes of a data set's page: audits and problems."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from audit_steps import perform
from serving import Api

from imgcls_lab.events import RunKind
from imgcls_lab.store import Store


async def registered(api: Api, images: Path) -> int:
    (images / "train/cat/broken.jpg").write_bytes(b"<html>")
    made = await api("POST", "datasets", {"name": "pets", "root": str(images)})
    assert made.status == 201
    return int(made.json["id"])


async def test_a_registered_data_set_is_looked_at_without_a_training(api: Api, images: Path, store: Store) -> None:
    dataset = await registered(api, images)
    waiting = await api("GET", f"datasets/{dataset}/audit")
    assert (waiting.json["state"], waiting.json["counts"]) == ("queued", {})
    (run,) = store.runs.list().items
    assert (run.kind, run.devices) == (RunKind.TASK, [])
    await asyncio.to_thread(perform, store)
    done = (await api("GET", f"datasets/{dataset}/audit")).json
    assert (done["state"], done["phase"], done["leaks"], done["stale"]) == ("succeeded", "done", 4, False)
    assert {kind: done["counts"][kind] for kind in ("unreadable", "copy")} == {"unreadable": 1, "copy": 4}
    leaks = (await api("GET", f"datasets/{dataset}/problems", kind="copy", leak=1, limit=1)).json
    names = [image["name"] for image in leaks["items"][0]["images"]]
    assert names == ["train/cat/0.png", "train/dog/0.png", "val/cat/0.png", "val/dog/0.png"]
    assert leaks["total"] == 2
    unreadable = (await api("GET", f"datasets/{dataset}/problems", kind="unreadable")).json
    (problem,) = unreadable["items"]
    assert problem["images"][0]["name"] == "train/cat/broken.jpg"
    assert str(store.settings.home_path) not in str(unreadable)


async def test_a_second_audit_joins_the_first(api: Api, images: Path, store: Store) -> None:
    dataset = await registered(api, images)
    first = (await api("GET", f"datasets/{dataset}/audit")).json["run_id"]
    both = await asyncio.gather(api("POST", f"datasets/{dataset}/audit"), api("POST", f"datasets/{dataset}/rescan"))
    assert [reply.status for reply in both] == [201, 200]
    assert (await api("GET", f"datasets/{dataset}/audit")).json["run_id"] == first
    assert (await api("DELETE", f"datasets/{dataset}/audit")).json["state"] == "cancelled"
    assert (await api("DELETE", f"datasets/{dataset}/audit")).status == 404
    assert (await api("POST", f"datasets/{dataset}/audit")).json["run_id"] != first
    assert store.runs.list().total == 2


async def test_what_cannot_be_audited_is_said(api: Api, images: Path) -> None:
    dataset = await registered(api, images)
    audit = f"datasets/{dataset}/audit"
    assert (await api("POST", "datasets/77/audit")).status == 404
    assert (await api("POST", audit, {"model_id": 5})).status == 404
    assert (await api("POST", audit, {"run_id": "nonsense"})).status == 404
    assert (await api("POST", audit, {"run_id": "20260101-000000-aaaaaa"})).status == 404
    assert (await api("GET", f"datasets/{dataset}/problems", kind="ugly")).status == 400
    shutil.move(images, images.with_name("gone"))
    moved = await api("POST", audit)
    assert (moved.status, images.name in moved.json["message"]) == (400, True)
    assert (await api("GET", audit)).status == 200


async def test_a_folder_that_was_moved_is_one_sentence_and_comes_back_as_it_was(
    api: Api, images: Path, store: Store
) -> None:
    dataset = await registered(api, images)
    page = f"datasets/{dataset}"
    await asyncio.to_thread(perform, store)
    item = (await api("GET", f"{page}/images", split="train", label="cat", limit=1)).json["items"][0]["image"]
    edit = {"changes": [{"image": item, "label": "dog"}]}
    away = images.with_name("gone")
    shutil.move(images, away)
    shown = await api("GET", f"{page}/images/{item}/thumbnail", size=64)
    assert (shown.status, "folder" in shown.json["message"]) == (404, True)
    assert str(images) not in shown.json["message"]
    assert (await api("POST", f"{page}/rescan")).json["problem"]
    refused = await api("POST", f"{page}/revisions", edit)
    assert (refused.status, images.name in refused.json["message"]) == (400, True)
    shutil.move(away, images)
    assert (await api("POST", f"{page}/rescan")).json["problem"] is None
    assert (await api("POST", f"{page}/revisions", edit)).status == 201


async def test_the_page_and_its_images_by_revision(api: Api, images: Path, store: Store) -> None:
    dataset = await registered(api, images)
    page = f"datasets/{dataset}"
    before = (await api("GET", f"{page}/detail")).json
    assert (before["bytes"], [item["name"] for item in before["classes"]]) == (None, ["cat", "dog"])
    assert (await api("GET", f"{page}/images")).status == 409
    assert (await api("GET", f"{page}/map")).status == 409
    await asyncio.to_thread(perform, store)
    detail = (await api("GET", f"{page}/detail")).json
    assert detail["classes"] == [
        {"name": "cat", "images": {"train": 6, "val": 2}}, {"name": "dog", "images": {"train": 4, "val": 2}}
    ]  # fmt: skip
    assert (detail["formats"], detail["sizes"]) == ({"PNG": 14}, [{"low": 4, "high": 8, "images": 14}])
    found = (await api("GET", f"{page}/images", split="train", label="cat", sort="name", order="desc", limit=3)).json
    assert (found["total"], found["items"][0]["name"]) == (7, "train/cat/broken.jpg")
    assert found["items"][0]["problem"] is not None
    cat = found["items"][1]  # 5.png, the only one with its content
    await api("POST", f"{page}/revisions", {"changes": [{"image": cat["image"], "label": "dog", "why": "by hand"}]})
    corrected = (await api("GET", f"{page}/images", label="dog", q="train/cat")).json
    assert [(item["name"], item["folder_label"]) for item in corrected["items"]] == [(cat["name"], "cat")]
    old = (await api("GET", f"{page}/images", label="dog", q="train/cat", revision=0)).json
    assert old["total"] == 0
    newest = (await api("GET", f"{page}/detail")).json
    assert (newest["revision"], newest["classes"][1]["images"]["train"]) == (1, 5)


async def test_a_newer_revision_settles_a_problem(api: Api, images: Path, store: Store) -> None:
    dataset = await registered(api, images)
    await asyncio.to_thread(perform, store)
    where = f"datasets/{dataset}/problems"
    first, second, *_ = (await api("GET", where, kind="copy")).json["items"]
    assert not first["settled"]
    change = {"image": first["images"][0]["image"], "excluded": True, "split": "train"}
    assert (await api("POST", f"datasets/{dataset}/revisions", {"changes": [change]})).status in (200, 201)
    again, other, *_ = (await api("GET", where, kind="copy")).json["items"]
    assert (again["id"], other["id"], other["settled"]) == (first["id"], second["id"], False)
    assert [image["excluded"] for image in again["images"]] == [True, True, False, False]
    assert not again["settled"]  # the two that are left lie under two classes
