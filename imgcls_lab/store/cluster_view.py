"""The cluster of a home as the devices page shows it, from what its daemon wrote down last. Called by `executors.py`.

A cluster may have thousands of nodes, and each change goes to every page: the view has the nodes that matter most, and
counts the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlmodel import Session, col, select

from imgcls_lab.run_paths import read_json
from imgcls_lab.schemas import ClusterTotals, ClusterView
from imgcls_lab.schemas.limits import SHOWN_NODE_RUNS, SHOWN_NODES
from imgcls_lab.settings import Settings
from imgcls_lab.store.tables import Run

HOLDING = ("run_id", "run_name", "run_owner")  # fields of a view about the run that holds a device or is on a node


def of_home(session: Session, settings: Settings, alive: Collection[str]) -> ClusterView | None:
    """The cluster of this home; None where no daemon of it lives. alive: the hosts whose daemons do."""
    try:
        state = read_json(settings.executor_dir, settings.cluster_state.name)
        if state["host"] not in alive:
            return None
        nodes = state["nodes"]
        shown = sorted(nodes, key=_order)[:SHOWN_NODES]
        names = _names(session, (run_id for node in shown for run_id in node["runs"][:SHOWN_NODE_RUNS]))
        state |= {"nodes": [_shown(node, names) for node in shown], "totals": _totals(nodes)}
        return ClusterView.model_validate(state)
    except (OSError, ValueError, KeyError, TypeError):  # there is none, or a daemon of another version wrote it
        return None


def _order(node: dict[str, Any]) -> tuple[bool, bool]:
    """Nodes that are down come first, then those with runs."""
    return bool(node["alive"]), not node["runs"]


def _names(session: Session, run_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    columns: Any = (Run.id, Run.name, Run.owner)
    wanted = select(*columns).where(col(Run.id).in_(list(run_ids)))
    return {run_id: (name, owner) for run_id, name, owner in session.exec(wanted)}


def _shown(node: dict[str, Any], names: dict[str, tuple[str, str]]) -> dict[str, Any]:
    runs = node["runs"][:SHOWN_NODE_RUNS]
    named = [dict(zip(HOLDING, (run_id, *names.get(run_id, (None, None))), strict=True)) for run_id in runs]
    return {**node, "runs": named, "more_runs": len(node["runs"]) - len(runs)}


def _totals(nodes: list[dict[str, Any]]) -> ClusterTotals:
    alive = [node for node in nodes if node["alive"]]
    counts = {name: sum(node[name] for node in alive) for name in ("gpus", "free_gpus", "cpus")}
    return ClusterTotals(alive=len(alive), down=len(nodes) - len(alive), **counts)
