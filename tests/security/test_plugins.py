"""Plugins are code: nobody makes this server run any over REST unless it was started so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from serving import Api

from imgcls_lab.settings import Settings
from imgcls_lab.store import Store


async def test_a_config_with_plugins_is_refused_wherever_it_is_sent(
    api: Api, config: dict[str, Any], images: Path, store: Store
) -> None:
    saved = (await api("POST", "configs", {"name": "plain", "config": config})).json["id"]
    path = str(images.parent / "mine.py")
    for plugins in ([path], path, f"{path}, {path}"):
        sent = {**config, "plugins": plugins}
        replies = [
            await api("POST", "runs", {"config": sent}),
            await api("POST", "configs", {"name": "x", "config": sent}),
            await api("PATCH", f"configs/{saved}", {"name": "plain", "config": sent}),
        ]
        for reply in replies:
            assert reply.status == 403, reply.body
            assert [problem["field"] for problem in reply.json["problems"]] == ["plugins"]
            assert "IMGCLS_ALLOW_PLUGINS=1" in reply.json["message"]
        check = (await api("POST", "configs/check", {"config": sent})).json
        assert [problem["field"] for problem in check["problems"]] == ["plugins"]
    assert (store.runs.list().total, len(store.configs.list())) == (0, 1)
    assert store.configs.get(saved).config["plugins"] == []


async def test_no_plugins_are_no_plugins(api: Api, config: dict[str, Any]) -> None:
    for plugins in ([], ""):
        assert (await api("POST", "runs", {"config": {**config, "plugins": plugins}})).status == 201


async def test_a_server_that_takes_plugins_takes_those_of_its_folders(
    api: Api, settings: Settings, config: dict[str, Any], tmp_path: Path, store: Store
) -> None:
    settings.allow_plugins = True
    inside, outside = Path(settings.datasets_dir) / "mine.py", tmp_path / "other.py"
    for path in (inside, outside):
        path.write_text("")
    assert (await api("POST", "runs", {"config": {**config, "plugins": [str(outside)]}})).status == 403
    made = await api("POST", "runs", {"config": {**config, "plugins": str(inside)}})
    assert made.status == 201
    assert store.runs.get(made.json["id"]).config["plugins"] == [str(inside.resolve())]
