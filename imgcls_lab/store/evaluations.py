"""What runs' predictions say, by the runs of the database: `store.evaluations`. Reads folders and changes nothing.

The computation is `imgcls_lab.analysis`; here is which folder belongs to which run, and which runs are related.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, func, or_, select

from imgcls_lab.analysis import curves, flips, image_changes, image_pages, one_image, summary
from imgcls_lab.analysis.evaluation import RunFiles, load
from imgcls_lab.analysis.one_image import MAX_ANCESTORS, MAX_OTHERS, RelatedRun, Wanted
from imgcls_lab.errors import DataError, ForbiddenPathError, InputError
from imgcls_lab.events import RunKind
from imgcls_lab.run_layout import CHECKPOINTS
from imgcls_lab.schemas import (
    ClassCurves,
    EvaluatedPage,
    EvaluatedQuery,
    EvaluationView,
    FlipsView,
    ImageChanges,
    ImageDetail,
)
from imgcls_lab.settings import Settings
from imgcls_lab.store import homes, image_facts, run_files
from imgcls_lab.store.database import Database
from imgcls_lab.store.run_rows import find_run, own_best_epoch
from imgcls_lab.store.tables import Run


class Evaluations:
    """The evaluations of runs. Each method raises NotFoundError for a run that is not there, or not in this home."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def view(self, text: str, split: str = "val", epoch: int | None = None) -> EvaluationView:
        """An evaluation with all that its page draws; by default the best epoch on val/. Raises DataError."""
        run = self._files(text)
        with _without_paths(self._settings):
            return summary.view(run, split, epoch, lambda number, of: run_files.read_report(run.folder, number, of))

    def page(self, text: str, query: EvaluatedQuery) -> EvaluatedPage:
        """Images of an evaluation, or of the training set. Raises InputError, DataError."""
        run = self._files(text)
        with _without_paths(self._settings):
            return image_pages.page(run, query)

    def curves(self, text: str, label: str, split: str = "val", epoch: int | None = None) -> ClassCurves:
        """Precision over recall and ROC of a class. Raises InputError, DataError; NotFoundError where not kept."""
        run = self._files(text)
        with _without_paths(self._settings):
            return curves.class_curves(run.folder, load(run, split, epoch), label)

    def flips(self, text: str, against: str | None = None, split: str = "val") -> FlipsView:
        """What a run fixed and broke against another, by default the one that it was continued from.

        Raises InputError where there is none; ConflictError where both share no image.
        """
        with self._database.read() as session:
            run = find_run(session, text)
            files = self._here(session, run)
            other = _parent(session, self._settings, run) if against is None else find_run(session, against)
            if other is None:
                raise InputError(
                    f"The run “{run.name}” was not continued from another. Name the run to compare it with.",
                    reason="no_parent",
                )
            other_files = self._here(session, other)
        with _without_paths(self._settings):
            return flips.compare(files, other_files, split)

    def image_changes(self, text: str, against: str) -> ImageChanges:
        """Which images a run has otherwise than another. Raises NotFoundError, ConflictError, DataError."""
        with self._database.read() as session:
            files = [self._here(session, find_run(session, each)) for each in (text, against)]
        with _without_paths(self._settings):
            return image_changes.compare(*files)

    def image(self, text: str, wanted: Wanted, check_root: Callable[[str], object] = str) -> ImageDetail:
        """One image in depth. Raises InputError, DataError, NotFoundError.

        check_root: raises ForbiddenPathError for a data set whose files the caller may not read.
        """
        with self._database.read() as session:
            run = find_run(session, text)
            files, root = self._here(session, run), run.root
            ancestors = _ancestors(session, self._settings, run)
            others = _same_data(session, self._settings, run, ancestors)
        with _without_paths(self._settings):
            detail = one_image.detail(files, wanted, [_files_of(self._settings, each) for each in ancestors], others)
        facts = self._file_facts(files, root, detail, check_root)
        with self._database.read() as session:
            revision, note = image_facts.corrected(session, find_run(session, text), detail)
        nearest, nearest_by = image_facts.nearest(self._settings, files.folder, detail.image.image)
        facts |= {"nearest": nearest, "nearest_by": nearest_by, "revision": revision}
        return detail.model_copy(update=facts | {"notes": [*detail.notes, *([note] if note else [])]})

    def _file_facts(
        self, files: RunFiles, root: str, detail: ImageDetail, check_root: Callable[[str], object]
    ) -> dict[str, Any]:
        try:
            check_root(root)
        except ForbiddenPathError:
            return {"problem": "The data set lies outside the folders that this server may read."}
        return image_facts.file_facts(self._settings, files.folder, root, detail.image.image)

    def folder_and_root(self, text: str) -> tuple[Path, str]:
        """A run's folder, and the data set that it names; empty: none."""
        with self._database.read() as session:
            run = find_run(session, text)
            homes.check_here(session, run)
            return self._settings.run_dir(run.id), run.root

    def _files(self, text: str) -> RunFiles:
        with self._database.read() as session:
            return self._here(session, find_run(session, text))

    def _here(self, session: Session, run: Run) -> RunFiles:
        homes.check_here(session, run)
        return _files_of(self._settings, run)


@contextmanager
def _without_paths(settings: Settings) -> Iterator[None]:
    """What cannot be read is named inside the runs' folders: no answer about images tells where these lie."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error).replace(f"{settings.runs_dir}/", ""), reason=error.reason) from error


def _files_of(settings: Settings, run: Run) -> RunFiles:
    return RunFiles(run.id, run.name, settings.run_dir(run.id), own_best_epoch(run))


def _parent(session: Session, settings: Settings, run: Run) -> Run | None:
    """The training that a run was continued from: its parent, else the one whose checkpoint is its model."""
    found = session.exec(select(Run).where(Run.id == run.parent_id)).first() if run.parent_id else None
    if found is None or found.kind != RunKind.TRAIN.value:
        began = _began_with(settings, run.model_flavour)
        found = session.exec(select(Run).where(Run.id == began)).first() if began and began != run.id else None
    return found if found is not None and found.kind == RunKind.TRAIN.value else None


def _began_with(settings: Settings, flavour: str) -> str | None:
    """The run whose checkpoint a model's path names."""
    path = Path(flavour)
    if not path.is_absolute() or not path.is_relative_to(settings.runs_dir):
        return None
    run_id, *inside = path.relative_to(settings.runs_dir).parts or ("",)
    return run_id if inside[:1] == [CHECKPOINTS] else None


def _ancestors(session: Session, settings: Settings, run: Run) -> list[Run]:
    """The runs that a run was continued from, the nearest first, as far as their folders lie here."""
    found: list[Run] = []
    parent = _parent(session, settings, run)
    while parent is not None and len(found) < MAX_ANCESTORS and parent.id not in (run.id, *(each.id for each in found)):
        if homes.elsewhere(session, [parent]):
            break
        found.append(parent)
        parent = _parent(session, settings, parent)
    return found


def _same_data(session: Session, settings: Settings, run: Run, ancestors: list[Run]) -> list[RelatedRun]:
    """Other trainings on the same folder that have evaluated, and those beside which this one stands, newest first."""
    parents = [each.id for each in ancestors[:1]]
    related = or_(col(Run.root) == run.root, col(Run.parent_id) == run.id, col(Run.id).in_(parents))
    wanted = select(Run).where(
        related,
        col(Run.kind) == RunKind.TRAIN.value,
        func.coalesce(Run.best_step, 0) > func.coalesce(Run.fork_step, 0),
        col(Run.id) != run.id,
        homes.is_here(session),
    )
    listed = session.exec(wanted.order_by(col(Run.number).desc()).limit(MAX_OTHERS)).all()
    return [RelatedRun(_files_of(settings, each), _relation(each, run, parents)) for each in listed]


def _relation(other: Run, run: Run, parents: list[str]) -> str:
    if other.id in parents:
        return "parent"
    return "child" if other.parent_id == run.id else ""
