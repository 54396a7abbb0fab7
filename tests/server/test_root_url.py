"""The same routes where the server stands at the root of its host."""

from __future__ import annotations

import json
from typing import Any

import pytest
from serving import Api


@pytest.fixture
def jp_base_url() -> str:
    return "/"


async def test_rest_and_stream_answer_at_the_root(api: Api, config: dict[str, Any], jp_ws_fetch: Any) -> None:
    made = await api("POST", "runs", {"config": config})
    assert made.status == 201
    assert (await api("GET", "runs")).json["total"] == 1
    socket = await jp_ws_fetch("imgcls", "api", "stream")
    socket.write_message('{"op": "subscribe", "id": 1, "topic": {"kind": "runs"}}')
    message = json.loads(await socket.read_message())
    assert [run["id"] for run in message["batch"]["changed"]] == [made.json["id"]]
