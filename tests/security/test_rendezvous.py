"""The store where the nodes of a run meet asks no user: who reaches its port can end the run, and no more than that."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

pytest.importorskip("torch")
from torch._C._distributed_c10d import TCPStore

from imgcls_lab.engine.distributed.node_watch import NodeWatch
from imgcls_lab.engine.distributed.nodes import Node, Rendezvous
from imgcls_lab.errors import ImgclsError, ProcessLostError
from tests.waiting import free_port, until

PICKLE = b"\x80\x04cos\nsystem\n(S'touch /tmp/never'\ntR."
RUBBISH = [b"", b"\xff\xfe", b"null", b"[]", b'{"version": 1}', PICKLE, b"[" * 100_000, b"x" * 10**6]


@contextmanager
def two_nodes() -> Iterator[tuple[NodeWatch, NodeWatch, int]]:
    port = free_port()
    meeting = Rendezvous("127.0.0.1", port)
    watches = [NodeWatch(Node(number, 2, meeting), 1, "same") for number in (0, 1)]
    yield watches[0], watches[1], port
    for watch in reversed(watches):
        watch.close()


def stranger(port: int) -> TCPStore:
    return TCPStore("127.0.0.1", port, None, False, timedelta(seconds=10), wait_for_workers=False)


def meet(*watches: NodeWatch) -> list[object]:
    """What each of them came to."""
    found: dict[int, object] = {}

    def one(number: int, watch: NodeWatch) -> None:
        try:
            found[number] = watch.meet(threading.Event())
        except ImgclsError as error:
            found[number] = error

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(watches)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [found[number] for number in range(len(watches))]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_of_a_stranger_ends_the_attempt_as_lost(rubbish: bytes) -> None:
    """A lost attempt is tried again, at another port."""
    with two_nodes() as (first, second, port):
        assert meet(first, second) == [True, True]
        store = stranger(port)
        store.set("1/end/1", rubbish or b"{")
        until(lambda: first.problem() is not None)
        assert isinstance(first.problem(), ProcessLostError)


@pytest.mark.parametrize("rubbish", RUBBISH[1:], ids=range(1, len(RUBBISH)))
def test_a_stranger_who_says_hello_is_no_node(rubbish: bytes) -> None:
    with two_nodes() as (first, _, port):
        came: list[object] = []
        waiting = threading.Thread(target=lambda: came.extend(meet(first)))
        waiting.start()
        until(lambda: Rendezvous("127.0.0.1", port).answers())
        store = stranger(port)
        store.set("1/hello/1", rubbish)
        store.set("1/beat/1", "1")
        waiting.join(30)
        assert isinstance(came[0], ProcessLostError)


def test_bytes_that_are_no_request_leave_the_nodes_alone() -> None:
    with two_nodes() as (first, second, port):
        assert meet(first, second) == [True, True]
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096, b"\0" * 64, b""):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                client.sendall(data)
        time.sleep(3)
        assert (first.problem(), second.problem()) == (None, None)
