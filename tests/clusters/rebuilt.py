"""A run of a cluster in a new database: by its record, and by its folder alone, as of an older version."""

from __future__ import annotations

import json
from pathlib import Path

from imgcls_lab import signing
from imgcls_lab.run_layout import CONFIG, RUN_INFO, write_atomic
from imgcls_lab.schemas import RunDetail
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, rebuild


def rebuilt(settings: Settings, run_id: str, place: Path, *, record: bool) -> RunDetail:
    """The run as `db rebuild` finds it. record: whether run.json holds what the database knew."""
    folder = settings.run_dir(run_id)
    before = (folder / RUN_INFO).read_bytes()
    if not record:
        bare = {"id": run_id, "name": "rebuilt", "kind": "train"}
        info = signing.signed_info(settings.home_path, bare, (folder / CONFIG).read_bytes())
        write_atomic(folder / RUN_INFO, json.dumps(info))
    anew = Settings(home=settings.home, db_url=f"sqlite:///{place / f'{record}.db'}", backend="local")
    try:
        rebuild(anew)
        with Store.open(anew) as store:
            return store.runs.get(run_id)
    finally:
        write_atomic(folder / RUN_INFO, before.decode())


def places(run: RunDetail) -> tuple[object, ...]:
    """Where a run and its attempts stand."""
    return run.state, run.attempt, run.host, [(each.number, each.state, each.devices) for each in run.attempts]
