"""The routes of a project's page."""

from __future__ import annotations

from typing import Any

from serving import Api


async def test_a_project_has_a_page_and_is_deleted_with_what_is_in_it(api: Api, config: dict[str, Any]) -> None:
    project = (await api("POST", "projects", {"name": "pets"})).json
    await api("POST", "configs", {"name": "c", "config": config, "project_id": project["id"]})
    page = await api("GET", f"projects/{project['id']}/detail")
    assert (page.status, page.json["project"], page.json["best"]) == (200, project, [])
    assert [item["name"] for item in page.json["configs"]] == ["c"]
    assert len(page.json["activity"]) == 42

    told = await api("POST", f"projects/{project['id']}/delete", {"dry_run": True})
    assert (told.json["configs"], told.json["deleted"]) == (1, False)
    done = await api("POST", f"projects/{project['id']}/delete")
    assert (done.status, done.json["deleted"]) == (200, True)
    assert (await api("GET", f"projects/{project['id']}/detail")).status == 404
    assert [item["name"] for item in (await api("GET", "configs")).json] == []


async def test_a_page_of_no_project_is_not_found(api: Api) -> None:
    for number in ("99", "x", "0", "9" * 20):
        assert (await api("GET", f"projects/{number}/detail")).status == 404
        assert (await api("POST", f"projects/{number}/delete", {"dry_run": True})).status == 404


async def test_the_default_project_is_not_deleted(api: Api) -> None:
    (default,) = (await api("GET", "projects")).json
    reply = await api("POST", f"projects/{default['id']}/delete", {"dry_run": True})
    assert reply.status == 409
    refused = await api("POST", f"projects/{default['id']}/delete", {"dryrun": True})
    assert (refused.status, refused.json["problems"][0]["field"]) == (400, "dryrun")


async def test_versions_of_a_config_are_listed_and_restored(api: Api, config: dict[str, Any]) -> None:
    made = (await api("POST", "configs", {"name": "c", "config": {**config, "lr": 0.01}})).json
    edited = await api("PATCH", f"configs/{made['id']}", {"name": "c", "config": {**config, "lr": 0.02}})
    assert (made["version"], edited.json["version"]) == (1, 2)
    versions = (await api("GET", f"configs/{made['id']}/versions")).json
    assert [(one["number"], one["changed"], one["config"]["lr"]) for one in versions] == [
        (2, ["lr"], 0.02), (1, [], 0.01)
    ]  # fmt: skip
    restored = await api("POST", f"configs/{made['id']}/versions/1/restore")
    assert (restored.status, restored.json["version"], restored.json["config"]["lr"]) == (200, 3, 0.01)
    for path in (f"{made['id']}/versions/9/restore", "99/versions/1/restore", f"{made['id']}/versions/x/restore"):
        assert (await api("POST", f"configs/{path}")).status == 404
