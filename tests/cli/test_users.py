"""`imgcls-lab users`: lists the users of the database, and sets their weights and limits."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))


import imgcls_lab as lab
from cli.conftest import Command
from imgcls_lab import TrainConfig
from imgcls_lab.api import context
from imgcls_lab.identity import user_name
from imgcls_lab.schemas import UserView
from imgcls_lab.settings import Settings
from tests.store.postgres_server import Server


@pytest.fixture(autouse=True)
def _idle(idle: Settings) -> None: ...


def listed(imgcls: Command, *words: str) -> list[UserView]:
    done = imgcls("users", *words, "--json")
    assert done.code == 0, done.err
    return [UserView.model_validate(item) for item in json.loads(done.out)]


def test_users_are_listed_and_set(imgcls: Command, few: TrainConfig) -> None:
    assert imgcls("users").out == "No user has runs or limits.\n"
    lab.launch(few)
    (mine,) = listed(imgcls)
    assert (mine.name, mine.weight, mine.max_devices, mine.queued, mine.due) == (user_name(), 1.0, None, 1, 1.0)

    done = imgcls("users", "bob", "--weight", "2", "--max-devices", "3", "--max-disk", "1.5")
    assert (done.code, done.err) == (0, "")
    (bob,) = listed(imgcls, "bob")
    assert (bob.weight, bob.max_devices, bob.max_disk_gb, bob.due) == (2.0, 3, 1.5, None)
    assert {user.name for user in listed(imgcls)} == {"bob", user_name()}
    table = [line.split() for line in imgcls("users").out.splitlines()]
    assert table[0][:4] == ["user", "weight", "used", "due"]
    assert ["bob", "2", "0", "%", "0", "of", "3", "0", "of", "1.5", "GB"] in table

    (bob,) = listed(imgcls, "bob", "--max-devices", "0", "--admin")
    assert (bob.weight, bob.max_devices, bob.max_disk_gb, bob.admin) == (2.0, 0, 1.5, True)
    (bob,) = listed(imgcls, "bob", "--max-devices", "none", "--max-disk", "none")
    assert (bob.max_devices, bob.max_disk_gb) == (None, None)
    acts = [event for event in json.loads(imgcls("events", "--json").out) if event["kind"] == "user"]
    assert [(event["subject_id"], event["way"]) for event in acts] == [("bob", "cli")] * 3
    assert acts[0]["details"] == {"changed": {"max_devices": [0, None], "max_disk_gb": [1.5, None]}}


@pytest.mark.parametrize(
    "words",
    [
        ("bob", "--weight", "0"),
        ("bob", "--weight", "nan"),
        ("bob", "--weight", "many"),
        ("bob", "--max-devices", "-1"),
        ("bob", "--max-devices", "2.5"),
        ("bob", "--max-devices", "all"),
        ("bob", "--max-disk", "-3"),
        ("bob", "--max-disk", "inf"),
        ("", "--weight", "2"),
        ("bo\x1b[31mb", "--weight", "2"),
        ("--weight", "2"),
        ("bob",),
    ],
)
def test_bad_input_is_named_and_sets_nothing(imgcls: Command, words: tuple[str, ...]) -> None:
    done = imgcls("users", *words)
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err
    option = next((word.lstrip("-").replace("-", "_") for word in words[1:] if word.startswith("--")), "")
    assert option in done.err.replace("-", "_") or words[0] in ("", "bo\x1b[31mb")
    assert listed(imgcls) == []


def test_a_rebuild_without_the_database_says_that_weights_and_limits_are_lost(
    imgcls: Command, few: TrainConfig, idle: Settings
) -> None:
    assert imgcls("projects", "add", "birds").code == 0  # a registry, which comes back
    lab.launch(few, project="birds")
    assert imgcls("users", "bob", "--weight", "2", "--max-devices", "3").code == 0
    kept = imgcls("db", "rebuild")
    assert (kept.code, "new one" in kept.out) == (0, False)
    assert [user.name for user in listed(imgcls) if user.weight > 1] == ["bob"]

    context.close()
    for path in idle.home_path.glob("imgcls.db*"):
        path.unlink()
    lost = imgcls("db", "rebuild")
    assert (lost.code, "new one" in lost.out) == (0, True)
    assert [user.name for user in listed(imgcls)] == [user_name()]  # bob's are gone, the run is there
    assert [event for event in json.loads(imgcls("events", "--json").out) if event["kind"] == "user"] == []
    words = {"who did what", "weights", "limits", "imgcls-lab users"}
    assert {word for word in words if word in lost.out} == words
    assert "data sets" not in lost.out


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch, postgres: Server) -> Iterator[None]:
    """A PostgreSQL whose tables ada makes."""
    monkeypatch.setenv("IMGCLS_DB_URL", postgres.url())
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    yield
    context.close()
    monkeypatch.delenv("IMGCLS_DB_URL")


@pytest.mark.usefixtures("shared")
def test_only_administrators_set(imgcls: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert imgcls("db", "migrate").code == 0
    assert imgcls("users", "bob", "--max-devices", "1").code == 0
    context.close()
    monkeypatch.setenv("JUPYTERHUB_USER", "bob")
    done = imgcls("users", "bob", "--max-devices", "none")
    assert (done.code, done.out, len(done.err.splitlines())) == (3, "", 1)
    assert "ada" in done.err
    (bob,) = listed(imgcls, "bob")  # everybody sees
    assert bob.max_devices == 1
    refused = json.loads(imgcls("events", "--user", "bob", "--json").out)
    assert [(event["kind"], event["subject_id"], event["refused"]) for event in refused] == [("user", "bob", True)]
