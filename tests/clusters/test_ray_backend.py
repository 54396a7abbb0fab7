"""A run as a job of a real Ray cluster, and what Ray's bad days look like."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import ClassVar

import grpc
import pytest

from imgcls_lab.errors import SchedulerAwayError
from imgcls_lab.executor.backends.job_scheduler import Job
from imgcls_lab.executor.backends.ray import RayScheduler
from imgcls_lab.settings import Settings
from tests.clusters.cluster_lab import ClusterLab
from tests.clusters.ray_cluster import RayCluster, ip
from tests.waiting import free_port


@pytest.fixture
def lab(home: Path, ray_cluster: RayCluster) -> Iterator[ClusterLab]:
    lab = ClusterLab(home, RayScheduler, backend="ray", ray_address=ray_cluster.address, lease=15.0, every=0.5)
    yield lab
    lab.close()


def test_a_run_over_ray_trains_stops_with_a_checkpoint_and_goes_on(lab: ClusterLab):
    run_id = lab.launch(steps=80, hold_at=20)
    lab.rounds(lambda: lab.run(run_id).step > 3)
    place = lab.place(run_id)
    assert place["node"] in (ip(2), ip(3))
    assert place["devices"] in (["0"], ["1"])
    lab.stop_and_go_on(run_id, 80)
    lab.until(lambda: lab.left(run_id) == [])


class Answers(http.server.BaseHTTPRequestHandler):
    """A server that answers everything in one way."""

    code: ClassVar[int] = 200
    text: ClassVar[bytes] = b"<html>"

    def do_GET(self) -> None:
        self.send_response(self.code)
        self.end_headers()
        self.wfile.write(self.text)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None: ...


def away(address: str) -> str:
    """The sentence by which a submission to an address fails for now."""
    with pytest.raises(SchedulerAwayError) as caught:
        RayScheduler(Settings(ray_address=address)).submit(Job("a-001", ("true",)))
    return str(caught.value)


@pytest.mark.parametrize(
    ("code", "text", "named"),
    [
        (200, b"<html>", "IMGCLS_RAY_ADDRESS"),
        (404, b"not found", "IMGCLS_RAY_ADDRESS"),
        (401, b"no token", "RAY_AUTH_TOKEN"),
        (500, b"the head has no memory left", "the head has no memory left"),
    ],
)
def test_an_odd_answer_is_a_sentence_and_ends_nothing(code: int, text: bytes, named: str):
    handler = type("Handler", (Answers,), {"code": code, "text": text})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert named in away(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_no_answer_and_a_wrong_address_are_sentences():
    assert "does not answer" in away(f"http://127.0.0.1:{free_port()}")
    assert "http://HEAD:8265" in away("ray://head:10001")
    finding = RayScheduler(Settings(ray_address="http://127.0.0.1:1")).check()[0]
    assert (finding.ok, "IMGCLS_RAY_ADDRESS" in finding.message) == (False, True)


def test_another_program_at_the_address_is_told_from_a_dashboard(monkeypatch: pytest.MonkeyPatch):
    """One that has other pages, one that speaks Ray's own protocol, one that says nothing, and what is no address."""
    monkeypatch.setattr("imgcls_lab.executor.backends.ray.TIMEOUT", 1.0)
    own = grpc.server(futures.ThreadPoolExecutor(1))
    own_port = own.add_insecure_port("127.0.0.1:0")
    own.start()
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as other,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        threading.Thread(target=other.serve_forever, daemon=True).start()
        said = {}
        silent_port = silent.getsockname()[1]
        for port in (other.server_port, own_port, silent_port):
            (finding,) = RayScheduler(Settings(ray_address=f"http://127.0.0.1:{port}")).check()
            assert not finding.ok
            said[port] = finding.message
        other.shutdown()
    own.stop(None)
    assert "no dashboard of Ray" in said[other.server_port]
    assert "another of Ray's ports" in said[own_port]
    assert "does not answer" in said[silent_port]
    for address in ("127.0.0.1:8265", "ray://head:10001", "head:6379"):
        (finding,) = RayScheduler(Settings(ray_address=address)).check()
        assert "http://HEAD:8265" in finding.message


def test_an_old_ray_is_named_by_doctor(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(RayScheduler, "_version", lambda _: "1.13.0")
    monkeypatch.setattr(RayScheduler, "nodes", lambda _: [])
    monkeypatch.setattr(RayScheduler, "_list", lambda _: [])
    assert "1.13.0" in next(each.message for each in RayScheduler(Settings()).check() if not each.ok)
