"""What the home takes, freeing parts of it, and the executor's load and end, over REST."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from serving import Api, ended

from imgcls_lab import home_storage
from imgcls_lab.executor import client
from imgcls_lab.server.app import ImgclsLab
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, deleted_objects
from imgcls_lab.thumbnails.cache import ThumbnailCache

WEBP = b"RIFF" + (92).to_bytes(4, "little") + b"x" * 92


@pytest.fixture
def filled(settings: Settings, store: Store, train: Any) -> Settings:
    """A home with a run that counts 5,000 bytes, two thumbnails, three backups, a compiled model and a model."""
    train()
    with store.database.connection() as connection:
        connection.exec_driver_sql("UPDATE runs SET size = 5000")
    thumbnails = ThumbnailCache(settings.cache_path, 10**6)
    for number in range(2):
        thumbnails.put(f"{number:064x}", 64, WEBP)
    settings.backups_dir.mkdir()
    for day in (1, 2, 3):
        copy = settings.backups_dir / f"imgcls-0011-2026110{day}-120000.db"
        copy.write_bytes(b"x" * 100 * day)
        os.utime(copy, (day * 1000.0, day * 1000.0))
    (settings.backups_dir / "my-own.db").write_bytes(b"x")
    (settings.compiled_dir / "ab").mkdir(parents=True)
    (settings.compiled_dir / "ab" / "kernel.so").write_bytes(b"x" * 300)
    return settings


def parts(reply: Any) -> dict[str, tuple[int, int | None]]:
    return {part["kind"]: (part["size"], part["frees"]) for part in reply.json["parts"]}


async def freed(api: Api, kind: str) -> Any:
    """The task that frees a part, when it has ended."""
    started = await api("POST", "storage/free", {"kind": kind})
    assert started.status == 202
    return await ended(api, started.json)


async def test_each_part_has_its_size_and_what_can_be_freed(api: Api, filled: Settings, model: Path) -> None:
    reply = await api("GET", "storage")
    assert reply.status == 200
    found = parts(reply)
    pictures = 2 * len(WEBP)
    assert found["runs"] == (5000, None)
    assert found["pictures"] == (pictures, pictures)
    assert found["backups"] == (600, 300), "the newest stays, and so does a file that somebody put there"
    assert found["compiled"] == (300, 300)
    assert found["models"] == ((model / "config.json").stat().st_size, None)
    (disk,) = reply.json["disks"]
    assert 0 < disk["free"] < disk["total"]
    assert str(filled.home_path) not in reply.body.decode()


async def test_a_part_is_freed_and_measured_anew(api: Api, filled: Settings, store: Store) -> None:
    assert parts(await api("GET", "storage"))["backups"] == (600, 300)
    assert (await freed(api, "backups"))["freed"] == {"freed": 300}
    assert sorted(path.name for path in filled.backups_dir.iterdir()) == [
        "imgcls-0011-20261103-120000.db",
        "my-own.db",
    ]
    job = await freed(api, "pictures")
    assert (job["freed"], job["total"]) == ({"freed": 2 * len(WEBP)}, 2 * len(WEBP))
    assert parts(await api("GET", "storage"))["backups"] == (300, 0)
    busy = await freed(api, "compiled")  # the run of the fixture lives
    assert (busy["state"], "live" in busy["message"]) == ("failed", True)
    assert (filled.compiled_dir / "ab" / "kernel.so").exists()
    with store.database.connection() as connection:
        connection.exec_driver_sql("UPDATE runs SET state = 'succeeded'")
    assert (await freed(api, "compiled"))["freed"] == {"freed": 300}
    assert not filled.compiled_dir.exists()
    assert parts(await api("GET", "storage"))["compiled"] == (0, 0)


@pytest.mark.parametrize("body", [{"kind": "runs"}, {"kind": "models"}, {"kind": "scans"}, {"kind": "../.."}, {}])
async def test_nothing_else_is_freed(api: Api, filled: Settings, body: Any) -> None:
    before = sorted(filled.home_path.rglob("*"))
    assert (await api("POST", "storage/free", body)).status == 400
    assert sorted(filled.home_path.rglob("*")) == before


async def test_a_link_among_the_backups_is_passed_over(api: Api, filled: Settings, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(b"x" * 1000)
    (filled.backups_dir / "imgcls-0001-20200101-120000.db").symlink_to(other)
    assert parts(await api("GET", "storage"))["backups"] == (600, 300)
    await api("POST", "storage/free", {"kind": "backups"})
    assert other.stat().st_size == 1000


async def test_a_home_is_measured_once_for_all_who_ask(
    api: Api, filled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    measured = []
    real = home_storage.measure
    monkeypatch.setattr(home_storage, "measure", lambda store: measured.append(1) or real(store))
    replies = await asyncio.gather(*(api("GET", "storage") for _ in range(8)))
    assert [reply.status for reply in replies] == [200] * 8
    assert len(measured) == 1


async def test_a_size_that_was_counted_in_part_says_so(
    api: Api, filled: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgcls_lab.run_paths.MAX_FILES", 1)
    with store.database.connection() as connection:
        connection.exec_driver_sql("UPDATE runs SET size = NULL")
    by_kind = {part["kind"]: part for part in (await api("GET", "storage")).json["parts"]}
    assert by_kind["compiled"]["at_least"]
    assert by_kind["runs"]["at_least"]
    assert "1 run" in by_kind["runs"]["note"]
    assert not by_kind["backups"]["at_least"]


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("GET", "storage", None),
        ("POST", "storage/free", {"kind": "pictures"}),
        ("GET", "devices/load", None),
        ("POST", "executor/stop", {}),
        ("POST", "alerts/dismiss", {"ids": ["a"]}),
        ("POST", "alerts/restore", {"ids": ["a"]}),
    ],
)
async def test_without_a_token_nothing_is_told_or_done(
    api: Api, filled: Settings, verb: str, path: str, body: Any
) -> None:
    before = sorted(filled.cache_path.rglob("*"))
    assert (await api(verb, path, body, headers={})).status == 403
    assert sorted(filled.cache_path.rglob("*")) == before


async def test_the_executor_is_started_measured_and_ended(api: Api, settings: Settings) -> None:
    assert (await api("GET", "devices/load")).json["hosts"] == []
    started = await api("POST", "executor/start")
    assert [(item["state"], item["local"]) for item in started.json["executors"]] == [("alive", True)]
    ended = await api("POST", "executor/stop")
    assert (ended.status, client.lives(settings)) == (200, False)
    assert [item["state"] for item in ended.json["executors"]] == ["stopped"]
    assert ended.json["message"]
    again = await api("POST", "executor/stop")
    assert again.status == 200, "one that does not live has ended"


async def test_alerts_are_put_away_over_rest(api: Api, extension: ImgclsLab, store: Store) -> None:
    from imgcls_lab.store import alerts

    with store.database.write() as session:
        alerts.add(session, "disk-here-1", "disk", "The disk is nearly full.", host="here")
    assert (await api("POST", "alerts/dismiss", {"ids": ["disk-here-1", "x"]})).json == {"ids": ["disk-here-1"]}
    assert [item["dismissed"] for item in (await api("GET", "alerts")).json] == [True]
    assert (await api("POST", "alerts/restore", {"ids": ["disk-here-1"]})).json == {"ids": ["disk-here-1"]}
    assert [item["dismissed"] for item in (await api("GET", "alerts")).json] == [False]
    assert (await api("POST", "alerts/dismiss", {"ids": []})).status == 400


async def test_objects_of_deleted_runs_are_a_part_while_they_wait(api: Api, filled: Settings) -> None:
    deleted_objects.note(filled, deleted_objects.Left("20260101-000000-abcdef", "s3://bucket/home", 2_000_000))
    deleted_objects.say_problem(filled, "The object store refuses to delete.")
    waits = next(part for part in (await api("GET", "storage")).json["parts"] if part["kind"] == "objects")
    assert (waits["size"], waits["items"], waits["frees"]) == (2_000_000, 1, None)
    assert waits["note"].endswith("The object store refuses to delete.")
    refused = await api("POST", "storage/free", {"kind": "objects"})
    assert refused.status == 400
    assert "The executor removes them by itself." in refused.json["message"]
