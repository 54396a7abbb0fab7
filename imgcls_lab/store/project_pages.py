"""`store.project_pages`: the page of a project, and its deletion with all that is in it. Called through `Store`."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from imgcls_lab.config.evaluation import LOWER_IS_BETTER
from imgcls_lab.events import ENDED, RunKind
from imgcls_lab.schemas import DayCount, ProjectDeletion, ProjectDetail, RefusedRun, RunView
from imgcls_lab.schemas.limits import MAX_CHANGED
from imgcls_lab.settings import Settings
from imgcls_lab.store import queries, rights, run_counts, run_deletion, run_groups, states
from imgcls_lab.store.database import Database
from imgcls_lab.store.registry import Configs, Projects, find_project
from imgcls_lab.store.tables import Config, Run

SHOWN = 5  # best runs, and sweeps
DAYS = 42  # of the activity
NAMED = 20  # runs that a refused deletion names


class ProjectPages:
    """The pages of projects."""

    def __init__(self, database: Database, settings: Settings, projects: Projects, configs: Configs) -> None:
        self._database = database
        self._settings = settings
        self._projects = projects
        self._configs = configs

    def detail(self, project_id: int) -> ProjectDetail:
        """All that the page shows. Raises NotFoundError."""
        project = self._projects.get(project_id)
        configs = [config for config in self._configs.list() if config.project_id == project_id]
        with self._database.read() as session:
            return ProjectDetail(
                project=project,
                configs=configs,
                activity=_activity(session, project_id),
                **_counted(session, project_id),
                **_listed(session, project_id),
            )

    def delete(self, project_id: int, *, dry_run: bool = False) -> ProjectDeletion:
        """Delete a project with its runs and configs. dry_run: only say what would be deleted and freed.

        Runs that have not ended or belong to somebody else are named, and nothing at all is deleted then. Raises
        NotFoundError, ForbiddenError, and ConflictError for the default project.
        """
        with self._database.read() as session:
            project = find_project(session, project_id)
            self._projects.check_removable(session, project)
            refused = _refused(session, project_id)
            runs = [*session.exec(select(Run.id).where(Run.project_id == project_id))]
            configs = [*session.exec(select(Config.id).where(Config.project_id == project_id))]
            size = session.exec(select(func.sum(col(Run.size))).where(Run.project_id == project_id)).one()
        found = ProjectDeletion(
            deleted=False, runs=len(runs), configs=len(configs), refused=refused, freed=size or 0, dry_run=dry_run
        )
        if dry_run or refused:
            return found
        freed = 0
        for start in range(0, len(runs), MAX_CHANGED):
            done = run_deletion.delete_many(
                self._database, self._settings, runs[start : start + MAX_CHANGED], dry_run=False
            )
            freed += done.freed
            if done.refused:  # one was resumed meanwhile
                return found.model_copy(update={"refused": done.refused, "freed": freed})
        for config_id in configs:
            self._configs.delete(config_id or 0)
        self._projects.delete(project_id)
        return found.model_copy(update={"deleted": True, "freed": freed})


def _counted(session: Session, project_id: int) -> dict[str, Any]:
    """Its runs by state, those that are archived, and the bytes of all."""
    listed = run_counts.by_state(session, project_id)
    everything = sum(run_counts.by_state(session, project_id, None).values())
    size, counted = session.exec(
        select(func.sum(col(Run.size)), func.count(col(Run.size))).where(Run.project_id == project_id)
    ).one()
    return {
        "states": listed,
        "archived": everything - sum(listed.values()),
        "size": size or 0,
        "uncounted": everything - counted,
    }


def _listed(session: Session, project_id: int) -> dict[str, Any]:
    """Its best runs and its newest sweeps."""
    shown = (col(Run.project_id) == project_id, col(Run.archived).is_(False))
    metric, best = _best(session, shown)
    sweeps = (*shown, col(Run.kind) == RunKind.SWEEP.value)
    newest = select(Run.id).where(*sweeps).order_by(col(Run.number).desc()).limit(SHOWN)
    return {
        "metric": metric,
        "best": best,
        "sweeps": [_with_its_best(session, view) for view in queries.by_id(session, [*session.exec(newest)]).values()],
        "sweep_count": session.exec(select(func.count()).where(*sweeps)).one(),
    }


def _with_its_best(session: Session, sweep: RunView) -> RunView:
    """A sweep with the best of its trials, with replicates the best mean: it trains nothing itself."""
    _, trials = _best(session, (col(Run.parent_id) == sweep.id,))
    if not trials:
        return sweep
    best = trials[0].best
    if run_groups.heads_of(session, [sweep.id])[sweep.id].replicates > 1:
        group = run_groups.of_sweep(session, sweep.id)
        run = queries.by_id(session, [group.best_run or ""]).get(group.best_run or "")
        best = run.best.model_copy(update={"value": group.best}) if run and run.best else None
    return sweep.model_copy(update={"best": best})


def _best(session: Session, shown: tuple[Any, ...]) -> tuple[str | None, list[RunView]]:
    """The metric that most of the runs decide by, and the best of these."""
    rated = (*shown, col(Run.best_value).is_not(None), col(Run.best_metric).is_not(None))
    by_number = (func.count().desc(), col(Run.best_metric))
    most = select(Run.best_metric).where(*rated).group_by(col(Run.best_metric)).order_by(*by_number)
    metric = session.exec(most.limit(1)).first()
    if metric is None:
        return None, []
    value = col(Run.best_value)
    order = value.asc() if metric in LOWER_IS_BETTER else value.desc()
    ids = select(Run.id).where(*rated, Run.best_metric == metric).order_by(order, col(Run.number)).limit(SHOWN)
    return metric, [*queries.by_id(session, [*session.exec(ids)]).values()]


def _activity(session: Session, project_id: int, today: date | None = None) -> list[DayCount]:
    """Runs launched on each of the last days, audits and other tasks left out."""
    last = today or date.today()
    first = last - timedelta(days=DAYS - 1)
    since = datetime.combine(first, datetime.min.time()).timestamp()
    launched = session.exec(
        select(Run.created_at).where(
            Run.project_id == project_id, Run.created_at >= since, Run.kind != RunKind.TASK.value
        )
    )
    days = Counter(date.fromtimestamp(moment) for moment in launched)
    return [DayCount(day=day.isoformat(), runs=days[day]) for day in (first + timedelta(n) for n in range(DAYS))]


def _refused(session: Session, project_id: int) -> list[RefusedRun]:
    """Runs that the acting user may not delete: some of them, with the reason."""
    mine = rights.rights_of(session)
    found: list[RefusedRun] = []
    alive = col(Run.state).not_in(states.texts(ENDED))
    for run_id, name, state in session.exec(
        select(Run.id, Run.name, Run.state).where(Run.project_id == project_id, alive).limit(NAMED)
    ):
        text = f"The run “{name}” is {state}; stop it before you delete its project."
        found.append(RefusedRun(run=run_id, message=text, reason="not_ended"))
    if not mine.everything:
        for run_id, name, owner in session.exec(
            select(Run.id, Run.name, Run.owner).where(Run.project_id == project_id).order_by(col(Run.number))
        ):
            if len(found) < NAMED and not mine.may_change(owner, project_id):
                text = f"The run “{name}” belongs to {owner}."
                found.append(RefusedRun(run=run_id, message=text, reason="not_yours"))
    return found
