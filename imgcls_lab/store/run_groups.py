"""A list of runs folded: the trials of a sweep, the repetitions of a run with other seeds, the children of a run.

Called by `store.runs`. A row is a group of at least two runs of the list, or a run that is in none. The conditions of
the list hold for the runs inside; a group stands where its first run would stand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from os.path import commonprefix
from statistics import fmean, stdev
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, case, literal
from sqlalchemy import select as sa_select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from imgcls_lab.config.evaluation import LOWER_IS_BETTER
from imgcls_lab.events import RunKind, RunState
from imgcls_lab.schemas import GroupKind, RunGroup, RunGroups, RunRow
from imgcls_lab.store import queries, replicated, run_columns
from imgcls_lab.store.replicated import COLUMNS, Head, Member
from imgcls_lab.store.tables import Run

CHUNK = 500  # runs in one statement
MAX_MODELS = 3  # that the row of a group names
LEAST_NAME = 3  # letters that the names of repetitions share
_SEED = re.compile(r"[\s,;:#=_-]*\bseed[\s,;:#=_-]*$|[\s,;:#=_-]+$", re.IGNORECASE)
_PARENT: Any = aliased(Run)


class FoldedList(NamedTuple):
    """rows: the number of a run, or the key of a group; groups: the runs of each; runs: how many there are in all."""

    rows: Sequence[int | str]
    groups: Mapping[str, list[int]]
    runs: int


def rows_of(
    session: Session, wanted: queries.RunFilter, order: queries.RunOrder, kinds: Sequence[GroupKind]
) -> FoldedList:
    """All rows of a folded list, in its order."""
    return fold(session, queries.all_of(session, queries.conditions(session, wanted), order), kinds)


def page(session: Session, wanted: queries.RunFilter, order: queries.RunOrder, folded: FoldedList) -> RunGroups:
    """A page of a folded list. folded: all of it. Raises InputError for a column that is none."""
    columns = run_columns.checked(order.columns)
    shown = folded.rows[order.offset : order.offset + order.limit]
    groups = summed_up(session, {row: folded.groups[row] for row in shown if isinstance(row, str)})
    alone = [row for row in shown if isinstance(row, int)]
    views = queries.views_in_order(session, alone, columns, order)
    by_number = dict(zip(alone, views, strict=True))
    heads = queries.by_id(session, [group.head for group in groups.values() if group.head])
    return RunGroups(
        rows=[
            RunRow(group=groups[row], run=heads.get(groups[row].head or ""))
            if isinstance(row, str)
            else RunRow(group=None, run=by_number[row])
            for row in shown
        ],
        total=len(folded.rows),
        runs=folded.runs,
        counts=queries.counts(session, wanted),
        owners=queries.owners(session),
    )


def keys_of(kinds: Sequence[GroupKind]) -> list[ColumnElement[Any]]:
    """The groups of a run, one of each kind: `sweep:ID`, `seeds:HASH`, `children:ID`; NULL: none of this kind.

    A sweep and a parent stand in their own group. The forks of a run and theirs are one group, by the first run.
    """
    parent_is = col(_PARENT.kind)
    of_kind: dict[str, list[Any]] = {
        "sweep": [
            (col(Run.kind) == RunKind.SWEEP.value, literal("sweep:") + col(Run.id)),
            (parent_is == RunKind.SWEEP.value, literal("sweep:") + col(Run.parent_id)),
        ],
        "seeds": [(col(Run.repetition) != "", literal("seeds:") + col(Run.repetition))],
        "children": [
            (col(Run.lineage) != "", literal("children:") + col(Run.lineage)),
            (parent_is != RunKind.SWEEP.value, literal("children:") + col(Run.parent_id)),
            (col(Run.id).in_(_parents()), literal("children:") + col(Run.id)),
        ],
    }
    return [case(*of_kind[kind]) for kind in kinds]


def _parents() -> Any:
    child: Any = aliased(Run)
    return sa_select(child.parent_id).where(child.parent_id.is_not(None)).scalar_subquery()


def keyed(listed: Select[Any], kinds: Sequence[GroupKind]) -> Select[Any]:
    """The numbers of a list, each with its groups. In its first order SQLite reads `ix_runs_listed` and no run."""
    return listed.add_columns(*keys_of(kinds)).outerjoin(_PARENT, col(_PARENT.id) == col(Run.parent_id))


def fold(session: Session, listed: Select[Any], kinds: Sequence[GroupKind]) -> FoldedList:
    """The rows of a list, in its order.

    listed: the numbers of its runs, in its order. A run is in the first of the groups that has others of the list, too.
    """
    asked = keyed(listed, kinds)
    found = session.connection().execute(asked).all()  # plain rows: the ORM would take as long as the database
    if not found:
        return FoldedList([], {}, 0)
    numbers, *groups_of = zip(*found, strict=True)
    chosen: list[str | None] = [None] * len(numbers)
    for keys in reversed(groups_of):  # an earlier kind of group comes before a later one
        sizes = Counter(filter(None, keys))
        if sizes:
            chosen = [key if key and sizes[key] > 1 else other for key, other in zip(keys, chosen, strict=True)]
    groups: dict[str, list[int]] = {}
    rows: list[int | str] = []
    for number, key in zip(numbers, chosen, strict=True):
        if key is None:
            rows.append(number)
        elif (members := groups.get(key)) is not None:
            members.append(number)
        else:
            groups[key] = [number]
            rows.append(key)
    if single := {key: runs[0] for key, runs in groups.items() if len(runs) == 1}:  # an earlier kind has the others
        rows = [single.get(row, row) if isinstance(row, str) else row for row in rows]
    return FoldedList(rows, groups, len(numbers))


def summed_up(session: Session, groups: Mapping[str, Sequence[int]]) -> dict[str, RunGroup]:
    """Groups by their keys. groups: the numbers of their runs, heads included."""
    numbers = [number for runs in groups.values() for number in runs]
    members: dict[int, Member] = {}
    for start in range(0, len(numbers), CHUNK):
        asked = sa_select(*COLUMNS).where(col(Run.number).in_(numbers[start : start + CHUNK]))
        members |= {row.number: Member(*row) for row in session.execute(asked)}
    heads = {key.partition(":")[2] for key in groups if not key.startswith("seeds:")}
    known = heads_of(session, heads)
    return {
        key: _group(session, key, [members[number] for number in runs if number in members], known)
        for key, runs in groups.items()
    }


def heads_of(session: Session, run_ids: Iterable[str]) -> dict[str, Head]:
    """What groups need of the runs whose rows they are."""
    request = col(Run.payload)["request"]  # of a folder from elsewhere anything
    columns = (col(Run.id), col(Run.name), col(Run.state), request["replicates"], request["base"]["seed"])
    found: dict[str, Head] = {}
    for run_id, name, state, replicates, seed in session.execute(
        sa_select(*columns).where(col(Run.id).in_([*run_ids]))
    ):
        several = replicates if type(replicates) is int else 1
        ended = state == RunState.SUCCEEDED.value
        found[run_id] = Head(run_id, name, ended, several, seed if type(seed) is int else 0)
    return found


def of_sweep(session: Session, run_id: str) -> RunGroup:
    """All trials of a sweep, in a list or not."""
    key = f"sweep:{run_id}"
    numbers = session.execute(sa_select(col(Run.number)).where(col(Run.parent_id) == run_id)).scalars()
    return summed_up(session, {key: [*numbers]})[key]


def _group(session: Session, key: str, runs: Sequence[Member], heads: Mapping[str, Head]) -> RunGroup:
    kind, _, of = key.partition(":")
    head = heads.get(of)
    inside = [run for run in runs if run.id != of]
    trained = runs if kind == "children" else inside  # the first of a lineage has no row but this one
    rates = [run.lr for run in trained if run.lr is not None]
    sizes = [run.size for run in trained if run.size is not None]
    values = {
        "key": key,
        "kind": kind,
        "name": (head and head.name) or _common_name([run.name for run in runs]),
        "head": of if kind != "seeds" else None,
        "where": _where(kind, of, inside),
        "runs": len(inside),
        "states": Counter(run.state for run in inside),
        "lr": (min(rates), max(rates)) if rates else None,
        "models": sorted({run.model_flavour for run in trained if run.model_flavour})[:MAX_MODELS],
        "size": sum(sizes) if sizes else None,
        "created_at": max(run.created_at for run in runs),
    }
    return RunGroup.model_validate(values | _best(session, trained, head))


def _where(kind: str, of: str, inside: Sequence[Member]) -> str:
    """The query that finds the runs of a group, its head left out."""
    if kind == "seeds":
        return f"repetition={of}"
    forks = [run for run in inside if run.lineage == of]
    return f"lineage={of} id!={of}" if forks and len(forks) == len(inside) else f"parent={of}"


def _common_name(names: Sequence[str]) -> str:
    """What the names of repetitions begin with, without the word and number of their seeds; else the first name."""
    common = commonprefix(names)  # noqa: RUF071 — letters of names, no paths
    if any(name[len(common) : len(common) + 1].isdigit() for name in names):
        common = common.rstrip("0123456789")
    common = _SEED.sub("", common) if len(set(names)) > 1 else common
    return common if len(common) >= LEAST_NAME else names[0]


def _best(session: Session, runs: Sequence[Member], head: Head | None) -> dict[str, Any]:
    """Best, mean and standard deviation, of the metric that most of the runs watch.

    With replicates the best is the best mean of a trial's runs, once all of them have succeeded.
    """
    metrics = Counter(run.best_metric for run in runs if run.best_value is not None and run.best_metric)
    if not metrics:
        return {}
    metric = metrics.most_common(1)[0][0]
    rated = [run for run in runs if run.best_metric == metric and run.best_value is not None]
    values = [_value(run) for run in rated]
    several = head is not None and head.replicates > 1
    whole = replicated.whole_trials(session, rated, head) if several and head else [[run] for run in rated]
    better = min if metric in LOWER_IS_BETTER else max
    best = better(whole, key=lambda point: (fmean(map(_value, point)), point[0].id), default=[])
    return {
        "metric": metric,
        "best": fmean(map(_value, best)) if best else None,
        "best_deviation": _deviation([_value(run) for run in best]),
        "best_run": better(best, key=lambda run: (_value(run), run.id)).id if best else None,
        "mean": fmean(values),
        "deviation": _deviation(values),
    }


def _value(run: Member) -> float:
    return run.best_value or 0.0


def _deviation(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None
