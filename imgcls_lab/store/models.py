"""The registry of models: hub ids, local folders, checkpoints of runs. Called through `Store`.

Whether the hub has a model is seen when a run loads it; what is said of one comes from its files on this machine.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import func
from sqlmodel import Session, col, select

from imgcls_lab import model_facts, model_folder
from imgcls_lab.errors import InputError, NotFoundError, Problem
from imgcls_lab.events import ACTIVE, RunState
from imgcls_lab.model_folder import ModelFileError
from imgcls_lab.run_layout import BEST, CHECKPOINTS
from imgcls_lab.schemas import CachedModel, CheckpointModel, MadeBy, ModelEdit, ModelFacts, ModelView
from imgcls_lab.schemas.limits import MAX_NAME
from imgcls_lab.settings import Settings
from imgcls_lab.store import homes, rights
from imgcls_lab.store.collection import Collection
from imgcls_lab.store.database import Database
from imgcls_lab.store.run_rows import find_run
from imgcls_lab.store.tables import Artifact, Model, Run


class Models(Collection[Model, ModelEdit, ModelView]):
    """Models of the hub, of local folders, or of runs."""

    table = Model
    edit_type = ModelEdit
    noun = "model"
    used_by = {"run": Run.model_id}  # noqa: RUF012

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__(database)
        self._settings = settings

    def cached(self) -> list[CachedModel]:
        """The models for images in the hub's cache on this machine."""
        known = {model.flavour: model.name for model in self.list()}
        return [
            CachedModel(flavour=flavour, facts=facts, registered=known.get(flavour))
            for flavour, facts in model_facts.cached()
        ]

    def of_checkpoint(self, request: CheckpointModel) -> ModelEdit:
        """What `add` takes to register a checkpoint of a run. Raises NotFoundError."""
        with self._database.read() as session:
            run = find_run(session, request.run_id)
            homes.check_here(session, run)
            row = find_checkpoint(session, run.id, request.checkpoint)
            if row is None:
                raise NotFoundError(
                    f"The run “{run.name}” has no checkpoint “{request.checkpoint}”; its page lists those that it has.",
                    reason="no_checkpoint",
                )
            best = BEST in row.links
            # a run that goes on has another best one soon: its link leads there
            place = BEST if best and RunState(run.state) in ACTIVE else row.name
            flavour = str(self._settings.run_dir(run.id) / CHECKPOINTS / place)
            said = f" · {BEST if best else f'step {row.step}'}"
            name = request.name or run.name[: MAX_NAME - len(said)] + said
        return ModelEdit(name=name, flavour=flavour, description=request.description)

    def _views(self, session: Session, rows: Sequence[Model]) -> list[ModelView]:
        mine, used = rights.rights_of(session), _runs_of(session, [row.flavour for row in rows])
        views = []
        for row in rows:
            made_by, base = self._made_by(session, row.flavour)
            views.append(
                ModelView(
                    problem=_model_problem(row.flavour),
                    may_change=mine.may_change(row.owner),
                    facts=_facts(row.flavour, row.revision, base),
                    made_by=made_by,
                    runs=used.get(row.flavour, 0),
                    **row.model_dump(),
                )
            )
        return views

    def _made_by(self, session: Session, flavour: str) -> tuple[MadeBy | None, tuple[str, str | None] | None]:
        """The checkpoint of a run of this home that a model is, and the model and revision that the run began with."""
        path = Path(flavour)
        if path.parent.name != CHECKPOINTS or path.parent.parent.parent != self._settings.runs_dir:
            return None, None
        run = session.exec(select(Run).where(Run.id == path.parent.parent.name)).first()
        if run is None:
            return None, None
        real = os.path.basename(os.path.realpath(path))
        row = find_checkpoint(session, run.id, real)
        made = MadeBy(
            run_id=run.id,
            run=run.name,
            checkpoint=real,
            step=row.step if row else None,
            epoch=row.epoch if row else None,
        )
        return made, (run.model_flavour, run.config.get("revision"))

    def _apply(self, _session: Session, row: Model, edit: ModelEdit) -> None:
        """Raises InputError for a local folder without a model."""
        flavour = os.path.abspath(Path(edit.flavour).expanduser()) if _is_local(edit.flavour) else edit.flavour
        problem = _model_problem(flavour) or _files_problem(flavour)
        if problem:
            raise InputError(problem, [Problem("flavour", problem)])
        row.name, row.flavour, row.revision = edit.name, flavour, edit.revision
        row.load_pretrained, row.description = edit.load_pretrained, edit.description


def find_checkpoint(session: Session, run_id: str, name: str) -> Artifact | None:
    """A checkpoint by its name, or by a link such as best."""
    saved = select(Artifact).where(Artifact.run_id == run_id, Artifact.kind == "checkpoint")
    rows = session.exec(saved.order_by(col(Artifact.step).desc())).all()
    return next((row for row in rows if name == row.name or name in row.links), None)


def _runs_of(session: Session, flavours: Sequence[str]) -> dict[str, int]:
    """How many runs that are not archived began with each model: what a list finds by `model=`."""
    flavour = col(Run.model_flavour)
    counted = select(Run.model_flavour, func.count()).where(flavour.in_(flavours), col(Run.archived).is_(False))
    return dict(session.exec(counted.group_by(flavour)).all())


def _facts(flavour: str, revision: str | None, base: tuple[str, str | None] | None) -> ModelFacts:
    """base: the model that it was made from, whose licence holds where its own files name none."""
    found = model_facts.facts_of(flavour, revision)
    if found.licence or base is None:
        return found
    licence = model_facts.facts_of(*base).licence
    return found.model_copy(update={"licence": licence, "licence_of": base[0]}) if licence else found


def _is_local(flavour: str) -> bool:
    return flavour.startswith(("/", ".", "~")) or os.path.isdir(flavour)


def _model_problem(flavour: str) -> str | None:
    if not _is_local(flavour) or os.path.isfile(os.path.join(flavour, "config.json")):
        return None
    if not os.path.isdir(flavour):
        return f"The model folder “{flavour}” does not exist. Check the path."
    return f"The folder “{flavour}” holds no config.json, so it is no model. Name the folder that holds it."


def _files_problem(flavour: str) -> str | None:
    """A sentence for a folder with files that a run would refuse; asked once, where the model is registered."""
    try:
        if _is_local(flavour):
            model_folder.read_files(Path(flavour))
    except ModelFileError as error:
        return model_folder.refusal(flavour, error)
    return None
