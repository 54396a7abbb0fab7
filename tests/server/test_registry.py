"""Projects, configs, data sets and models over REST."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from serving import Api

from imgcls_lab.store import Store


@pytest.fixture
def edits(images: Path, model: Path, config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        "projects": {"name": "new"},
        "configs": {"name": "new", "config": config},
        "datasets": {"name": "new", "root": str(images)},
        "models": {"name": "new", "flavour": str(model), "load_pretrained": False},
    }


@pytest.mark.parametrize("kind", ["projects", "configs", "datasets", "models"])
async def test_an_entry_is_added_listed_changed_and_deleted(
    api: Api, edits: dict[str, dict[str, Any]], kind: str
) -> None:
    before = (await api("GET", kind)).json
    made = await api("POST", kind, edits[kind])
    assert made.status == 201
    number = made.json["id"]
    assert (await api("GET", f"{kind}/{number}")).json == made.json
    assert [item["name"] for item in (await api("GET", kind)).json if item not in before] == ["new"]

    changed = await api("PATCH", f"{kind}/{number}", {**edits[kind], "name": "other", "description": "why"})
    assert (changed.status, changed.json["name"], changed.json["description"]) == (200, "other", "why")

    twice = await api("POST", kind, {**edits[kind], "name": "other"})
    assert twice.status == 409
    assert "other" in twice.json["message"]

    assert (await api("DELETE", f"{kind}/{number}")).status == 204
    gone = await api("GET", f"{kind}/{number}")
    assert gone.status == 404
    assert gone.json["message"].endswith(".")
    assert (await api("GET", kind)).json == before


@pytest.mark.parametrize("kind", ["projects", "configs", "datasets", "models"])
async def test_a_body_that_does_not_fit_names_its_fields(api: Api, kind: str) -> None:
    reply = await api("POST", kind, {"name": "", "colour": "red"})
    assert reply.status == 400
    assert {"name", "colour"} <= {problem["field"] for problem in reply.json["problems"]}


@pytest.mark.parametrize("kind", ["projects", "configs", "datasets", "models"])
async def test_an_id_that_is_none_is_not_found(api: Api, edits: dict[str, Any], kind: str) -> None:
    before = (await api("GET", kind)).json
    for number in ("0", "-1", "x", "1e3", "9" * 20, "4294967296", "..%2F1", "%F0%9F%92%A9"):
        for method, body in (("GET", None), ("PATCH", edits[kind]), ("DELETE", None)):
            assert (await api(method, f"{kind}/{number}", body)).status == 404
    assert (await api("GET", kind)).json == before


async def test_what_is_in_use_is_not_deleted(api: Api, config: dict[str, Any]) -> None:
    project = (await api("POST", "projects", {"name": "pets"})).json
    await api("POST", "configs", {"name": "c", "config": config, "project_id": project["id"]})
    reply = await api("DELETE", f"projects/{project['id']}")
    assert reply.status == 409
    assert "1 config" in reply.json["message"]


async def test_a_data_set_shows_what_is_in_it_and_what_is_wrong(api: Api, images: Path) -> None:
    made = (await api("POST", "datasets", {"name": "pets", "root": str(images)})).json
    assert made["classes"] == ["cat", "dog"]
    assert made["images"] == {"train": 10, "val": 4}
    assert (made["smallest_class"], made["largest_class"], made["problem"]) == (4, 6, None)
    images.rename(images.with_name("moved"))
    assert "not there any more" in (await api("GET", "datasets")).json[0]["problem"]


@pytest.mark.usefixtures("without_heif")
async def test_a_data_set_says_what_it_does_not_take_and_what_its_layout_means(api: Api, images: Path) -> None:
    flat = (images / "train").rename(images.parent / "flat")
    for name in ("a.HEIC", "b.heic", "clip.mov"):
        (flat / "cat" / name).write_bytes(b"x")
    made = (await api("POST", "datasets", {"name": "pets", "root": str(flat)})).json
    assert (made["images"], made["skipped_files"]) == ({"train": 10}, {".heic": 2, ".mov": 1})
    assert "2 folders" in made["notes"][0]
    assert "2 .heic (`pip install pillow-heif`" in " ".join(made["notes"])
    assert (await api("GET", "datasets")).json == [made]


async def test_a_data_set_that_cannot_be_trained_on_is_refused_with_the_reason(
    api: Api, images: Path, store: Store
) -> None:
    reply = await api("POST", "datasets", {"name": "flat", "root": str(images / "train" / "cat")})
    assert reply.status == 400
    (problem,) = reply.json["problems"]
    assert problem["field"] == "root"
    assert "without a class" in problem["message"]
    assert store.datasets.list() == []


async def test_a_data_set_is_rescanned_by_its_route_alone(api: Api, images: Path) -> None:
    number = (await api("POST", "datasets", {"name": "pets", "root": str(images)})).json["id"]
    (images / "train" / "cat" / "new.png").write_bytes(b"x")
    assert (await api("GET", f"datasets/{number}")).json["images"]["train"] == 10
    assert (await api("POST", f"datasets/{number}/rescan", {})).json["images"]["train"] == 11
    assert (await api("GET", "datasets")).json[0]["images"]["train"] == 11
    assert (await api("POST", "datasets/999/rescan", {})).status == 404


async def test_a_home_in_a_path_is_expanded_before_it_is_checked(
    api: Api, images: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(images.parent))
    path = f"~/{images.name}"
    assert (await api("POST", "datasets", {"name": "pets", "root": path})).json["root"] == str(images)
    assert (await api("POST", "runs", {"config": {**config, "root": path}})).json["root"] == str(images)
    made = await api("POST", "configs", {"name": "c", "config": {**config, "root": path}})
    assert made.json["config"]["root"] == str(images)
    check = (await api("POST", "configs/check", {"config": {**config, "root": path}})).json
    assert (check["problems"], check["facts"]["Classes"]) == ([], "2: cat, dog")
    outside = await api("POST", "datasets", {"name": "x", "root": "~/../elsewhere"})
    assert (outside.status, str(images.parent.parent / "elsewhere") in outside.json["message"]) == (403, True)


async def test_an_unknown_field_is_told_what_there_is(api: Api) -> None:
    close = (await api("POST", "projects", {"name": "x", "discription": "y"})).json["problems"]
    assert ["did you mean description?" in problem["message"] for problem in close] == [True]
    far = (await api("POST", "projects", {"name": "x", "qqq": "y"})).json["problems"]
    assert "name, description, max_running" in far[0]["message"]


async def test_a_config_that_cannot_be_launched_is_not_kept(api: Api, config: dict[str, Any], store: Store) -> None:
    reply = await api("POST", "configs", {"name": "bad", "config": {**config, "batch_size": 0, "epoch": 3}})
    assert reply.status == 400
    assert {p["field"] for p in reply.json["problems"]} == {"batch_size", "epoch"}
    assert store.configs.list() == []


async def test_names_with_html_come_back_as_inert_json(api: Api) -> None:
    name = "<img src=x onerror=alert(1)>\x1b[31m"
    made = await api("POST", "projects", {"name": name})
    assert made.json["name"] == name
    reply = await api("GET", "projects")
    assert reply.headers["Content-Type"].startswith("application/json")
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert b"\x1b" not in reply.body
