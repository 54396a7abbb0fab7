"""1,000 nodes and 100,000 waiting runs on a real PostgreSQL: `python -m benchmarks cluster` as a test.

The quick forms count what a run asks of the database, which a busy machine does not change. The slow one takes the
times, and needs the machine for itself.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import cluster, frame, lives
from benchmarks.lists import new_database
from benchmarks.timing import percentile
from tests.store.postgres_server import Server

QUERIES = 30  # a claim, at most, with its start, its end and its part of all rounds
STATEMENTS = {"start": 8, "first event": 6, "end": 6}  # of one run, at most; by itself, an end asks about 28
KB = 100  # the same on the wire, at most: a page of the queue, not the queue


def show(what: str, found: float, target: str) -> None:
    print(f"{what}: {frame.number(found)} (target {target})")


def test_a_claim_asks_little_of_a_long_queue(postgres: Server, tmp_path: Path) -> None:
    """All slots become free at once; 3,000 runs of 20 users wait."""
    size = cluster.Size(nodes=16, queued=3_000, rate=20.0, seconds=0.0, hosts=0)
    with cluster.waiting_runs(tmp_path, size, new_database(postgres.port, "cluster_scale")) as store:
        fill, _ = cluster.one_daemon(store, size, settled=0.0)
    assert fill.claimed == 16 * cluster.GPUS
    queries, wire = fill.usage.queries / fill.claimed, fill.usage.wire / fill.claimed / 1e3
    print()
    show("queries a claim", queries, f"at most {QUERIES}")
    show("kB between daemon and database a claim", wire, f"at most {KB}")
    assert queries <= QUERIES
    assert wire <= KB


def test_first_events_and_ends_of_many_runs_share_their_statements(postgres: Server, tmp_path: Path) -> None:
    slots = lives.QUICK_SLOTS
    with lives.open_store(tmp_path, slots, new_database(postgres.port, "cluster_lives")) as store:
        parts = lives.lives(store, slots)
    print()
    for name, part in parts.items():
        show(f"statements of a run, {name}", part.statements, f"at most {STATEMENTS[name]}")
    assert all(part.statements <= STATEMENTS[name] for name, part in parts.items())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_100000_waiting_runs_of_1000_nodes(postgres: Server, tmp_path: Path) -> None:
    with cluster.waiting_runs(tmp_path, cluster.FULL, new_database(postgres.port, "cluster_full")) as store:
        fill, steady = cluster.one_daemon(store, cluster.FULL)
    late = percentile(steady.waits, 0.99)
    print()
    show("claims a second while slots are free", fill.rate, "at least 50")
    show("s from a free device to its claim, p99", late, "at most 1")
    show("cores that the database takes", steady.usage.database_cpu / steady.usage.seconds, "none")
    assert fill.rate >= 50
    assert late <= 1
