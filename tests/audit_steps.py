"""An audit that was queued, done in this process as daemon and supervisor have it done."""

from __future__ import annotations

import os

from imgcls_lab.engine.audit.__main__ import main
from imgcls_lab.events import RunState
from imgcls_lab.schemas import RunView
from imgcls_lab.store import Store, attempts
from imgcls_lab.store.ingest import ingest
from imgcls_lab.store.tables import Attempt


def perform(store: Store) -> RunView:
    """Do the run that waits. Returns it as it ended."""
    with store.database.write() as session:
        claimed = attempts.claim(session, "test-host", "test", lambda _run: [])
    assert claimed is not None
    run_id, number = claimed.run.id, claimed.attempt
    before = os.environ["IMGCLS_HOME"]
    os.environ["IMGCLS_HOME"] = store.settings.home
    try:
        main([str(store.settings.run_dir(run_id)), "--attempt", str(number)])
    finally:
        os.environ["IMGCLS_HOME"] = before
    ingest(store.database, store.settings, run_id, number)
    with store.database.write() as session:
        row = session.get(Attempt, (run_id, number))
        verdict = attempts.reported(row) if row else None
        assert verdict is not None
        attempts.finish(session, run_id, number, verdict, None)
    found = store.runs.by_id([run_id])[run_id]
    assert RunState(found.state) is verdict.state
    return found
