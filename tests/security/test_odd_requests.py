"""No request makes the server answer 500: every route with bodies, ids and queries of every wrong form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from serving import Api

from imgcls_lab.errors import ExecutorError
from imgcls_lab.executor import client
from imgcls_lab.server.app import ImgclsLab
from imgcls_lab.server.permissions import TABLE
from imgcls_lab.settings import Settings

RUN = "20260101-000000-abcdef"
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**53, -(2**63), 1.5, "", " ", "x" * 5000, "\u202e😀\x7f", "../..", "/etc/passwd", "~root",
    "a\nb", "%00", "' OR 1=1 --", [], [None], [[1]], ["x"] * 300, {}, {"a": None}, {"": {"": []}}, "2020-13-45", "file:///etc",
)  # fmt: skip
IDS = (
    "0",
    "-1",
    "99999999999999999999",
    "١",
    "x",
    "%00",
    "%2e%2e",
    "%ff",
    "a%2fb",
    "'",
    "💥",
    "x" * 300,
    "1e3",
    "..%2f..%2fetc",
)
QUERIES = (
    "",
    "-1",
    "99999999999999999999",
    "١",
    "nan",
    "1e999",
    "%00",
    "%ff",
    "[]",
    "x" * 300,
    "%f0%9f%92%a5",
    "0",
    "1.5",
)
FIELDS = {
    "api/runs": (
        "config",
        "kind",
        "name",
        "project_id",
        "dataset_id",
        "parent_id",
        "priority",
        "notes",
        "after",
        "gpus",
        "device",
        "host",
        "payload",
        "idempotency_key",
    ),
    "api/runs/ID": ("name", "notes", "priority", "project_id", "tags"),
    "api/runs/ID/resume": ("config",),
    "api/notebooks": ("path", "parameters", "name", "project_id", "priority", "device"),
    "api/sweeps": ("base", "space", "strategy", "notebook", "trials", "metric", "seed", "budget", "project_id"),
    "api/projects": ("name", "description"),
    "api/configs": ("name", "config", "project_id"),
    "api/datasets": ("name", "root"),
    "api/models": ("name", "flavour", "revision", "load_pretrained"),
    "api/configs/check": ("config",),
    "api/configs/trial": ("config",),
    "api/sweeps/check": ("base", "space", "strategy", "notebook", "trials", "metric", "seed"),
    "api/datasets/ID/versions": ("config", "number", "seed", "size"),
    "api/tensorboards": ("run_ids", "sweep_id", "project_id", "name"),
    "api/tensorboards/ID/runs": ("run_ids",),
}
QUERY = (
    "limit",
    "offset",
    "project",
    "state",
    "sort",
    "order",
    "q",
    "run",
    "tag",
    "axis",
    "low",
    "high",
    "max_points",
    "epoch",
    "split",
    "path",
    "owner",
    "since",
    "user",
)
SKIPPED = {"api/executor/start", "api/stream", "api/demo"}  # the first has a test of its own


def bodies(path: str) -> Iterator[Any]:
    """Whole bodies of a wrong type, and bodies with one field of a wrong type, alone and in what a field may hold."""
    yield from VALUES
    fields = FIELDS.get(path.removesuffix("/ID") if path not in FIELDS else path, ())
    for field in fields:
        for value in VALUES:
            yield {field: value}
    if "config" in fields or "base" in fields:
        for name in ("root", "model_flavour", "lr", "batch_size", "plugins", "betas", "seed", "epochs"):
            for value in VALUES:
                config = {"root": "x", "model_flavour": "y", name: value}
                yield (
                    {"config": config} if "config" in fields else {"base": config, "space": {name: {"values": [value]}}}
                )


class Turns:
    """Some of the values at each call, so that each value has its turn; all of them with share=1."""

    def __init__(self, share: int) -> None:
        self._share = share
        self._calls = 0

    def of(self, values: Sequence[Any]) -> Sequence[Any]:
        self._calls += 1
        return values[self._calls % self._share :: self._share]


@pytest.mark.parametrize("share", [5, pytest.param(1, marks=pytest.mark.slow)])
async def test_no_request_is_answered_by_500(
    api: Api, extension: ImgclsLab, train: Any, jp_root_dir: Path, share: int
) -> None:
    train()
    (jp_root_dir / "a.ipynb").write_text("{}")
    answers: dict[str, str] = {}
    asked = 0
    turns = Turns(share)

    async def ask(verb: str, path: str, body: Any = None) -> None:
        nonlocal asked
        asked += 1
        data = body if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        reply = await api(verb, f"/imgcls/{path}", data)
        if reply.status >= 500:
            answers[f"{verb} {path[:80]} {str(data)[:100]}"] = reply.body.decode()[:200]

    for path, verbs in TABLE.items():
        if path in SKIPPED:
            continue
        known = RUN if path.startswith(("api/runs", "api/sweeps")) else "1"
        own = path.replace("ID", known).replace("PATH", "data")
        for verb in verbs:
            for value in turns.of(IDS) if "ID" in path else ():
                body = {} if verb in {"POST", "PATCH", "PUT"} else None
                await ask(verb, path.replace("ID", quote(value, safe="%")).replace("PATH", "data"), body)
            if verb == "GET":
                for name in QUERY:
                    for value in turns.of(QUERIES):
                        await ask(verb, f"{own}?{name}={quote(value, safe='%')}")
            elif verb in {"POST", "PATCH", "PUT"} and not path.startswith("tensorboard/"):
                for body in turns.of(list(bodies(path))):
                    await ask(verb, own, body)
    print(f"{asked} odd requests to {len(TABLE)} routes: {len(answers)} answered by 500 or more")
    assert answers == {}


async def test_an_executor_that_cannot_start_is_a_sentence(
    api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(client, "start_process", refuse)
    assert (await api("POST", "executor/start")).status == ExecutorError.status
    settings.executor_log.unlink(missing_ok=True)
    settings.executor_log.mkdir()  # where a file must be
    reply = await api("POST", "executor/start")
    assert (reply.status, "executor" in reply.json["message"]) == (ExecutorError.status, True)
