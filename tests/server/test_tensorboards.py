"""TensorBoard through the Jupyter server: its list, its tab, and what happens when it dies."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from serving import Api, Reply

from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.server.app import ImgclsLab
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store


@pytest.fixture
def run_id(store: Store, settings: Settings) -> str:
    run_id = store.runs.submit(SubmitRequest(config={"root": "/data"}, name="first run")).id
    (settings.run_dir(run_id) / "tensorboard").mkdir(parents=True)
    return run_id


async def tab(api: Api, board_id: str, path: str = "", **options: Any) -> Reply:
    """What the browser's tab asks for."""
    return await api(options.pop("method", "GET"), f"/imgcls/tensorboard/{board_id}/{path}", **options)


def process(extension: ImgclsLab, board_id: str) -> Any:
    assert extension.boards._manager is not None
    return extension.boards._manager._processes[board_id].popen


async def test_the_tab_shows_tensorboard_and_starts_it_when_asked(api: Api, run_id: str) -> None:
    board = (await api("POST", "tensorboards", {"run_ids": [run_id]})).json
    assert (board["title"], board["state"]) == ("first run", "asleep")
    page = await tab(api, board["id"])
    assert page.status == 200
    assert b"<title>TensorBoard</title>" in page.body
    data = await tab(api, board["id"], "data/environment")
    assert json.loads(data.body)["data_location"].endswith("logdir")
    assert (await api("GET", "tensorboards")).json[0]["state"] == "running"


async def test_a_board_can_be_stopped_restarted_and_deleted(api: Api, run_id: str, extension: ImgclsLab) -> None:
    board = (await api("POST", "tensorboards", {"run_ids": [run_id]})).json["id"]
    assert (await api("POST", f"tensorboards/{board}/restart")).json["state"] == "running"
    first = process(extension, board).pid
    assert (await api("POST", f"tensorboards/{board}/restart")).json["state"] == "running"
    assert process(extension, board).pid != first
    assert (await api("POST", f"tensorboards/{board}/stop")).json["memory"] is None
    assert (await tab(api, board)).status == 200
    assert (await api("DELETE", f"tensorboards/{board}")).status == 204
    assert (await api("GET", "tensorboards")).json == []


async def test_a_tensorboard_that_was_killed_is_back_at_the_next_request(
    api: Api, run_id: str, extension: ImgclsLab
) -> None:
    board = (await api("POST", "tensorboards", {"run_ids": [run_id]})).json["id"]
    for _ in range(3):
        assert (await tab(api, board)).status == 200
        os.kill(process(extension, board).pid, signal.SIGKILL)


async def test_what_cannot_start_is_a_sentence_and_a_button_not_a_500(
    api: Api, run_id: str, extension: ImgclsLab
) -> None:
    board = (await api("POST", "tensorboards", {"run_ids": [run_id]})).json["id"]
    boards = extension.boards._manager
    assert boards is not None
    good, boards._sockets.socket = boards._sockets.socket, lambda _: Path("/proc/no-folder/socket")
    page = await tab(api, board)
    assert page.status == 503
    assert b"TensorBoard did not start: " in page.body
    assert b"Restart TensorBoard" in page.body
    assert (await api("POST", f"tensorboards/{board}/restart")).status == 503
    boards._sockets.socket = good
    assert (await api("POST", f"tensorboards/{board}/restart")).status == 200


async def test_a_tab_stands_in_a_frame_of_its_own_origin_alone(api: Api, run_id: str, jp_serverapp: Any) -> None:
    jp_serverapp.web_app.settings["headers"] = {"Content-Security-Policy": "frame-ancestors 'none'"}  # as behind a hub
    board = (await api("POST", "tensorboards", {"run_ids": [run_id]})).json["id"]
    for page in (await tab(api, board), await tab(api, "forgotten")):
        policies = [
            part.strip() for text in page.headers.get_list("Content-Security-Policy") for part in text.split(";")
        ]
        assert [part for part in policies if part.startswith("frame-ancestors")] == ["frame-ancestors 'self'"]


async def test_the_sentence_on_the_page_is_inert(api: Api) -> None:
    page = await tab(api, "run-%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert page.status == 404
    assert b"<script>alert" not in page.body


async def test_nobody_without_a_login_sees_a_board(api: Api, run_id: str) -> None:
    board = (await api("POST", "tensorboards", {"run_ids": [run_id]})).json["id"]
    for method in ("GET", "POST"):
        reply = await tab(api, board, "data/environment", method=method, headers={})
        assert reply.status in (302, 403)
        assert b"data_location" not in reply.body


async def test_no_cookie_or_token_reaches_tensorboard(api: Api, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from imgcls_lab.server.tensorboards import BoardProxyHandler

    sent: list[Any] = []
    original = BoardProxyHandler.proxy_request_headers

    def spy(self: BoardProxyHandler) -> Any:
        sent.append(original(self))
        return sent[-1]

    monkeypatch.setattr(BoardProxyHandler, "proxy_request_headers", spy)
    board = (await api("POST", "tensorboards", {"run_ids": [run_id]})).json["id"]
    await tab(api, board, headers={**api.headers, "Cookie": "secret=1", "X-XSRFToken": "2"})
    assert sent
    assert not {"Cookie", "Authorization", "X-XSRFToken"} & set(sent[0])


async def test_wrong_questions_are_sentences(api: Api, settings: Settings) -> None:
    assert (await api("POST", "tensorboards", {})).status == 400
    assert (await api("POST", "tensorboards", {"run_ids": ["nope"]})).status == 404
    assert (await api("POST", "tensorboards/run-1/stop")).status == 404
    assert (await api("DELETE", "tensorboards/..%2F..%2Fruns")).status == 404


async def test_more_runs_than_a_board_holds_are_refused(api: Api, run_id: str) -> None:
    board = (await api("POST", "tensorboards", {"run_ids": [run_id]})).json["id"]
    for method, path in (("POST", "tensorboards"), ("POST", f"tensorboards/{board}/runs")):
        reply = await api(method, path, {"run_ids": [run_id] * 201})
        assert (reply.status, reply.json["problems"][0]["field"]) == (400, "run_ids")
