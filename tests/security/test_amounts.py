"""How much a request, a socket or a file of a run may hold: more is refused with a sentence, soon, and alone."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import time
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import BaseModel, Field
from serving import Api, Training

from imgcls_lab import run_paths, schemas, server
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import BusyError, ConfigError, InputError
from imgcls_lab.events import LONGEST_LINE, read_events
from imgcls_lab.schemas import Subscribe, Unsubscribe, limits
from imgcls_lab.server import stream
from imgcls_lab.server.app import ImgclsLab
from imgcls_lab.server.pools import Pool, Size
from imgcls_lab.server.stream import Client
from imgcls_lab.store import Store
from tests.analysis.made import MadeRun, made

MOMENT = 1.5  # seconds of computing for one hostile request
LIST_SECONDS = 2.0  # until a list answers beside seven of them
HOSTILE = 7


# ── every model of a request is bounded ─────────────────────────────────────────────────────────────────────────
def request_models() -> list[type[BaseModel]]:
    """The models that handlers read a body into, and those of the stream: found in the server's own source."""
    names: set[str] = set()
    for path in Path(inspect.getfile(server)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            if node.func.attr in ("body", "optional_body") and isinstance(node.args[0], ast.Name):
                names.add(node.args[0].id)
    names.discard("model")  # of the base class
    edits = [
        value for name, value in vars(schemas).items() if name.endswith(("Edit", "Request")) and name != "DeviceRequest"
    ]
    found = {getattr(schemas, name) for name in names if hasattr(schemas, name)} | {*edits, Subscribe, Unsubscribe}
    assert names <= {model.__name__ for model in found}, "a model of a request stands outside of schemas"
    return sorted((model for model in found if issubclass(model, BaseModel)), key=lambda model: model.__name__)


def unbounded(kind: Any, said: Sequence[Any], seen: frozenset[Any]) -> Iterator[str]:
    """What in a type may be as long, or as large, as one likes. said: what is said of it where it stands."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        yield from unbounded(arguments[0], [*said, *_limits(arguments[1:])], seen)
    elif origin in (Union, types.UnionType):
        for one in arguments:
            yield from unbounded(one, said, seen)
    elif origin in (list, tuple, set, dict) or kind in (list, tuple, set, dict):
        bound = _has(said, MaxLen)
        if not bound:
            yield "a list" if origin is not dict else "a mapping"
        inside = Any in arguments and bound  # `limits.Values`, whose validator counts what is inside
        for one in () if inside else arguments:
            if one is not Ellipsis:
                yield from unbounded(one, (), seen)
    elif kind in (str, bytes):
        if not _has(said, MaxLen):
            yield "a text"
    elif kind in (int, float):
        between = _has(said, Ge, Gt) and _has(said, Le, Lt)
        finite = kind is float and any(getattr(each, "allow_inf_nan", None) is False for each in said)
        if not between and not finite:
            yield "a number"
    elif kind is Any:
        yield "anything"
    elif inspect.isclass(kind) and issubclass(kind, BaseModel) and kind not in seen:
        for name, field in kind.model_fields.items():
            for what in unbounded(field.annotation, _limits(field.metadata), seen | {kind}):
                yield f"{kind.__name__}.{name}: {what}"
    else:
        assert origin is Literal or inspect.isclass(kind), kind


def _limits(metadata: Iterable[Any]) -> list[Any]:
    """What annotations say, those inside a Field too."""
    return [part for item in metadata for part in (item, *getattr(item, "metadata", ()))]


def _has(said: Iterable[Any], *kinds: type) -> bool:
    return any(isinstance(each, kinds) for each in said)


@pytest.mark.parametrize("model", request_models(), ids=lambda model: model.__name__)
def test_all_that_a_request_holds_has_a_limit(model: type[BaseModel]) -> None:
    assert list(unbounded(model, (), frozenset())) == []


def test_the_walker_finds_what_has_none() -> None:
    class Open(BaseModel):
        text: str
        names: list[schemas.Name]
        nested: dict[str, Any] | None = None
        epochs: int | None = Field(None, ge=1)
        steps: int = Field(0, le=10)
        rates: list[float] = Field(max_length=3)
        factor: float | None = Field(None, gt=0)
        number: limits.Whole | None = None
        seed: int = Field(0, ge=0, lt=2**32)
        low: limits.Finite = 0.0
        share: float = Field(0.0, ge=0, le=1)

    assert [line.split(": ")[0] for line in unbounded(Open, (), frozenset())] == [
        "Open.text", "Open.names", "Open.nested", "Open.nested", "Open.nested", "Open.epochs", "Open.steps",
        "Open.rates", "Open.factor",
    ]  # fmt: skip


def test_a_mapping_of_anything_is_bounded_inside(config: dict[str, Any]) -> None:
    for values in (
        {"a": ["x"] * (limits.MAX_ITEMS + 1)},
        {"a": [{str(i): i for i in range(200)} for _ in range(110)]},
        {"a": "x" * (limits.MAX_TEXT + 1)},
        {"a": {"k" * (limits.MAX_KEY + 1): 1}},
        {str(i): i for i in range(limits.MAX_FIELDS + 1)},
    ):
        with pytest.raises(ValueError, match="most"):
            schemas.ResumeRequest(config=values)


def test_every_list_and_text_of_a_config_has_a_limit() -> None:
    for name, field in TrainConfig.model_fields.items():
        kinds = {field.annotation, *get_args(field.annotation)}
        given: Any = "x" * 5000 if str in kinds else None
        if "tuple" in str(field.annotation):
            given = ["0.5"] * 101
        if given is not None:
            with pytest.raises(ConfigError) as refusal:
                TrainConfig.parse({"root": "/x", name: given})
            assert name in {problem.field for problem in refusal.value.problems}, name


def test_the_docs_state_the_limits() -> None:
    text = (Path(__file__).parents[2] / "docs" / "rest.md").read_text()
    numbers = {name: value for name, value in vars(limits).items() if name.startswith("MAX_")}
    for name, value in numbers.items():
        assert f"{value:,}" in text, name


# ── one request ─────────────────────────────────────────────────────────────────────────────────────────────────
def sweep(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"base": config, "space": {"lr": {"values": [0.1, 0.2]}}, "strategy": "random", **changes}


def hostile_bodies(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    numbers = [i / 1e6 for i in range(1, 100_001)]
    yield "sweeps", json.dumps(sweep(config, space={"lr": {"values": numbers}}))
    yield "sweeps", json.dumps(sweep(config, space={"lr": {"values": numbers[:45_000]}}))
    yield "sweeps", json.dumps(sweep(config, space={"lr": {"values": [[1]] * 20_000}}))
    yield "sweeps", json.dumps(sweep(config, space={"lr": {"values": [{"a": 1}] * 20_000}}))
    yield "sweeps", json.dumps(sweep(config, space={"lr": {"values": ["x" * 900_000]}}))
    yield "sweeps", json.dumps(sweep(config, space={f"p{i}": {"values": numbers[:900]} for i in range(50)}))
    yield "sweeps", json.dumps(sweep(config, space={f"p{i}": {"values": [1]} for i in range(51)}))
    yield (
        "sweeps",
        json.dumps(sweep(config, space={"lr": {"values": numbers[:2000]}, "none" * 50: {"values": [1]}})),
    )
    yield (
        "sweeps",
        json.dumps(sweep(config, space={"epochs": {"low": 1, "high": 1e300, "step": 1e-300}}, strategy="grid")),
    )
    yield (
        "sweeps",
        json.dumps(
            sweep(config, space={f"p{i}": {"low": 0, "high": 1, "step": 1e-9} for i in range(50)}, strategy="grid")
        ),
    )
    yield "sweeps", json.dumps(sweep({**config, "lora_targets": ["x"] * 19_000}))
    yield "sweeps", json.dumps(sweep({**config, "plugins": "a," * 400_000}))
    yield "runs", '{"config": [' + "1," * 490_000 + "1]}"
    yield "runs", '{"config": [' + "[]," * 300_000 + "1]}"
    yield "runs", '{"config": {"a": [' + "{}," * 300_000 + "1]}}"
    yield "runs", json.dumps({"config": {**config, **{f"batch_sizes_{i}": 1 for i in range(190)}}})
    yield "runs", json.dumps({"config": {**config, **{"augmentation"[: i % 12] + str(i): 1 for i in range(190)}}})
    yield "runs", json.dumps({"config": config, "after": ["x"] * 101})
    yield "runs", json.dumps({"config": config, "payload": {"a": ["x"] * 40_000}})
    yield "runs", json.dumps({"config": {**config, "betas": [0.1] * 40_000}})
    yield "runs", json.dumps({"config": {**config, "root": "/" + "x/" * 300_000}})
    yield "projects", json.dumps({"name": "x" * 900_000})
    yield "projects", json.dumps({"name": "x", "description": "x" * 900_000})
    yield "configs", json.dumps({"name": "x", "config": {"a": {"b": ["x"] * 40_000}}})
    yield "models", json.dumps({"name": "x", "flavour": "a/" * 400_000})
    yield "notebooks", json.dumps({"path": "x.ipynb", "parameters": {"a": list(range(40_000))}})
    yield "notebooks", json.dumps({"path": "x" * 900_000})
    yield "tensorboards", json.dumps({"run_ids": ["x"] * 201})
    yield "tensorboards", json.dumps({"sweep_id": "x" * 900_000})


async def test_a_hostile_body_is_refused_within_a_moment(api: Api, config: dict[str, Any], store: Store) -> None:
    slowest = 0.0
    for path, body in hostile_bodies(config):
        began = time.process_time()
        reply = await api("POST", path, body)
        took = time.process_time() - began
        assert 400 <= reply.status < 500, (path, body[:100], reply.body[:300])
        assert len(reply.body) < 30_000
        assert reply.json["message"]
        assert took < MOMENT, (path, body[:100])
        slowest = max(slowest, took)
    print(f"\nslowest of the hostile bodies: {slowest:.2f} s of computing (target: {MOMENT} s)")
    assert store.runs.list().total == 0


async def test_the_largest_sweep_that_is_taken_is_planned_within_a_moment(api: Api, config: dict[str, Any]) -> None:
    space = {"lr": {"values": [i / 1e6 for i in range(1, limits.MAX_CHOICES + 1)]},
             "momentum": {"values": [i / 1e4 for i in range(1, limits.MAX_CHOICES + 1)]}}  # fmt: skip
    began = time.process_time()
    reply = await api("POST", "sweeps", sweep(config, space=space, trials=10))
    assert reply.status == 201, reply.body[:300]
    assert time.process_time() - began < MOMENT


async def test_a_hostile_query_is_refused_within_a_moment(api: Api, train: Callable[..., Training]) -> None:
    run_id = train().run.id
    for path, query in (
        ("runs", {"state": ["running"] * 3000}),
        ("runs", {"q": "%" * 5000}),
        ("runs", {"sort": "x" * 5000}),
        ("series", {"run": run_id, "tag": [f"t{i}" for i in range(201)]}),
        ("series", {"run": [f"20260101-000000-abc{i:03d}" for i in range(201)]}),
    ):
        began = time.process_time()
        reply = await api("GET", path, **query)
        assert 400 <= reply.status < 500, (path, reply.status)
        assert time.process_time() - began < MOMENT
        assert len(reply.body) < 6000
    many = await api("GET", "series", run=run_id, max_points=10**9, axis="step")
    assert many.status == 200


@pytest.mark.parametrize("pattern", ["((a+)+)+b$", "(a|a)*b$", "(a*)*(a*)*(a*)*b$", "(.*.*.*.*.*.*)b$"])
async def test_a_pattern_that_never_ends_stops_no_other_request(
    api: Api, config: dict[str, Any], images: Path, pattern: str
) -> None:
    for path in (images / "val").rglob("*.png"):
        path.unlink()
    for folder in (images / "val").iterdir():
        folder.rmdir()
    (images / "val").rmdir()
    for number, path in enumerate((images / "train/cat").iterdir()):
        path.rename(path.with_name(f"{number}{'a' * 200}.png"))
    check = asyncio.create_task(api("POST", "configs/check", {"config": {**config, "group_pattern": pattern}}))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    assert (await api("GET", "projects")).status == 200
    assert time.monotonic() - began < LIST_SECONDS
    reply = await asyncio.wait_for(check, 15)
    assert [problem["field"] for problem in reply.json["problems"]] == ["group_pattern"]


# ── many requests ───────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_list_and_a_stop_answer_beside_seven_hostile_requests(
    api: Api, config: dict[str, Any], train: Callable[..., Training], extension: ImgclsLab
) -> None:
    run_id = train().run.id
    hundred_thousand = json.dumps(sweep(config, space={"lr": {"values": [i / 1e6 for i in range(1, 100_001)]}}))
    largest = json.dumps(sweep(config, space={"lr": {"values": [i / 1e6 for i in range(1, limits.MAX_CHOICES + 1)]}}))
    for body, path in ((hundred_thousand, "sweeps"), (largest, "sweeps")):
        tasks = [asyncio.create_task(api("POST", path, body)) for _ in range(HOSTILE)]
        await asyncio.sleep(0)
        began = time.monotonic()
        assert (await api("GET", "runs")).status == 200
        listed = time.monotonic() - began
        assert (await api("POST", f"runs/{run_id}/stop", {})).status == 200
        stopped = time.monotonic() - began
        replies = await asyncio.gather(*tasks)
        print(f"\nlist: {listed:.2f} s, stop: {stopped - listed:.2f} s (target: {LIST_SECONDS} s)")
        assert listed < LIST_SECONDS
        assert stopped - listed < LIST_SECONDS
        assert {reply.status for reply in replies} <= {201, 400}


async def test_slow_work_that_never_ends_leaves_the_lists_alone(
    api: Api, extension: ImgclsLab, monkeypatch: Any
) -> None:
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait(*_: Any) -> Any:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(30)
        raise InputError("enough")

    monkeypatch.setattr("imgcls_lab.server.config_form.check", wait)
    slow = Size(2, 2)  # a client of these tests has ten connections
    monkeypatch.setitem(extension.backend._pools, "slow", Pool("slow", slow))
    sent = slow.threads + slow.waiting
    tasks = [asyncio.create_task(api("POST", "configs/check", {"config": {}})) for _ in range(sent + 3)]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=20)
    while len(done) < 3:
        more, _ = await asyncio.wait(set(tasks) - done, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        done |= more
    for task in done:
        refused = task.result()
        assert refused.status == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert str(sent) in refused.json["message"]
    for path in ("runs", "projects", "info", "devices"):
        assert (await asyncio.wait_for(api("GET", path), 5)).status == 200
    gate.set()
    assert {task.result().status for task in (await asyncio.wait(tasks))[0] - done} == {400}


async def test_a_pool_refuses_what_is_more_than_it_takes_and_takes_again_when_it_is_done() -> None:
    pool = Pool("slow", Size(1, 1))
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold() -> int:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(30)
        return 1

    tasks = [asyncio.create_task(pool.run(hold)) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(BusyError) as refusal:
        await pool.run(hold)
    assert refusal.value.data == {"waiting": 2}
    gate.set()
    assert await asyncio.gather(*tasks) == [1, 1]
    assert await pool.run(lambda: 2) == 2
    pool.close()


# ── the stream ──────────────────────────────────────────────────────────────────────────────────────────────────
def subscribe(number: int, topic: dict[str, Any]) -> str:
    return json.dumps({"op": "subscribe", "id": number, "topic": topic})


async def test_a_socket_that_floods_is_closed(jp_ws_fetch: Any) -> None:
    connection = await jp_ws_fetch("imgcls", "api", "stream")
    for number in range(2 * stream.MESSAGES):
        connection.write_message(json.dumps({"op": "unsubscribe", "id": number}))
    assert await asyncio.wait_for(connection.read_message(), 10) is None
    assert connection.close_code == 1008


def test_a_page_that_asks_now_and_then_is_never_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("imgcls_lab.server.stream.time.monotonic", lambda: clock[0])
    client: Any = object.__new__(Client)
    client._allowance, client._heard = float(stream.MESSAGES), 0.0
    for _ in range(10_000):
        clock[0] += 1.01 / stream.MESSAGES_A_SECOND
        assert client.may_ask()
    assert sum(client.may_ask() for _ in range(1000)) <= stream.MESSAGES


async def test_a_socket_follows_so_many_runs(jp_ws_fetch: Any) -> None:
    connection = await jp_ws_fetch("imgcls", "api", "stream")
    for part in range(stream.MAX_FOLLOWED // limits.MAX_RUNS + 1):
        ids = [f"20260101-000{part:03d}-abc{number:03d}" for number in range(limits.MAX_RUNS)]
        connection.write_message(subscribe(part + 1, {"kind": "metrics", "run_ids": ids}))
    answer = json.loads(await asyncio.wait_for(connection.read_message(), 10))
    assert (answer["id"], answer["batch"]) == (part + 1, None)
    assert str(stream.MAX_FOLLOWED) in answer["error"]


async def test_a_server_has_so_many_sockets(jp_ws_fetch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_SOCKETS", 3)
    kept = [await jp_ws_fetch("imgcls", "api", "stream") for _ in range(3)]
    more = await jp_ws_fetch("imgcls", "api", "stream")
    assert await asyncio.wait_for(more.read_message(), 10) is None
    assert more.close_code == 1013
    kept[0].close()
    await asyncio.sleep(0.2)
    again = await jp_ws_fetch("imgcls", "api", "stream")
    again.write_message(subscribe(1, {"kind": "devices"}))
    assert json.loads(await asyncio.wait_for(again.read_message(), 10))["id"] == 1


async def test_topics_are_bounded(jp_ws_fetch: Any) -> None:
    for topic in (
        {"kind": "metrics", "run_ids": ["x"] * 201},
        {"kind": "metrics", "run_ids": ["x" * 65]},
        {"kind": "metrics", "run_ids": [], "since": {f"r{i}": {} for i in range(201)}},
        {"kind": "log", "run_id": "x" * 1000},
    ):
        connection = await jp_ws_fetch("imgcls", "api", "stream")
        connection.write_message(subscribe(1, topic))
        assert json.loads(await asyncio.wait_for(connection.read_message(), 10))["error"]
        connection.close()


# ── files that a run leaves ─────────────────────────────────────────────────────────────────────────────────────
DEEP = "[" * 200_000 + "]" * 200_000


def grow(path: Path, size: int = 10**9) -> None:
    """A file of a gigabyte of zeros that takes no disk."""
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


@pytest.mark.parametrize("make", [grow, lambda path: path.write_text(DEEP), lambda path: path.write_text("{")],
                         ids=["1 GB", "deep", "broken"])  # fmt: skip
async def test_no_file_of_a_run_is_too_much_for_its_page(
    api: Api, train: Callable[..., Training], make: Callable[[Path], None]
) -> None:
    training = train()
    folder = training.folder
    (folder / "reports").mkdir()
    for name in ("manifest.json", "run.json", "reports/epoch-0001.json", "reports/test.json", "trials.json",
                 "owner.json", "config.json", "duplicates.json", "exit-001.json"):  # fmt: skip
        make(folder / name)
    began = time.process_time()
    reply = await api("GET", f"runs/{folder.name}")
    assert (reply.status, reply.json["manifest"]) == (200, None)
    for path in (f"runs/{folder.name}/report", f"runs/{folder.name}/report?split=test", f"sweeps/{folder.name}"):
        assert (await api("GET", path)).status == 404
    MadeRun(folder, ["cat", "dog"]).write(*made(4, 2))
    shown = await api("GET", f"runs/{folder.name}/evaluation")  # its predictions are whole
    assert (shown.status, shown.json["trend_epochs"]) == (200, [])
    assert time.process_time() - began < MOMENT


def test_a_file_of_a_gigabyte_or_of_deep_json_is_refused_where_it_is_read(tmp_path: Path) -> None:
    grow(tmp_path / "config.json")
    (tmp_path / "deep.json").write_text(DEEP)
    began = time.process_time()
    with pytest.raises(OSError, match="large"):
        run_paths.read_plain(tmp_path, "config.json")
    with pytest.raises(ValueError, match="deep"):
        run_paths.read_json(tmp_path, "deep.json")
    with pytest.raises(ConfigError):
        TrainConfig.parse_saved(DEEP)
    assert time.process_time() - began < MOMENT


def test_a_line_of_events_that_never_ends_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "events-001.jsonl"
    path.write_bytes(b"x" * (5 * LONGEST_LINE + 7))
    found, end = read_events(path, limit=LONGEST_LINE)
    assert found == []
    assert end == LONGEST_LINE
    assert read_events(path, end)[1] == 5 * LONGEST_LINE
    began = time.process_time()
    for _ in range(100):
        assert read_events(path, 5 * LONGEST_LINE) == ([], 5 * LONGEST_LINE)
    assert time.process_time() - began < MOMENT
