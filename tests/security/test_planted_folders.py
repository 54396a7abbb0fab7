"""A run folder that somebody else made is looked at, and nothing of it is executed until its user claims it.

Each test plants folders as a stranger would, has the product find them, and asks for all that could execute them. The
planted code writes its name into a canary file; the process that is named as the owner is an innocent one.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from planting import Trap
from serving import Api
from sqlalchemy import update
from sqlmodel import col, select

import imgcls_lab as lab
from imgcls_lab import signing
from imgcls_lab.api import context, forms
from imgcls_lab.errors import ConflictError, ImgclsError
from imgcls_lab.events import ENDED, DesiredState, RunState
from imgcls_lab.executor import processes
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.executor.daemon import Daemon
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.schemas import BoardRequest, SubmitRequest
from imgcls_lab.server.config_form import form
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, rebuild
from imgcls_lab.store.tables import Run, metadata
from imgcls_lab.tensorboards.registry import BoardRegistry

KINDS = ["train", "notebook", "sweep"]
CONFIG = {"root": "/data/digits", "model_flavour": "tiny", "device": "cpu"}


@pytest.fixture
def own_settings(home: Path) -> Settings:
    return Settings(home=str(home), autostart=False, poll_interval=0.05, start_deadline=20.0)


@pytest.fixture
def local(own_settings: Settings) -> Iterator[Store]:
    with Store.open(own_settings, migrate=True) as store:
        yield store


@pytest.fixture
def trap(own_settings: Settings, tmp_path: Path, innocent: subprocess.Popen[bytes]) -> Trap:
    owner = ProcessIdentity.of(innocent.pid)
    assert owner is not None
    return Trap(own_settings, tmp_path, CONFIG, owner)


def rounds(store: Store, count: int = 12) -> None:
    """A daemon of this home, with its real backend, looks at everything a few times."""
    settings = store.settings
    daemon = Daemon(settings, backend=LocalBackend(settings))
    own = daemon.store_of(store)
    own.register()
    daemon._due["beat"] = float("inf")
    for _ in range(count):
        daemon._due["scan"] = 0.0
        daemon._ownerless = dict.fromkeys(daemon._ownerless, -1e9)
        daemon.round(own)
        time.sleep(0.05)
    daemon.backend.close()


def lives(process: subprocess.Popen[bytes]) -> bool:
    time.sleep(0.2)
    return process.poll() is None


def test_a_daemon_that_finds_planted_folders_starts_and_ends_nothing(
    local: Store, trap: Trap, innocent: subprocess.Popen[bytes]
) -> None:
    states = ("queued", "running", "starting", "stopping", "lost", "stopped")
    ids = [
        trap.plant(kind, state=state, external=external)
        for kind, state, external in itertools.product(KINDS, states, (True, False))
    ]
    rounds(local)
    known = local.runs.by_id(ids)
    assert all(run.view_only and run.state in ENDED for run in known.values()), known
    rebuild(local.settings)
    rounds(local)
    known = local.runs.by_id(ids)
    assert set(known) == set(ids)
    assert all(run.view_only and run.state in ENDED for run in known.values()), known
    assert trap.executed == []
    assert lives(innocent)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_executes_a_run_takes_a_planted_one(
    local: Store, trap: Trap, innocent: subprocess.Popen[bytes], kind: str
) -> None:
    run_id = trap.plant(kind)
    rebuild(local.settings)
    asks: list[Callable[[], Any]] = [
        lambda: local.runs.resume(run_id),
        lambda: local.runs.resume(run_id, {"num_workers": 0}),
        lambda: local.runs.set_desired_state(run_id, DesiredState.STOP),
        lambda: local.runs.set_desired_state(run_id, DesiredState.KILL),
        lambda: BoardRegistry(local.settings, local).choose(BoardRequest(run_ids=[run_id])),
        lambda: lab.run(run_id).resume(),
        lambda: lab.run(run_id).stop(),
        lambda: lab.run(run_id).kill(),
    ]
    for ask in asks:
        with pytest.raises(ConflictError) as refused:
            ask()
        assert (refused.value.reason, refused.value.data["run"]) == ("view_only", run_id)
        assert f"imgcls-lab claim {run_id}" in str(refused.value)
    with local.database.write() as session:  # as if it were queued by some other way
        session.execute(update(Run).where(col(Run.id) == run_id).values(state="queued"))
    rounds(local)
    assert local.runs.get(run_id).state is RunState.FAILED
    assert trap.executed == []
    assert lives(innocent)
    context.close()


def test_a_planted_record_overwrites_no_row_and_no_record_of_ones_own(local: Store, trap: Trap) -> None:
    mine = local.runs.submit(SubmitRequest(config=CONFIG, name="mine"))
    before = local.runs.get(mine.id)
    planted = trap.plant(state="queued")
    info = json.loads((local.settings.run_dir(planted) / "run.json").read_text()) | {"id": mine.id}
    (local.settings.run_dir(mine.id) / "run.json").write_text(json.dumps(info))
    rebuild(local.settings)
    after = local.runs.get(mine.id)
    assert (after.config, after.name, after.state, after.view_only) == (before.config, "mine", RunState.QUEUED, False)
    (local.settings.run_dir(mine.id) / "run.json").write_text(json.dumps({**info, "deleted": True}))
    rebuild(local.settings)
    assert local.runs.get(mine.id).name == "mine"


def test_a_signature_holds_for_one_folder_one_content_and_one_home(local: Store, trap: Trap, tmp_path: Path) -> None:
    mine = local.runs.submit(SubmitRequest(config=CONFIG, name="mine"))
    home, folder = local.settings.home_path, local.settings.run_dir(mine.id)
    assert signing.is_own(home, folder)
    info = json.loads((folder / "run.json").read_text())
    for change in ({"python": "/evil"}, {"kind": "notebook"}, {"payload": {"digest": "x"}}, {"id": "other"}):
        (folder / "run.json").write_text(json.dumps({**info, **change}))
        assert not signing.is_own(home, folder), change
    (folder / "run.json").write_text(json.dumps({**info, "row": {**info["row"], "config": {"plugins": ["/evil.py"]}}}))
    assert not signing.is_own(home, folder)
    (folder / "run.json").write_text(json.dumps(info))
    copied = local.settings.run_dir(f"{mine.id[:-1]}{'0' if mine.id[-1] != '0' else '1'}")
    shutil.copytree(folder, copied)
    assert not signing.is_own(home, copied)
    linked = tmp_path / mine.id
    linked.symlink_to(folder)
    assert not signing.is_own(home, linked)
    with Store.open(Settings(home=str(tmp_path / "other"), autostart=False), migrate=True) as other:
        (shutil.copytree(folder, other.settings.run_dir(mine.id)) / "config.json").write_text(json.dumps(CONFIG))
        rebuild(other.settings)
        assert other.runs.get(mine.id).view_only
    assert (home / signing.KEY).stat().st_mode & 0o777 == 0o600
    assert trap.executed == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_not_ones_own_and_cannot_be_claimed(local: Store, trap: Trap) -> None:
    mine = local.runs.submit(SubmitRequest(config=CONFIG)).id
    os.chown(local.settings.run_dir(mine), 65534, 65534)
    assert not signing.is_own(local.settings.home_path, local.settings.run_dir(mine))
    planted = trap.plant()
    os.chown(local.settings.run_dir(planted), 65534, 65534)
    rebuild(local.settings)
    with pytest.raises(ConflictError) as refused:
        local.runs.claim(planted)
    assert refused.value.reason == "foreign_folder"
    assert local.runs.get(planted).view_only


@pytest.mark.parametrize(
    "name", ["output.log", "heartbeat", "checkpoints", "tensorboard", "plugins/02-x.py", ".end-reserve"]
)
def test_a_run_with_a_link_out_of_its_folder_cannot_be_claimed(local: Store, trap: Trap, name: str) -> None:
    planted = trap.plant()
    path = local.settings.run_dir(planted) / name
    if path.is_dir():
        shutil.rmtree(path)
    outside = trap.base / "outside"
    outside.mkdir()
    path.symlink_to(outside)
    rebuild(local.settings)
    with pytest.raises(ConflictError) as refused:
        local.runs.claim(planted)
    assert refused.value.reason == "link_outside"
    assert list(outside.iterdir()) == []


def test_a_claim_shows_what_is_executed_takes_no_interpreter_and_starts_nothing(local: Store, trap: Trap) -> None:
    run_id = trap.plant(state="queued")
    rebuild(local.settings)
    shown = local.runs.claim_view(run_id)
    assert [Path(plugin.path).name for plugin in shown.plugins] == ["01-evil.py"]
    assert shown.python == sys.executable
    plugin = local.settings.run_dir(run_id) / "plugins" / "01-evil.py"
    text = plugin.read_text()
    plugin.write_text(text + "# changed\n")
    with pytest.raises(ConflictError) as refused:
        local.runs.claim(run_id, shown.digest)
    assert refused.value.reason == "claim_changed"
    plugin.write_text(text)
    claimed = local.runs.claim(run_id, shown.digest)
    assert not claimed.view_only
    assert claimed.state in ENDED
    with local.database.read() as session:
        assert session.exec(select(Run.python).where(Run.id == run_id)).one() == sys.executable
    rounds(local, 3)
    assert trap.executed == []
    assert signing.is_own(local.settings.home_path, local.settings.run_dir(run_id))
    with pytest.raises(ConflictError) as refused:
        local.runs.claim(run_id)
    assert refused.value.reason == "not_view_only"
    assert local.runs.resume(run_id).state is RunState.QUEUED


def test_yesterdays_folders_are_ones_own_by_one_word(local: Store) -> None:
    """A version that signed nothing left these; the database was lost."""
    ids = [local.runs.submit(SubmitRequest(config=CONFIG, name=name)).id for name in ("first", "second")]
    with local.database.write() as session:
        for table in reversed(metadata.sorted_tables):
            if table.name != "counters":
                session.execute(table.delete())
        session.info.clear()
    for run_id in ids:
        path = local.settings.run_dir(run_id) / "run.json"
        info = json.loads(path.read_text())
        del info["signature"]
        info["row"].pop("view_only")
        path.write_text(json.dumps(info))
        (path.parent / "config.json").write_text(json.dumps(CONFIG))
    assert rebuild(local.settings).view_only == 2
    assert all(local.runs.get(run_id).view_only for run_id in ids)
    assert rebuild(local.settings, mine=True).view_only == 0
    states = {local.runs.get(run_id).name: local.runs.get(run_id).state for run_id in ids}
    assert states == {"first": RunState.QUEUED, "second": RunState.QUEUED}


def test_a_row_that_the_database_has_is_ones_own_whatever_its_folder_lacks(local: Store) -> None:
    run_id = local.runs.submit(SubmitRequest(config=CONFIG)).id
    path = local.settings.run_dir(run_id) / "run.json"
    path.unlink()
    rebuild(local.settings)
    assert not local.runs.get(run_id).view_only
    assert signing.is_own(local.settings.home_path, path.parent)


async def test_over_rest_a_planted_run_is_looked_at_and_nothing_else(
    api: Api,
    store: Store,
    settings: Settings,
    tmp_path: Path,
    config: dict[str, Any],
    innocent: subprocess.Popen[bytes],
) -> None:
    owner = ProcessIdentity.of(innocent.pid)
    assert owner is not None
    trap = Trap(settings, tmp_path, config, owner)
    ids = {kind: trap.plant(kind) for kind in KINDS}
    rebuild(settings)
    for run_id in ids.values():
        assert (await api("GET", f"runs/{run_id}")).json["view_only"] is True
        for action in ("resume", "stop", "kill"):
            reply = await api("POST", f"runs/{run_id}/{action}")
            assert (reply.status, f"imgcls-lab claim {run_id}" in reply.json["message"]) == (409, True)
        assert (await api("POST", "tensorboards", {"run_ids": [run_id]})).status == 409
    # what a claim would execute must be allowed by the same rules as what is submitted
    for kind in ("train", "sweep"):
        shown = (await api("GET", f"runs/{ids[kind]}/claim")).json
        reply = await api("POST", f"runs/{ids[kind]}/claim", {"digest": shown["digest"]})
        assert (reply.status, [problem["field"] for problem in reply.json["problems"]]) == (403, ["plugins"])
    settings.allow_plugins = True
    reply = await api("POST", f"runs/{ids['train']}/claim", {"digest": "0" * 64})
    assert reply.status == 403  # evil.py lies outside the allowed roots
    assert all(store.runs.get(run_id).view_only for run_id in ids.values())
    assert trap.executed == []
    assert lives(innocent)


async def test_a_resume_over_rest_asks_what_a_submit_asks(
    api: Api, store: Store, settings: Settings, config: dict[str, Any]
) -> None:
    run = store.runs.submit(SubmitRequest(config={**config, "plugins": ["/home/me/mine.py"]}))
    store.runs.set_desired_state(run.id, DesiredState.KILL)
    reply = await api("POST", f"runs/{run.id}/resume")
    assert (reply.status, [problem["field"] for problem in reply.json["problems"]]) == (403, ["plugins"])
    assert store.runs.get(run.id).state is RunState.CANCELLED
    assert store.runs.resume(run.id).state is RunState.QUEUED  # from a notebook or the command line


async def test_a_plugin_is_not_taken_out_of_a_runs_folder(
    api: Api, settings: Settings, tmp_path: Path, config: dict[str, Any], innocent: subprocess.Popen[bytes]
) -> None:
    """A clone of a planted run could name the copy that lies in its folder."""
    settings.allow_plugins = True
    owner = ProcessIdentity.of(innocent.pid)
    assert owner is not None
    planted = settings.run_dir(Trap(settings, tmp_path, config, owner).plant())
    reply = await api("POST", "runs", {"config": {**config, "plugins": [str(planted / "plugins" / "01-evil.py")]}})
    assert (reply.status, [problem["field"] for problem in reply.json["problems"]]) == (403, ["plugins"])


def test_a_config_of_a_planted_run_names_no_plugins_in_python(local: Store, trap: Trap) -> None:
    run_id = trap.plant()
    rebuild(local.settings)
    assert lab.run(run_id).view.config["plugins"]
    assert lab.run(run_id).config.plugins == ()
    assert forms._start(local)["plugins"] == []
    assert form(local.settings, local).start["plugins"] == []
    context.close()


def test_a_supervisor_executes_no_file_of_a_folder(local: Store, trap: Trap) -> None:
    folder = local.settings.run_dir(trap.plant())
    started = subprocess.run(
        [sys.executable, "-m", "imgcls_lab.executor.supervisor", str(folder / "launch-002.json")],
        stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert started.returncode != 0
    assert trap.executed == []
    assert not processes.tagged(processes.tag_of(folder.name, 2))


def test_plugins_in_a_folder_are_executed_by_nobody(local: Store, trap: Trap) -> None:
    """`train --out` and `replay` take folders that no database knows."""
    from imgcls_lab.engine.training import plugins

    folder = local.settings.run_dir(trap.plant())
    record = json.loads((folder / "manifest.json").read_text())["plugins"]
    with pytest.raises(ImgclsError) as refused, plugins.active(folder, record):
        pass
    assert refused.value.reason == "plugin_not_signed"
    assert trap.executed == []


def test_a_notebook_runner_executes_only_what_was_queued(local: Store, trap: Trap) -> None:
    from imgcls_lab.batch.notebook_runner import NotebookRun

    planted = local.settings.run_dir(trap.plant("notebook"))
    with pytest.raises(ConflictError) as refused:
        NotebookRun(planted, 9)._papermill()
    assert refused.value.reason == "view_only"
    info = json.loads((planted / "run.json").read_text())
    (planted / "run.json").write_text(json.dumps(signing.signed_info(local.settings.home_path, info)))
    (planted / "source.ipynb").write_text((planted / "source.ipynb").read_text() + " ")
    with pytest.raises(ConflictError) as refused:
        NotebookRun(planted, 8)._papermill()
    assert refused.value.reason == "notebook_changed"
    assert trap.executed == []


@pytest.mark.parametrize("name", ["checkpoints", "tensorboard"])
def test_a_deletion_of_a_planted_run_removes_nothing_outside_its_folder(local: Store, trap: Trap, name: str) -> None:
    """The names of one's own runs are no secret, and a run in another home can have the same."""
    run_id = trap.plant()
    mine = trap.base / "another-home" / "runs" / run_id
    mine.mkdir(parents=True)
    (mine / "weights").write_text("precious")
    place = local.settings.run_dir(run_id) / name
    shutil.rmtree(place, ignore_errors=True)
    place.symlink_to(mine)
    rebuild(local.settings)
    local.runs.delete(run_id)
    assert not local.settings.run_dir(run_id).exists()
    assert (mine / "weights").read_text() == "precious"


NONSENSE: dict[str, dict[str, Any]] = {
    "run.json": {
        "created_at": ["x", [], "nan", "1e400", -1e30], "name": [[], 7, "x" * 100_000, "\ud800"],
        "gpus": ["x", [], 2**70], "device": [[], 5, {}], "host": [[], 5], "kind": [[], {}, 5],
        "parent_id": [[], {}, 5, "x"], "payload": [5, {"a": 1}],
        "project": [[], 5, "x" * 100_000], "notes": [[], 5], "row": [5, [], {"external": True}, {"number": "x"}],
        "attempts": [5, [5]], "format": ["x", []], "id": [5, None, []],
    },
    "exit-001.json": {
        "code": ["x", [], 2**70], "signal": ["x", [], 2**70, -1], "t": ["x", [], 1e300], "message": [[], 5, {}],
        "asked": [[], 5], "started": ["x"], "forced": [[]],
    },
    "owner.json": {"pid": [2**70, -1, 0, "x", []], "machine_id": [5, [], None], "start_time": [[], 5]},
    "config.json": {"epochs": ["x", [], 2**70], "root": [[], 5, "x\0y"], "plugins": [5, {}, [5]], "lr": ["nan", 2**70]},
}  # fmt: skip


def test_folders_of_nonsense_keep_no_run_of_ones_own_waiting(local: Store, trap: Trap) -> None:
    """Every kind of damage at once; then a run of one's own must start within the same rounds."""
    planted = 0
    for file, fields in NONSENSE.items():
        for field, values in fields.items():
            for value in values:
                path = local.settings.run_dir(trap.plant(external=True)) / file
                path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
                planted += 1
    for name in ("events-99999999999999999999.jsonl", "launch-99999999999999999999.json", "events-000.jsonl"):
        (local.settings.run_dir(trap.plant()) / name).write_text("{}")
    for text in ("[]", "5", "null", '"x"', "{", "[" * 100_000, "\0"):
        for file in NONSENSE:
            (local.settings.run_dir(trap.plant()) / file).write_text(text)
    mine = local.runs.submit(SubmitRequest(config={**CONFIG, "root": str(trap.base)}, name="mine"))
    rounds(local, 3)
    assert local.runs.get(mine.id).attempt == 1
    assert local.runs.list(limit=1000).total > planted // 2
    assert all(run.view_only for run in local.runs.list(limit=1000).items if run.id != mine.id)
    assert rebuild(local.settings).problems  # it names those that are no runs
    assert local.check() is not None
    assert trap.executed == []
