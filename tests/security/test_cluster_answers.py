"""Hostile answers of a cluster's scheduler: each is a sentence or a bounded value, and no token leaves."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from imgcls_lab.errors import ExecutorError, SchedulerAwayError
from imgcls_lab.executor.backends import ray as ray_module
from imgcls_lab.executor.backends.cluster import ClusterBackend
from imgcls_lab.executor.backends.job_scheduler import MOST_GPUS, Job, JobState, Node
from imgcls_lab.executor.backends.job_watch import JobWatch
from imgcls_lab.executor.backends.ray import RayScheduler
from imgcls_lab.executor.backends.slurm_output import Partition, read_jobs, read_nodes
from imgcls_lab.executor.node_folder import STORE_KEY
from imgcls_lab.settings import Settings
from tests.clusters.process_scheduler import ProcessScheduler
from tests.waiting import until

TOKEN = "token-of-a-test"
Handler = http.server.BaseHTTPRequestHandler


class Dashboard(http.server.ThreadingHTTPServer):
    """answer: what it does with each request. seen: (path, its token) of each."""

    daemon_threads = True

    def __init__(self, answer: Callable[[Handler], None]) -> None:
        self.seen: list[tuple[str, str | None]] = []
        server = self

        class Answers(Handler):
            def do_GET(self) -> None:
                server.seen.append((self.path, self.headers.get("Authorization")))
                try:
                    answer(self)
                except ConnectionError:
                    self.close_connection = True

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Handler], None]], Dashboard]]:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    servers: list[Dashboard] = []

    def start(answer: Callable[[Handler], None]) -> Dashboard:
        servers.append(Dashboard(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def send(handler: Handler, data: bytes, code: int = 200) -> None:
    handler.send_response(code)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def ray_at(address: str) -> RayScheduler:
    return RayScheduler(Settings(ray_address=address))


# ── the token ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirection_takes_no_token_elsewhere(serve: Any, code: int) -> None:
    elsewhere = serve(lambda handler: send(handler, b"[]"))

    def redirect(handler: Handler) -> None:
        handler.send_response(code)
        handler.send_header("Location", f"{elsewhere.address}/api/jobs/")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    head = serve(redirect)
    for request in (
        lambda: ray_at(head.address).status(["a-001"]),
        lambda: ray_at(head.address).submit(Job("a-001", ("x",))),
    ):
        with pytest.raises(SchedulerAwayError) as refused:
            request()
        assert "IMGCLS_RAY_ADDRESS" in str(refused.value)
    assert head.seen[0][1] == f"Bearer {TOKEN}"
    assert elsewhere.seen == []


def test_a_refusal_that_repeats_the_job_tells_no_key(serve: Any) -> None:
    head = serve(lambda handler: send(handler, b"invalid runtime_env: {'env_vars': {'K': 'the-key-of-a-run'}}", 400))
    with pytest.raises(ExecutorError) as refused:
        ray_at(head.address).submit(Job("a-001", ("x",), {STORE_KEY: "the-key-of-a-run"}))
    assert "the-key-of-a-run" not in str(refused.value)


@pytest.mark.parametrize("token", ["secret\r\nX-Other: 1", "sécret\u20ac", "secret\x00"])
def test_a_token_with_odd_characters_is_shown_nowhere(
    serve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, token: str
) -> None:
    (tmp_path / "token").write_text(token)
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    head = serve(lambda handler: send(handler, b"[]"))
    with pytest.raises(SchedulerAwayError) as refused:
        ray_at(head.address).status([])
    assert "cret" not in str(refused.value)
    assert head.seen == []


# ── amounts ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 2**20)


def trickle(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def trickling_error(handler: Handler) -> None:
    handler.send_response(500)
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def nonsense(handler: Handler) -> None:
    handler.wfile.write(b"\x00\x01 no HTTP at all\r\n\r\n")


def cut(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'[{"')


def deep(handler: Handler) -> None:
    send(handler, b"[" * 10**6)


@pytest.mark.parametrize("answer", [endless, trickle, trickling_error, nonsense, cut, deep])
def test_an_answer_without_end_or_sense_is_a_sentence(
    serve: Any, monkeypatch: pytest.MonkeyPatch, answer: Callable[[Handler], None]
) -> None:
    monkeypatch.setattr(ray_module, "SLOWEST", 1.0)
    monkeypatch.setattr(ray_module, "LARGEST", 2**22)
    head = serve(answer)
    tracemalloc.start()
    began = time.monotonic()
    with pytest.raises(SchedulerAwayError):
        ray_at(head.address).status(["a-001"])
    taken, peak = time.monotonic() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 5
    assert peak < 2**25
    assert [finding.ok for finding in ray_at(head.address).check()] == [False]


# ── wrong types ─────────────────────────────────────────────────────────────────────────────────────────────────────
ODD: list[Any] = [
    None, 1, "text", [], {}, [None], [[]], [1], [{}], [{"submission_id": "a-001"}],
    [{"submission_id": ["a-001"], "status": "RUNNING"}], [{"submission_id": "a-001", "status": {}}],
    [{"submission_id": "a-001", "status": "FAILED", "message": 5}],
    [{"submission_id": "a-001", "status": "RUNNING", "driver_node_id": []}],
    {"data": None}, {"data": {"result": {"result": [{}]}}}, {"data": {"result": {"result": "text"}}},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_an_answer_of_another_type_is_a_sentence_or_nothing(serve: Any, odd: Any) -> None:
    head = serve(lambda handler: send(handler, json.dumps(odd).encode()))
    ray = ray_at(head.address)
    for ask in (lambda: ray.status(["a-001"]), ray.nodes, lambda: ray.log("a-001")):
        with contextlib.suppress(SchedulerAwayError):
            ask()
    assert not ray.check()[0].ok


def node_row(number: int = 0, **changes: Any) -> dict[str, Any]:
    total = {"GPU": 2.0, "CPU": 8.0}
    return {"node_id": f"id{number}", "node_name": f"node{number}", "node_ip": "", "state": "ALIVE",
            "state_message": "", "resources_total": total} | changes  # fmt: skip


def nodes_of(serve: Any, rows: list[dict[str, Any]]) -> list[Node]:
    def answer(handler: Handler) -> None:
        known = {
            "/api/v0/nodes?detail=1&limit=10000": {"data": {"result": {"result": rows}}},
            "/api/cluster_status": {"data": {}},
            "/api/jobs/": [],
        }
        send(handler, json.dumps(known[handler.path]).encode())

    watch = JobWatch(ray_at(serve(answer).address), 0.05)
    try:
        until(lambda: watch.nodes() or watch.away() not in (None, "Ray has not answered yet."))
        return watch.nodes()
    finally:
        watch.close()


@pytest.mark.parametrize("number", [1e9, 1e308, float("inf"), float("nan"), -5, "many"])
def test_numbers_of_gpus_and_cpus_are_bounded(serve: Any, number: Any) -> None:
    found = nodes_of(serve, [node_row(resources_total={"GPU": number, "CPU": number})])
    assert all(0 <= node.free_gpus <= node.gpus <= MOST_GPUS and 0 <= node.cpus <= 10_000 for node in found)


def test_names_and_reasons_are_short_and_inert(serve: Any) -> None:
    name, reason = "\x1b]0;title\x07<img src=x onerror=alert(1)>" + "n" * 10**5, "\x1b[2J" + "r" * 10**6
    alive, dead = nodes_of(serve, [node_row(0, node_name=name), node_row(1, state="DEAD", state_message=reason)])
    for text in (alive.name, dead.reason):
        assert "\x1b" not in text
        assert len(text) < 600


def test_two_nodes_of_one_name_are_one(home: Any, serve: Any) -> None:
    """Ray allows it; as two they would be devices of the same name."""
    (node,) = nodes_of(serve, [node_row(0, node_name="same"), node_row(1, node_name="same")])
    assert (node.name, node.gpus, node.free_gpus, node.cpus) == ("same", 4, 4, 16)


def test_a_cluster_gives_a_bounded_number_of_devices(home: Any, tmp_path: Any) -> None:
    class Many(ProcessScheduler):
        def nodes(self) -> list[Node]:
            return [Node(f"n{i}", 10**9, 10**9) for i in range(100_000)]

    settings = Settings(home=str(home), backend="slurm")
    settings.executor_dir.mkdir(parents=True)
    backend = ClusterBackend(settings, Many(tmp_path), every=0.05)
    try:
        until(lambda: backend.devices(set()), 30)
        assert len(backend.devices(set())) <= 20_000
    finally:
        backend.close()


# ── Slurm ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_users_other_jobs_may_have_any_name() -> None:
    """All of a user's jobs are listed; one of another program must not hide the state of the runs."""
    names = ["a|b", "|||||", "x|1|RUNNING|n|None", "line\nbreak", "", "\x1b[2J", "ü" * 500]
    rows = [f"{number}|RUNNING|node1|None|{name}" for number, name in enumerate(names, 1)]
    found = read_jobs("\n".join([*rows, "99|PENDING||Resources|20260101-000000-abcdef-001", "garbage", "x|y|z|u|v"]))
    assert found[-1].name == "20260101-000000-abcdef-001"
    assert (found[-1].number, found[-1].state) == (99, JobState.WAITING)
    assert [job.name for job in found if job.number < 99] == [name.partition("\n")[0] for name in names]


def test_odd_lines_about_nodes_hide_no_other_node() -> None:
    good = "NodeName=node1 Gres=gpu:2 State=IDLE Partitions=p CPUTot=4"
    odd = [
        "NodeName=node2 Partitions=p CPUTot=many",
        "NodeName=",
        "NodeName=node3",
        "NodeName=n4 Partitions=p Gres=gpu:x",
    ]
    names = [node.name for node in read_nodes("\n".join([*odd, good]), Partition("p", True, True, ""))]
    assert "node1" in names
