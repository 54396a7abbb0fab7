"""A database of many runs of all kinds, written as the executor would have left them: sweeps, repetitions, failures."""

from __future__ import annotations

import math
import random
import time
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from imgcls_lab.config import TrainConfig
from imgcls_lab.schemas import ProjectEdit
from imgcls_lab.store import Store
from imgcls_lab.store.run_rows import config_columns
from imgcls_lab.store.tables import Attempt, Metric, Run, Tag

MODELS = ("resnet50", "vit-base", "convnext-tiny", "swin-tiny", "regnety-16", "mobilenetv3-l", "effnet-b0")
VARIANTS = ("standard", "label smooth 0.1", "mixup 0.2", "cutmix", "288 px", "EMA", "SGD", "head only", "frozen")
EPOCHS = 12
TAGS = ("metric/accuracy", "metric/macro_f1", "loss/val", "loss/train")
STATES = ("succeeded",) * 12 + ("stopped", "failed", "cancelled", "succeeded")


class Writer:
    """Runs in one session. The first ones are the oldest."""

    def __init__(self, session: Session, home: str, projects: dict[str, int], count: int, owner: str) -> None:
        self.session, self.home, self.projects, self.count, self.owner = session, home, projects, count, owner
        self.rng = random.Random(7)
        self.written = 0
        self.config = TrainConfig.parse({"root": "/data/flowers", "model_flavour": "timm/resnet50", "epochs": EPOCHS})
        self.first = (session.exec(select(func.max(Run.number))).one() or 0) + 1
        self.runs: list[Run] = []
        self.attempts: list[Attempt] = []
        self.points: list[dict[str, Any]] = []
        for name in TAGS:
            if session.exec(select(Tag).where(Tag.name == name)).first() is None:
                session.add(Tag(name=name))
        session.flush()
        self.tags = {tag.name: tag.id for tag in session.exec(select(Tag).where(col(Tag.name).in_(TAGS)))}

    def add(self, name: str, model: str, fields: dict[str, Any], state: str = "succeeded", **columns: Any) -> Run:
        """A training with its attempt and its curves."""
        self.written += 1
        made = time.time() - (self.count - self.written) * 86_400 * 20 / self.count - 900
        project = "flowers" if self.written % 3 else "birds"
        config = self.config.model_copy(
            update={"root": f"/data/{project}", "model_flavour": f"timm/{model}.a1_in1k", **fields}
        )
        done = EPOCHS if state == "succeeded" else self.rng.randint(2, EPOCHS - 2)
        best = 0.88 + 0.08 * self.rng.random()
        live = state == "running"
        values = self._values(best, done)
        run = Run(
            number=self.first + self.written,
            id=f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(made))}-{self.written:06d}",
            payload={},
            kind=columns.pop("kind", "train"),
            name=name,
            owner=self.owner,
            project_id=self.projects[project],
            home=self.home,
            state=state,
            attempt=1,
            created_at=made,
            queued_at=made,
            started_at=made + 20,
            ended_at=None if live else made + 60 * self.rng.randint(6, 190),
            updated_at=made + 100,
            host="lab-1",
            devices=["cuda:0"],
            size=self.rng.randint(20, 400) * 1_000_000,
            step=done * 100,
            total_steps=EPOCHS * 100,
            epoch=float(done),
            failure="out_of_memory" if state == "failed" else None,
            message="CUDA ran out of memory at step 700; a smaller batch_size helps." if state == "failed" else None,
            **{
                **config_columns(config),
                "latest": {tag: values[tag][-1] for tag in TAGS},
                "best_value": max(values["metric/accuracy"]),
                "best_epoch": done,
                **columns,
            },
        )
        self.runs.append(run)
        self._add_attempt(run)
        self._add_points(run, values, made)
        return run

    def _values(self, best: float, epochs: int) -> dict[str, list[float]]:
        rise = [1 - math.exp(-(epoch + 1) / 3) for epoch in range(epochs)]
        noise = [self.rng.gauss(0, 0.004) for _ in rise]
        accuracy = [best * (0.6 + 0.4 * r) + n for r, n in zip(rise, noise, strict=True)]
        return {
            "metric/accuracy": accuracy,
            "metric/macro_f1": [value - 0.01 for value in accuracy],
            "loss/val": [2 * (1 - r) + 0.2 - n for r, n in zip(rise, noise, strict=True)],
            "loss/train": [2 * (1 - r) + 0.1 for r in rise],
        }

    def _add_attempt(self, run: Run) -> None:
        self.attempts.append(
            Attempt(
                run_id=run.id, number=1, state=run.state, host="lab-1", devices=["cuda:0"],
                started_at=run.started_at or 0.0, ended_at=run.ended_at,
            )
        )  # fmt: skip

    def _add_points(self, run: Run, values: dict[str, list[float]], made: float) -> None:
        for tag, series in values.items():
            self.points += [
                {"run_number": run.number, "tag_id": self.tags[tag], "step": (epoch + 1) * 100, "attempt": 1,
                 "seq": epoch, "epoch": epoch + 1.0, "time": made + 60.0 * epoch, "value": value}
                for epoch, value in enumerate(series)
            ]  # fmt: skip

    def sweep(self, name: str, model: str) -> None:
        """A sweep with eight trials."""
        driver = self.add(name, model, {}, kind="sweep", best_value=None, latest={})
        driver.step = driver.total_steps = 8
        for lr in (2e-3, 5e-3, 1e-2, 2e-2):
            for policy in ("standard", "trivial"):
                self.add(f"lr={lr:g}, {policy}", model, {"lr": lr}, parent_id=driver.id)

    def seeds(self, name: str, model: str, lr: float) -> None:
        for seed in range(4):
            self.add(f"{name} seed {seed}", model, {"seed": seed, "lr": lr})

    def single(self) -> None:
        model, variant = self.rng.choice(MODELS), self.rng.choice(VARIANTS)
        fields = {"lr": self.rng.choice((1e-3, 3e-3, 1e-2)), "batch_size": self.rng.choice((32, 64, 128))}
        fields["seed"] = self.written  # no two are repetitions
        fields["weight_decay"] = self.written / 1e6
        self.add(f"{model} {variant}", model, fields, self.rng.choice(STATES))

    def all(self) -> None:
        while self.written < self.count:
            match self.written % 37 if self.written + 9 < self.count else 1:
                case 0:
                    self.sweep("lr × augmentation", self.rng.choice(MODELS))
                case 20:
                    model = self.rng.choice(MODELS)
                    self.seeds(f"{model} lr 2e-3", model, 2e-3)
                case _:
                    self.single()
            if len(self.points) > 20_000:
                self.flush()
        self.flush()

    def flush(self) -> None:
        for rows in (self.runs, self.attempts):
            self.session.add_all(rows)
            self.session.flush()
            rows.clear()
        if self.points:
            self.session.connection().execute(Metric.__table__.insert(), self.points)  # type: ignore[attr-defined]
        self.points.clear()


def write_runs(store: Store, count: int, owner: str = "") -> None:
    """So many runs in two projects, some of them in sweeps and repetitions."""
    projects = {name: store.projects.add(ProjectEdit(name=name)).id for name in ("flowers", "birds")}
    with store.database.write() as session:
        Writer(session, session.info["home"], projects, count, owner).all()
