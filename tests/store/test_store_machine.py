"""A Hypothesis state machine: the store against a model of a few lines, on both databases."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import delete
from sqlmodel import select
from store_steps import HOST, checkpoint, feed, points, started

from imgcls_lab.errors import ConflictError
from imgcls_lab.events import ENDED, LIVE, DesiredState, RunState
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, attempts
from imgcls_lab.store.tables import DeviceClaim, Run
from imgcls_lab.store.verdict import Verdict

DEVICES = ("cpu:0", "cpu:1")


def machine_for(store: Store) -> type[RuleBasedStateMachine]:
    class Machine(RuleBasedStateMachine):
        """model: id -> [state, attempt, saved step, steps that have a point, what it is when it is called back]."""

        def __init__(self) -> None:
            super().__init__()
            for run in store.runs.list(limit=1000).items:
                with store.database.write() as session:
                    session.execute(delete(Run).where(Run.id == run.id))
            self.model: dict[str, list] = {}
            self.held: dict[str, str] = {}

        def pick(self, data: st.DataObject, *states: RunState) -> str | None:
            ids = [run_id for run_id, row in self.model.items() if row[0] in states]
            return data.draw(st.sampled_from(ids)) if ids else None

        @rule()
        def submit(self) -> None:
            run_id = store.runs.submit(SubmitRequest(config={"root": "/data"})).id
            self.model[run_id] = [RunState.QUEUED, 0, 0, [], RunState.CANCELLED]

        @rule(device=st.sampled_from(DEVICES))
        def claim(self, device: str) -> None:
            waiting = [run_id for run_id, row in self.model.items() if row[0] is RunState.QUEUED]
            with store.database.write() as session:
                place = "busy" if device in self.held.values() else [device]
                claimed = attempts.claim(session, HOST, "e", lambda _: place)
            if not waiting or device in self.held.values():
                assert claimed is None
                return
            assert claimed.run.id in waiting
            row = self.model[claimed.run.id]
            row[0], row[1] = RunState.STARTING, row[1] + 1
            assert claimed.attempt == row[1]
            self.held[claimed.run.id] = device

        @rule(data=st.data(), count=st.integers(1, 4), save=st.booleans())
        def train(self, data: st.DataObject, count: int, save: bool) -> None:
            run_id = self.pick(data, RunState.STARTING, RunState.RUNNING)
            if run_id is None:
                return
            row = self.model[run_id]
            events = []
            if row[0] is RunState.STARTING:
                events.append(started(resume_step=row[2]))
                row[3] = [step for step in row[3] if step <= row[2]]
            first = (row[3][-1] if row[3] else 0) + 1
            events += points(first, first + count - 1)
            row[3] += range(first, first + count)
            if save:
                row[2] = row[3][-1]
                events.append(checkpoint(store, run_id, row[1], row[2], "last"))
            row[0] = RunState.RUNNING
            assert feed(store, run_id, row[1], *events)

        @rule(data=st.data(), desired=st.sampled_from([DesiredState.STOP, DesiredState.KILL]))
        def ask(self, data: st.DataObject, desired: DesiredState) -> None:
            run_id = self.pick(data, *RunState)
            if run_id is None:
                return
            row = self.model[run_id]
            if row[0] in {RunState.SUCCEEDED, RunState.FAILED}:
                with pytest.raises(ConflictError):
                    store.runs.set_desired_state(run_id, desired)
                return
            store.runs.set_desired_state(run_id, desired)
            if row[0] is RunState.QUEUED:
                row[0] = row[4]

        @rule(
            data=st.data(), to=st.sampled_from([RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED, RunState.LOST])
        )
        def end(self, data: st.DataObject, to: RunState) -> None:
            run_id = self.pick(data, *LIVE)
            if run_id is None:
                return
            row = self.model[run_id]
            with store.database.write() as session:
                verdict = Verdict(to, message="x", counted=False)
                now = attempts.finish(session, run_id, row[1], verdict, None)
            assert now is (RunState.QUEUED if to is RunState.LOST else to)
            row[0] = now
            row[4] = to if to is not RunState.LOST else RunState.STOPPED if row[2] else RunState.CANCELLED
            del self.held[run_id]

        @rule(data=st.data(), to=st.sampled_from(sorted(ENDED)))
        def end_twice(self, data: st.DataObject, to: RunState) -> None:
            run_id = self.pick(data, *ENDED, RunState.QUEUED)
            if run_id is not None:
                with store.database.write() as session:
                    verdict = Verdict(to, message="late")
                    assert attempts.finish(session, run_id, self.model[run_id][1], verdict, None) is None

        @rule(data=st.data())
        def resume(self, data: st.DataObject) -> None:
            run_id = self.pick(data, *ENDED)
            if run_id is None:
                return
            row = self.model[run_id]
            if row[0] is not RunState.SUCCEEDED:
                row[0] = store.runs.resume(run_id).state
            else:
                with pytest.raises(ConflictError):
                    store.runs.resume(run_id)

        @precondition(lambda self: len(self.model) > 3)
        @rule(data=st.data())
        def delete(self, data: st.DataObject) -> None:
            run_id = self.pick(data, *ENDED)
            if run_id is not None:
                store.runs.delete(run_id)
                del self.model[run_id]

        @invariant()
        def same(self) -> None:
            page = store.runs.list(limit=1000)
            assert {run.id: (run.state, run.attempt) for run in page.items} == {
                run_id: (row[0], row[1]) for run_id, row in self.model.items()
            }
            assert page.counts == Counter(row[0] for row in self.model.values())
            with store.database.read() as session:
                claims = {claim.run_id: claim.device for claim in session.exec(select(DeviceClaim))}
            assert claims == self.held
            for run_id, row in self.model.items():
                series = store.metrics.series([run_id], ["loss/train"]).series
                assert (series[0].step if series else []) == row[3]

    return Machine


def test_the_store_equals_its_model(request: pytest.FixtureRequest, settings_of_machine: Settings):
    with Store.open(settings_of_machine, migrate=True) as store:
        quick = settings(
            max_examples=12, stateful_step_count=20, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        run_state_machine_as_test(machine_for(store), settings=quick)


@pytest.fixture(params=["sqlite", "postgresql"])
def settings_of_machine(request: pytest.FixtureRequest, home: Path) -> Settings:
    if request.param == "sqlite":
        return Settings(home=tempfile.mkdtemp(dir=home.parent))
    return Settings(home=str(home), db_url=request.getfixturevalue("postgres").url())
