"""`db rebuild` gives the same rows: over a living database, and from nothing, of a home that has seen much.

The quick form trains with the stub of the tests of the executor; processes, kills, daemons and webhook are real ones.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
for _room in ("acceptance", "executor", "store"):
    sys.path.insert(0, str(ROOT / "tests" / _room))

import postgres_server  # noqa: E402
from PIL import Image  # noqa: E402
from rebuilding import dump, knowable, states, told  # noqa: E402
from stub_lab import StubLab  # noqa: E402

from imgcls_lab import run_layout, signing  # noqa: E402
from imgcls_lab.config import TrainConfig  # noqa: E402
from imgcls_lab.events import DesiredState, RunKind, RunState  # noqa: E402
from imgcls_lab.identity import ProcessIdentity  # noqa: E402
from imgcls_lab.schemas import ConfigEdit, DatasetEdit, ModelEdit, ProjectEdit, RunEdit, SubmitRequest  # noqa: E402
from imgcls_lab.store import Store, rebuild  # noqa: E402

STUB = {"root": "/data/digits", "model_flavour": "stub", "device": "cpu"}


class Hook:
    """A web server that keeps the ids of the alerts it was posted."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.ids.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["id"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[postgres_server.Server | None]:
    with postgres_server.running() as server:
        yield server


class Home:
    """A home that has seen stops, kills, losses, resumes, a sweep, a notebook, a kernel; and what waits in it."""

    def __init__(self, lab: StubLab) -> None:
        self.lab = lab

    def make(self, folder: Path) -> None:
        lab, store = self.lab, self.lab.store
        for split in ("train", "val"):
            for name in ("a", "b"):
                (folder / split / name).mkdir(parents=True)
                for number in range(2):
                    Image.new("RGB", (8, 8), (number, 0, 9)).save(folder / split / name / f"{number}.png")
        self.project = store.projects.add(ProjectEdit(name="birds", description="two of them", max_running=3)).id
        store.projects.add(ProjectEdit(name="gone"))
        store.projects.delete(next(p.id for p in store.projects.list() if p.name == "gone"))
        store.datasets.add(DatasetEdit(name="spots", root=str(folder), description="made here"))
        store.models.add(ModelEdit(name="a stub", flavour="stub"))
        store.configs.add(ConfigEdit(name="mine", config=STUB, project_id=self.project, description="kept"))

        lab.start_daemon()
        self.good = self.submit("good", steps=8, project=self.project, key="only-once", config={"root": str(folder)})
        self.bad = self.submit("bad", fail_at=3)
        self.lost = self.submit("lost", steps=9, signal_at=7, signal=int(signal.SIGKILL), first_attempt_only=True)
        self.crashed = self.submit("crashed", exit_at=3, exit_code=5)
        for run_id in (self.good, self.bad, self.lost, self.crashed):
            lab.wait(run_id)
        self.stopped = self.submit("stopped", steps=9000)
        self.killed = self.submit("killed", steps=9000)
        self.orphan = self.submit("its supervisor dies", steps=30, step_seconds=0.1)
        for run_id in (self.stopped, self.killed, self.orphan):
            lab.trainer(run_id)
        os.kill(lab.supervisor(self.orphan), signal.SIGKILL)
        lab.kill_daemon()  # in the middle of all that
        store.runs.set_desired_state(self.stopped, DesiredState.STOP)
        store.runs.set_desired_state(self.killed, DesiredState.KILL)
        lab.start_daemon()
        for run_id in (self.stopped, self.killed):
            lab.wait(run_id)
        store.runs.resume(self.stopped)
        lab.until(lambda: lab.state(self.stopped) is RunState.RUNNING)
        lab.trainer(self.stopped)
        store.runs.set_desired_state(self.stopped, DesiredState.STOP)
        lab.wait(self.stopped)
        lab.wait(self.orphan)

        self.sweep = self.submit("sweep", kind=RunKind.SWEEP, steps=5, payload={"request": {"space": {"lr": [1, 2]}}})
        self.trials = [self.submit(f"trial {n}", steps=5, parent=self.sweep, key=f"the-sweep:{n}") for n in range(2)]
        self.notebook = self.submit("notebook", kind=RunKind.NOTEBOOK, steps=5, payload={"parameters": {"epochs": 2}})
        for run_id in (self.sweep, *self.trials, self.notebook):
            lab.wait(run_id)
        self.kernel = self.in_a_kernel()
        lab.until(lambda: self.knows(self.kernel) and lab.state(self.kernel) is RunState.SUCCEEDED)
        self.deleted = self.submit("deleted", steps=5)
        lab.wait(self.deleted)
        store.runs.delete(self.deleted)

        self.living = self.submit("lives", hang_at=7, steps=20)
        lab.until(lambda: lab.run(self.living).step == 6)
        lab.until(lambda: all(hook in ("sent", None) for hook in self.hooks()))
        lab.kill_daemon()
        # what people do while no executor lives
        self.resumed = self.stopped
        store.runs.resume(self.resumed)
        self.waiting = self.submit("waits", steps=5, priority=7)
        store.runs.edit(self.waiting, RunEdit(name="waits, and was renamed", priority=9, project_id=self.project))
        self.after = self.submit("comes after", steps=5, after=[self.waiting, self.good])
        self.called_back = self.submit("called back")
        store.runs.set_desired_state(self.called_back, DesiredState.STOP)
        store.runs.set_desired_state(self.living, DesiredState.STOP)

    def hooks(self) -> list[str | None]:
        return [row["webhook_state"] for row in dump(self.lab.store)["alerts"].values()]

    def submit(self, name: str, *, kind: RunKind = RunKind.TRAIN, **wish: object) -> str:
        given = {key: wish.pop(key, None) for key in ("project", "key", "parent", "priority", "after", "payload")}
        config = {**STUB, **dict(wish.pop("config", {}))}
        request = SubmitRequest(
            kind=kind, config=config if kind is RunKind.TRAIN else {}, name=name, notes=json.dumps(wish),
            project_id=given["project"], idempotency_key=given["key"], parent_id=given["parent"],
            priority=given["priority"] or 0, after=given["after"] or [], payload=given["payload"] or {},
        )  # fmt: skip
        return self.lab.store.runs.submit(request).id

    def in_a_kernel(self) -> str:
        """A training outside the queue, by another process that owns its folder."""
        run_id = run_layout.new_run_id()
        folder = self.lab.settings.run_dir(run_id)
        temporary = self.lab.settings.runs_dir / f".new-{run_id}"
        temporary.mkdir()
        info = {"id": run_id, "kind": "train", "name": "by hand", "notes": '{"steps": 40}', "created_at": time.time()}
        config = TrainConfig(**STUB).model_dump_json().encode()
        run_layout.write_atomic(temporary / run_layout.CONFIG, config)
        signed = signing.signed_info(self.lab.settings.home_path, info, config)
        run_layout.write_atomic(temporary / run_layout.RUN_INFO, json.dumps(signed))
        temporary.rename(folder)
        stub = ROOT / "tests" / "executor" / "stub_trainer.py"
        trainer = subprocess.Popen([sys.executable, str(stub), str(folder), "--attempt", "1"])
        run_layout.write_atomic(folder / run_layout.OWNER, ProcessIdentity.of(trainer.pid).to_json())
        self.lab.until(lambda: self.knows(run_id))
        trainer.wait(30)
        return run_id

    def knows(self, run_id: str) -> bool:
        return bool(self.lab.store.runs.by_id([run_id]))


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_a_rebuild_gives_the_same_rows(
    kind: str, home: Path, hook: Hook, postgres: postgres_server.Server | None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if kind == "postgresql" and postgres is None:
        assert not os.environ.get("CI"), "PostgreSQL is missing, and in CI that is a failure."
        pytest.skip("PostgreSQL is missing; `make system` installs it.")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    lab = StubLab(home, postgres.url() if kind == "postgresql" else None, webhook=hook.url, cpu_slots=3)
    made = Home(lab)
    try:
        made.make(tmp_path / "spots")
        before = dump(lab.store)
        assert set(states(before)) == {"cancelled", "failed", "queued", "running", "succeeded"}
        assert len({(row["state"], row["failure"]) for row in before["attempts"].values()}) >= 6
        posted = list(hook.ids)

        assert rebuild(lab.settings).problems == []
        assert told(f"rebuilt over a living database, {kind}", before, dump(lab.store)) == []

        lab.store.close()
        if postgres is not None and kind == "postgresql":
            postgres.url()  # empties it
        else:
            for file in home.glob("imgcls.db*"):
                file.unlink()
        report = rebuild(lab.settings)
        assert (report.problems, report.new, report.runs) == ([], True, len(before["runs"]))
        lab.store = Store.open(lab.settings)
        after = dump(lab.store)
        assert told(f"rebuilt from nothing, {kind}", knowable(before), knowable(after)) == []
        assert lab.store.check() == []

        # and it all goes on
        lab.start_daemon()
        assert lab.wait(made.living).state is RunState.STOPPED
        lab.store.runs.set_desired_state(made.resumed, DesiredState.KILL)
        for run_id in (made.waiting, made.after):
            assert lab.wait(run_id).state is RunState.SUCCEEDED
        assert lab.run(made.waiting).started_at < lab.run(made.after).started_at
        assert lab.wait(made.resumed).attempt == 3
        assert lab.state(made.called_back) is RunState.CANCELLED
        new = SubmitRequest(
            config={**STUB, "root": str(tmp_path / "spots")}, name="good", idempotency_key="another-one"
        )
        assert lab.store.runs.submit(new).id not in before["runs"]
        lab.until(lambda: {f"{made.waiting}-1-end", f"{made.after}-1-end"} <= set(hook.ids))
        assert set(posted).isdisjoint(hook.ids[len(posted) :]), "what was told is not posted again"
    finally:
        lab.close()


@pytest.mark.slow
def test_a_rebuild_gives_the_same_rows_of_real_trainings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine itself: a loss, a stop and its resume, a sweep and its trials, a training in this process."""
    import imgcls_lab as lab
    from imgcls_lab import demo_data
    from imgcls_lab.api import context
    from imgcls_lab.executor import client
    from imgcls_lab.settings import Settings

    monkeypatch.setenv("IMGCLS_CPU_SLOTS", "2")
    settings = Settings()
    config = demo_data.prepare(settings).config.with_changes(epochs=2, batch_size=64, threads=1)
    try:
        lost, stopped = lab.launch(config, name="lost"), lab.launch(config.with_changes(seed=1), name="stopped")
        for run in (lost, stopped):
            while not run.refresh().view.step:
                time.sleep(0.1)
        os.kill(context.store().runs.get(lost.id).attempts[-1].pid or 0, signal.SIGKILL)
        stopped.stop()
        stopped.wait(120)
        stopped.resume()
        for run in (lost, stopped):
            run.wait(200)
        lab.train(config.with_changes(epochs=1), name="in this process")
        sweep = lab.sweep(config.with_changes(epochs=1), {"lr": [0.001, 0.01]}, name="two")
        sweep.wait(200)
        client.stop(settings)
        before = dump(context.store())
        assert [row["state"] for row in before["runs"].values()] == ["succeeded"] * 6
        assert rebuild(settings).problems == []
        assert told("real trainings, over a living database", before, dump(context.store())) == []
        context.close()
        for file in home.glob("imgcls.db*"):
            file.unlink()
        assert rebuild(settings).problems == []
        assert told("real trainings, from nothing", knowable(before), knowable(dump(context.store()))) == []
    finally:
        client.stop(settings, stop_runs=True)
        context.close()
