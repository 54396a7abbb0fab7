"""What people see of a home: its registries and runs without ids and times, for comparing two homes."""

from __future__ import annotations

from typing import Any

from imgcls_lab.store import Store


def registry(store: Store) -> dict[str, Any]:
    runs = [store.runs.get(run.id) for run in store.runs.list(limit=100).items]
    names = {run.id: run.name for run in runs}
    revisions = {data.name: store.revisions.list(data.id) for data in store.datasets.list()}
    return {
        "projects": [(x.name, x.description, x.max_running, x.runs) for x in store.projects.list()],
        "configs": [(x.name, x.project, x.description, x.version, x.config) for x in store.configs.list()],
        "datasets": [(x.name, x.root, x.description, x.images) for x in store.datasets.list()],
        "models": [[x.name, x.flavour, x.description, x.load_pretrained] for x in store.models.list()],
        "revisions": {
            name: [(x.number, x.message, x.relabelled, x.excluded, x.restored) for x in made]
            for name, made in revisions.items()
        },
        "changes": [
            (data.name, x.number, sorted((one.image, one.only, one.label, one.excluded, one.why) for one in changes))
            for data in store.datasets.list()
            for x in store.revisions.list(data.id)
            for changes in [store.revisions.overlay(data.id, x.number).changes]
        ],
        "runs": sorted(
            [
                *(x.kind, x.name, x.project, x.state, sorted(x.tags), x.notes, x.priority, x.archived),
                *(str(x.config), x.device_request.device, str([names.get(one, one) for one in x.after])),
            ]
            for x in runs
        ),
    }
