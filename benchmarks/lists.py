"""Long lists of runs: a page over REST, and how list, claim and the daemon's rounds grow with the number of runs.

A table of n runs of five projects, half of them waiting, the rest ended, with configs of the usual length. The
sizes are measured in turn in one process, so that the ratio of two of them is of the same minute.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import insert, text, update
from sqlmodel import col, select

from benchmarks import labs
from benchmarks.frame import Line, reported
from benchmarks.timing import best, in_turn, percentile, seconds
from imgcls_lab.config import TrainConfig
from imgcls_lab.events import RunState
from imgcls_lab.executor.daemon import Daemon
from imgcls_lab.schemas import ProjectEdit, SubmitRequest
from imgcls_lab.store import Store, attempts
from imgcls_lab.store.tables import Counter, Project, Run
from tests.store import postgres_server

SIZES = (1_000, 10_000, 100_000)
PAGE = 200
GROWTH = math.log(SIZES[-1]) / math.log(SIZES[0])  # from the smallest to the largest: 1.67
STATES = ((RunState.QUEUED, 0.5), (RunState.SUCCEEDED, 0.35), (RunState.FAILED, 0.1), (RunState.STOPPED, 0.05))
BY_METRIC: dict[str, Any] = {"states": [RunState.SUCCEEDED], "sort": "best", "limit": PAGE}


def measure(folder: Path, quick: bool) -> list[Line]:
    sizes = (2_000, 20_000) if quick else SIZES  # a round looks at up to 1,000 waiting runs, and half of all wait
    lines = _rest(folder / "rest", rounds=10 if quick else 40)
    with ExitStack() as stack:
        urls: dict[str, dict[int, str | None]] = {"SQLite": dict.fromkeys(sizes)}
        server = stack.enter_context(postgres_server.running())
        if server is not None:
            urls["PostgreSQL"] = {size: new_database(server.port, f"runs_{size}") for size in sizes}
        else:
            lines.append(Line("growth on PostgreSQL", None, None, "", note="no PostgreSQL here; `make system`"))
        for name, places in urls.items():
            lines += _growth(folder, name, places, rounds=5 if quick else 15)
    return lines


def _rest(folder: Path, rounds: int) -> list[Line]:
    """10,000 runs, page after page, as the panel asks for them."""
    with filled(folder, 10_000, None) as store:
        project = store.projects.list()[1].id
        home = store.settings.home_path
    lines = []
    with labs.serving(folder / "server", home) as (_, asker):
        questions: dict[str, dict[str, Any]] = {
            "the newest": {},
            "filtered by state, sorted by its metric": {"state": "succeeded", "sort": "best"},
            "of one project and two states, sorted by its metric, page 3": {
                "project": project, "state": ["succeeded", "failed"], "sort": "best", "order": "asc",
                "offset": 2 * PAGE,
            },
            "sorted by learning rate": {"sort": "lr"},
            "found by a setting and a metric, sorted by its metric": {
                "where": "weight_decay>0 metric/accuracy>0.1", "sort": "best",
            },
            "found by a tag or none, sorted by size": {"where": "tag=none", "sort": "size"},
            "sorted by a setting, with 3 further columns and curves": {
                "sort": "weight_decay", "columns": "optimizer,weight_decay,metric/accuracy", "curves": "1",
            },
        }  # fmt: skip
        for what, query in questions.items():
            body = json.loads(asker.get("runs", **query, limit=PAGE)[1])
            assert len(body["items"]) == PAGE, body
            times = [asker.get("runs", **query, limit=PAGE)[0] for _ in range(rounds)]
            note = f"p95 {percentile(times, 0.95) * 1e3:.0f} ms"
            lines.append(Line(f"10,000 runs, a page of 200: {what}", 50, percentile(times, 0.5) * 1e3, "ms", note=note))
        folded = [asker.get("runs/groups", group="sweep,seeds", limit=PAGE)[0] for _ in range(rounds)]
        note = f"p95 {percentile(folded, 0.95) * 1e3:.0f} ms"
        lines.append(Line("10,000 runs folded by sweep and seeds", 50, percentile(folded, 0.5) * 1e3, "ms", note=note))
        found = [asker.get("runs", q="needle", limit=PAGE)[0] for _ in range(rounds)]
        lines.append(reported("10,000 runs searched for a word", percentile(found, 0.5) * 1e3, "ms"))
    return lines


def _growth(folder: Path, database: str, urls: dict[int, str | None], rounds: int) -> list[Line]:
    works: dict[str, Callable[[Store], object]] = {
        "list by date": lambda store: store.runs.list(limit=PAGE),
        "list by metric": lambda store: store.runs.list(**BY_METRIC),
        "claim": _claim,
        "an idle daemon's round": _idle_round,
    }
    lines = []
    with ExitStack() as stack:
        stores = {
            size: stack.enter_context(filled(folder / f"{database}-{size}", size, url)) for size, url in urls.items()
        }
        for what, work in works.items():
            contestants = {str(size): partial(seconds, partial(work, store)) for size, store in stores.items()}
            in_turn(contestants, 1)
            times = {int(size): best(found) * 1e3 for size, found in in_turn(contestants, rounds).items()}
            smallest, largest = min(times), max(times)
            target = math.log(largest) / math.log(smallest)
            note = ", ".join(f"{size:,}: {took:.1f} ms" for size, took in times.items())
            title = f"{database}, {what}: {largest:,} runs against {smallest:,}"
            lines.append(Line(title, target, times[largest] / times[smallest], "times", note=note))
    return lines


def _claim(store: Store) -> None:
    with store.database.write() as session:
        assert attempts.claim(session, "bench-host", "bench", lambda run: [f"cpu:{run.number}"]) is not None


def _idle_round(store: Store) -> None:
    """What a daemon does three times a second while nothing changes: here all runs wait, since none may start."""
    daemon = daemons.setdefault(store, Daemon(store.settings))
    daemon.round(daemon.store_of(store))


daemons: dict[Store, Daemon] = {}


def new_database(port: int, name: str) -> str:
    """A new database of a running PostgreSQL server; its URL."""
    with psycopg.connect(f"postgresql://lab@127.0.0.1:{port}/postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"postgresql://lab@127.0.0.1:{port}/{name}"


@contextmanager
def filled(
    folder: Path, count: int, url: str | None, states: Sequence[tuple[RunState, float]] = STATES
) -> Iterator[Store]:
    """An open store with so many runs, of an even mix of projects and of these states."""
    rng = random.Random(count)
    settings = labs.settings(folder, cpu_slots=0, **({"db_url": url} if url else {}))
    with Store.open(settings, migrate=True) as store:
        projects = [store.projects.add(ProjectEdit(name=f"project {number}")).id for number in range(5)]
        config = TrainConfig.parse({**labs.CONFIG, "model_flavour": "microsoft/resnet-18"}).model_dump(mode="json")
        template = store.runs.submit(SubmitRequest(config=config, notes="a word or two of what this run is to show"))
        with store.database.read() as session:
            row = session.exec(select(Run).where(Run.id == template.id)).one().model_dump(exclude={"number"})
        rows = [_row(row, number, rng, projects, states) for number in range(1, count)]
        table: Any = Run
        for start in range(0, len(rows), 2000):
            with store.database.write() as session:
                session.execute(insert(table.__table__), rows[start : start + 2000])
        with store.database.write() as session:  # as if each had been changed: nobody shall find them new
            session.execute(update(Counter).where(col(Counter.name) == "changes").values(value=count))
        if url:  # what its autovacuum does within a minute; nobody does it for SQLite
            with store.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))
        with store.database.read() as session:
            assert len(session.exec(select(Project.id)).all()) == 6
        yield store


def _row(
    template: dict[str, Any],
    number: int,
    rng: random.Random,
    projects: list[int],
    states: Sequence[tuple[RunState, float]],
) -> dict[str, Any]:
    state = rng.choices([state for state, _ in states], [share for _, share in states])[0]
    ended = state is not RunState.QUEUED
    best_value = rng.random() if ended and rng.random() < 0.9 else None
    return {
        **template,
        "id": f"{template['id'][:-6]}{number:06d}",
        "name": f"run {number}",
        "project_id": rng.choice(projects),
        "state": state.value,
        "priority": rng.choice([0, 0, 0, 1]),
        "created_at": template["created_at"] + number,
        "queued_at": template["queued_at"] + number,
        "updated_at": template["updated_at"] + number,
        "change": number,
        "lr": 10 ** rng.uniform(-5, -1),
        "best_metric": None if best_value is None else "metric/accuracy",
        "best_value": best_value,
        "best_epoch": None if best_value is None else 3,
        "best_step": None if best_value is None else 300,
        "latest": {tag: rng.random() for tag in ("loss/train", "loss/val", "metric/accuracy", "lr")},
        "repetition": f"{number // 4:x}",  # four seeds each
        "idempotency_key": None,
    }
