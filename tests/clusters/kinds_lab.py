"""A home in PostgreSQL whose daemon, a process, hands runs of all kinds over to a real cluster.

Trainings are the stub; sweeps, notebooks and tasks are the product's own processes.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from PIL import Image

from imgcls_lab import launch_notebook
from imgcls_lab.batch.submit_sweep import submit_sweep
from imgcls_lab.batch.sweep_spec import make_request
from imgcls_lab.batch.sweep_view import sweep_view
from imgcls_lab.config import TrainConfig
from imgcls_lab.events import ENDED, RunKind, RunState
from imgcls_lab.executor.backends.job_scheduler import job_id
from imgcls_lab.identity import ProcessIdentity, owner_of
from imgcls_lab.run_layout import RUN_TAG
from imgcls_lab.schemas import DatasetEdit, RunView, SubmitRequest
from imgcls_lab.store.tables import Attempt
from tests.clusters.notebooks import notebook
from tests.executor.stub_lab import StubLab

# queues a run and waits for it, as the notebook of a user does
TRAINS = """\
import json
import imgcls_lab as lab
from imgcls_lab.api import context
from imgcls_lab.schemas import SubmitRequest
config = lab.TrainConfig(root={root!r}, device="cuda").model_dump(mode="json")
made = context.store().runs.submit(SubmitRequest(config=config, notes=json.dumps({{"steps": 5}})))
run = lab.run(made.id).wait(timeout=300)
print(run.view.state)
assert run.view.state == "succeeded"
"""


class KindsLab(StubLab):
    def __init__(self, home: Path, db_url: str, backend: str, **traits: Any) -> None:
        given = {"stop_grace": 20.0, "lease": 15.0, **traits}
        super().__init__(home, db_url, device="cuda", backend=backend, **given)
        self.folder = home.parent
        self.root = _images(self.folder / "pictures" / "data")

    # ── what it queues ──────────────────────────────────────────────────────────────────────────────────────
    def sweep(self, lrs: list[float], **wish: Any) -> str:
        """A grid over learning rates; wish: what each trial's stub does."""
        (self.root.parent / "wish.json").write_text(json.dumps(wish))
        base = TrainConfig(root=str(self.root), device=self.device, epochs=4).model_dump(mode="json")
        request = make_request(base=base, space={"lr": lrs}, metric="accuracy", device=self.device)
        return submit_sweep(self.store, request, None).id

    def notebook(self) -> str:
        """A notebook that queues a training and waits for it. Needs the home's settings in the environment."""
        path = notebook(self.folder / "waits.ipynb", "a = 1", TRAINS.format(root=str(self.root)))
        return launch_notebook(path, name="waits").id

    def audit(self) -> str:
        dataset = self.store.datasets.add(DatasetEdit(name="pictures", root=str(self.root)))
        found = self.store.audits.start(dataset.id).run_id
        assert found is not None
        return found

    def train(self, parent: str | None = None, **wish: Any) -> str:
        config = TrainConfig(root=str(self.root), device=self.device).model_dump(mode="json")
        return self.store.runs.submit(SubmitRequest(config=config, notes=json.dumps(wish), parent_id=parent)).id

    # ── what became of it ───────────────────────────────────────────────────────────────────────────────────
    def all(self) -> list[RunView]:
        return list(self.store.runs.list(limit=1000).items)

    def trials(self, sweep: str) -> list[RunView]:
        return [run for run in self.all() if sweep in (run.notes or "")]

    def cells(self, sweep: str) -> list[str]:
        return sorted(trial.state for trial in sweep_view(self.store, sweep).trials)

    def driver(self, sweep: str) -> ProcessIdentity:
        """The supervisor of a sweep's driver. Fails where that is a job."""
        with self.store.database.read() as session:
            attempt = session.get(Attempt, (sweep, self.run(sweep).attempt))
            assert attempt is not None
            assert attempt.owner is not None
            owner = owner_of(attempt.owner)
        assert isinstance(owner, ProcessIdentity), owner
        return owner

    def ended(self, run_id: str, *, seconds: float = 300, state: RunState = RunState.SUCCEEDED) -> RunView:
        run = self.wait(run_id, seconds=seconds)
        assert run.state is state, (run, self.log_of(run_id), self.daemon_log()[-3000:])
        return run

    def log_of(self, run_id: str) -> str:
        path = self.settings.run_dir(run_id) / "output.log"
        return path.read_text()[-2000:] if path.exists() else ""

    def living(self) -> list[str]:
        """Runs that have not ended."""
        return [run.id for run in self.all() if run.state not in ENDED]

    def left(self) -> list[int]:
        """Processes of all runs, by what their environments carry."""
        marks = [f"{RUN_TAG}={run.id}/".encode() for run in self.all()]
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                environment = Path(f"/proc/{name}/environ").read_bytes()
                found += [int(name)] if any(mark in environment for mark in marks) else []
        return found

    def whole(self) -> None:
        """Fails where a training wrote a point twice or not at all, or ran beside itself."""
        for run in self.all():
            if run.kind is RunKind.TRAIN and run.state is RunState.SUCCEEDED:
                assert self.steps(run.id) == list(range(1, (run.total_steps or 0) + 1)), run
            assert not (self.settings.run_dir(run.id) / "doubled").exists(), run

    def jobs(self, run_id: str) -> list[str]:
        """The ids of the jobs that a run would have on its cluster."""
        return [job_id(run_id, attempt) for attempt in range(1, self.run(run_id).attempt + 1)]


def _images(root: Path) -> Path:
    for number, name in enumerate(("cat", "dog")):
        for split in ("train", "val"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for k in range(3):
                Image.new("RGB", (40, 40), (number * 90, k * 60, 20)).save(folder / f"{k}.png")
    return root
