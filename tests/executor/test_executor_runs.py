"""Runs under a real daemon, with real processes: results, stops, deaths, adoption."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import time
from pathlib import Path

import pytest
from stub_lab import StubLab

from imgcls_lab.events import DesiredState, FailureKind, RunState
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.store import attempts


def test_a_run_succeeds_with_gap_free_points_and_a_private_folder(lab: StubLab):
    lab.start_daemon()
    run_id = lab.submit(steps=30, step_seconds=0.01)
    run = lab.wait(run_id)
    assert (run.state, run.step, run.message, run.seconds_left) == (RunState.SUCCEEDED, 30, None, None)
    assert lab.steps(run_id) == list(range(1, 31))
    assert run.attempts[0].exit_code == 0
    folder = lab.settings.run_dir(run_id)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()} == {0o600}
    assert json.loads((folder / "run.json").read_text())["name"] == run.name
    lab.until(lambda: not lab.processes_of(run_id))
    assert lab.store.check() == []


def test_runs_wait_for_the_one_slot_and_say_so(lab: StubLab, tmp_path: Path):
    lab.start_daemon()
    seen = tmp_path / "seen"
    first = lab.submit("first", steps=60, hold_at=5, hold_until=str(seen))
    second = lab.submit("second", steps=5)
    lab.trainer(first)
    lab.until(lambda: lab.run(second).message is not None)
    assert "“first”" in lab.run(second).message
    assert lab.store.executors.status().devices[0].run_name == "first"
    seen.touch()
    assert lab.wait(second).state is RunState.SUCCEEDED
    assert lab.state(first) is RunState.SUCCEEDED
    assert lab.store.executors.status().devices[0].run_name is None


def test_a_gpu_run_on_a_machine_without_one_says_so(lab: StubLab):
    from imgcls_lab.schemas import SubmitRequest

    lab.start_daemon()
    run_id = lab.store.runs.submit(SubmitRequest(config={"root": "/data", "device": "cuda"})).id
    lab.until(lambda: lab.run(run_id).message is not None)
    assert "this machine has none" in lab.run(run_id).message


def test_the_sentence_of_a_failure_reaches_the_run(lab: StubLab):
    lab.start_daemon()
    run = lab.wait(lab.submit(fail_at=3, kind="out_of_memory"))
    assert (run.state, run.failure) == (RunState.FAILED, FailureKind.OUT_OF_MEMORY)
    assert run.message == "The stub failed as it was told."
    assert len(run.attempts) == 1, "an error of the application is not tried again"


def test_a_death_without_an_event_is_told_by_the_log(lab: StubLab):
    lab.start_daemon()
    run = lab.wait(lab.submit(exit_at=0, exit_code=3))
    assert (run.state, run.attempt) == (RunState.FAILED, 1)
    assert "code 3" in run.message
    assert "ImportError: no module named nothing" in run.message


def test_a_crash_is_the_programs_own_and_not_tried_again(lab: StubLab):
    lab.start_daemon()
    run = lab.wait(lab.submit(signal_at=4, signal=int(signal.SIGSEGV)))
    assert (run.state, run.attempt) == (RunState.FAILED, 1)
    assert "SIGSEGV" in run.message


def test_a_trainer_that_keeps_being_killed_is_given_up_with_a_sentence(lab: StubLab):
    lab.start_daemon()
    run = lab.wait(lab.submit(signal_at=3, signal=int(signal.SIGKILL), steps=20))
    assert (run.state, run.failure, run.attempt) == (RunState.FAILED, FailureKind.LOST, 4)
    assert "4 times in a row" in run.message


def test_a_lost_trainer_goes_on_from_its_checkpoint(lab: StubLab):
    lab.start_daemon()
    run_id = lab.submit(steps=150, hold_at=20)
    os.kill(lab.trainer(run_id), signal.SIGKILL)
    run = lab.wait(run_id)
    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
    assert lab.steps(run_id) == list(range(1, 151))


def test_stop_checkpoints_and_resume_goes_on(lab: StubLab):
    lab.start_daemon()
    run_id = lab.submit(steps=400, hold_at=20)
    lab.trainer(run_id)
    lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
    stopped = lab.wait(run_id)
    assert (stopped.state, stopped.resumable) == (RunState.STOPPED, True)
    assert stopped.checkpoints[-1].step == stopped.step > 0
    lab.store.runs.resume(run_id)
    lab.wait(run_id, RunState.RUNNING)
    lab.until(lambda: lab.run(run_id).step > stopped.step)
    assert lab.run(run_id).resumed_at_step == stopped.step
    lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
    again = lab.wait(run_id)
    assert lab.steps(run_id) == list(range(1, again.step + 1))


def test_a_trainer_that_ignores_the_stop_is_killed_with_its_whole_tree(home):
    lab = StubLab(home, stop_grace=1.0)
    try:
        lab.start_daemon()
        run_id = lab.submit(steps=10_000, ignore_term=True, children=3)
        lab.trainer(run_id)
        lab.until(lambda: len(lab.processes_of(run_id)) == 5)  # supervisor, trainer, three generations
        lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
        run = lab.wait(run_id)
        assert run.state is RunState.STOPPED
        assert "was killed" in run.message
        assert lab.processes_of(run_id) == []
    finally:
        lab.close()


def test_kill_ends_at_once_and_resumes_from_the_last_checkpoint(lab: StubLab):
    lab.start_daemon()
    run_id = lab.submit(steps=10_000, ignore_term=True, children=3, first_attempt_only=True)
    lab.trainer(run_id)
    lab.until(lambda: lab.store.runs.get(run_id).checkpoints)
    begin = time.monotonic()
    lab.store.runs.set_desired_state(run_id, DesiredState.KILL)
    run = lab.wait(run_id)
    assert time.monotonic() - begin < 5
    saved = run.checkpoints[-1].step
    assert (run.state, run.resumable) == (RunState.CANCELLED, True)
    assert f"from step {saved}" in run.message
    assert lab.processes_of(run_id) == []
    lab.store.runs.resume(run_id)
    lab.wait(run_id, RunState.RUNNING)
    assert lab.store.runs.get(run_id).resumed_at_step == saved
    lab.store.runs.set_desired_state(run_id, DesiredState.KILL)
    lab.wait(run_id)


def test_a_run_of_which_a_process_died_goes_on_by_itself(lab: StubLab):
    """Several processes: one is killed, and another can still say so in the run's last event."""
    lab.start_daemon()
    run_id = lab.submit(steps=30, fail_at=12, kind="lost", first_attempt_only=True)
    run = lab.wait(run_id)
    assert (run.state, run.attempt, run.resumed_at_step) == (RunState.SUCCEEDED, 2, 10)
    lost = run.attempts[0]
    assert (lost.state, lost.failure, lost.message) == ("lost", "lost", "The stub failed as it was told")


def test_children_left_behind_by_a_finished_trainer_are_ended(lab: StubLab):
    lab.start_daemon()
    run_id = lab.submit(steps=5, children=2)
    assert lab.wait(run_id).state is RunState.SUCCEEDED
    assert lab.processes_of(run_id) == []


def test_a_stop_before_the_first_step_cancels(lab: StubLab):
    lab.start_daemon()
    run_id = lab.submit(slow_start=30)
    lab.wait(run_id, RunState.STARTING)
    lab.until((lab.settings.run_dir(run_id) / "output.log").exists)
    lab.store.runs.set_desired_state(run_id, DesiredState.KILL)
    assert lab.wait(run_id).state is RunState.CANCELLED


def test_a_trainer_that_never_begins_is_given_up(home):
    lab = StubLab(home, start_deadline=8.0)  # the second attempt has to begin in it on a loaded machine, too
    try:
        lab.start_daemon()
        run_id = lab.submit(silent=True, first_attempt_only=True, steps=5)
        run = lab.wait(run_id)
        assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
        assert "did not begin within 8 s" in run.attempts[0].message
    finally:
        lab.close()


def test_a_trainer_that_stays_after_its_result_is_ended(home):
    lab = StubLab(home, stop_grace=1.0)
    try:
        lab.start_daemon()
        run_id = lab.submit(steps=5, stay=300)
        assert lab.wait(run_id).state is RunState.SUCCEEDED
        assert lab.processes_of(run_id) == []
    finally:
        lab.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restarted_daemon_adopts_the_same_process_with_no_gap(lab: StubLab, number: int):
    lab.start_daemon()
    run_id = lab.submit(steps=10_000)
    pid = lab.trainer(run_id)
    for _ in range(2):
        lab.kill_daemon(number)
        seen = lab.run(run_id).step
        lab.start_daemon()
        lab.until(lambda seen=seen: lab.run(run_id).step > seen)
        assert lab.run(run_id).attempts[-1].pid == pid
    lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
    run = lab.wait(run_id)
    assert (run.state, run.attempt) == (RunState.STOPPED, 1)
    assert lab.steps(run_id) == list(range(1, run.step + 1))


def test_a_result_written_while_no_daemon_lived_is_found(lab: StubLab, tmp_path: Path):
    lab.start_daemon()
    killed = tmp_path / "killed"
    run_id = lab.submit(steps=30, hold_at=5, hold_until=str(killed))
    lab.trainer(run_id)
    lab.kill_daemon()
    killed.touch()
    lab.until(lambda: not lab.processes_of(run_id))
    assert lab.state(run_id) is RunState.RUNNING
    lab.start_daemon()
    assert lab.wait(run_id).state is RunState.SUCCEEDED
    assert lab.steps(run_id) == list(range(1, 31))


def claimed_by_a_daemon_that_died(lab: StubLab) -> str:
    """A run that a daemon of this host had claimed and not launched when it died."""
    lab.start_daemon()
    lab.until(lambda: lab.store.executors.status().executors)
    host = lab.store.executors.status().executors[0].host
    lab.kill_daemon()
    run_id = lab.submit(steps=20)
    with lab.store.database.write() as session:
        claim = attempts.claim(session, host, "the dead one", lambda _: ["cpu:0"])
    assert claim is not None
    assert claim.run.id == run_id
    return run_id


def test_a_daemon_that_dies_before_the_launch_costs_the_run_no_try(lab: StubLab):
    run_id = claimed_by_a_daemon_that_died(lab)
    lab.start_daemon()
    run = lab.wait(run_id)
    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
    assert "executor died" in run.attempts[0].message
    assert lab.store.runs.lost_attempts(run_id) == 0


@pytest.mark.parametrize("wish", [DesiredState.STOP, DesiredState.KILL])
def test_a_run_stopped_before_its_launch_is_not_started_by_the_next_daemon(lab: StubLab, wish: DesiredState):
    run_id = claimed_by_a_daemon_that_died(lab)
    lab.store.runs.set_desired_state(run_id, wish)
    lab.start_daemon()
    run = lab.wait(run_id)
    assert (run.state, run.attempt) == (RunState.CANCELLED, 1)


def test_a_dead_supervisor_takes_its_trainer_along_and_the_run_goes_on(lab: StubLab):
    lab.start_daemon()
    run_id = lab.submit(steps=150, hold_at=20)
    trainer = ProcessIdentity.of(lab.trainer(run_id))
    os.kill(lab.supervisor(run_id), signal.SIGKILL)
    run = lab.wait(run_id)
    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
    assert not trainer.alive()
    assert lab.steps(run_id) == list(range(1, 151))


def test_only_one_daemon_lives_in_a_home(lab: StubLab):
    lab.start_daemon()
    second = lab.start_daemon()
    assert second.wait(20) == 0
    assert lab.daemons[0].poll() is None


def test_a_silent_supervisor_is_replaced(home):
    lab = StubLab(home, lease=2.0)
    try:
        lab.start_daemon()
        run_id = lab.submit(steps=100, hold_at=20)
        lab.trainer(run_id)
        os.kill(lab.supervisor(run_id), signal.SIGSTOP)
        run = lab.wait(run_id)
        assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
        assert lab.steps(run_id) == list(range(1, 101))
    finally:
        lab.close()


def test_the_log_is_capped(lab: StubLab):
    from imgcls_lab.executor.supervisor import cut_log

    log = lab.settings.runs_dir / "output.log"
    log.write_text("first\n" + "x" * 100_000 + "\nlast\n")
    cut_log(log, 10_000)
    text = log.read_text()
    assert text.startswith("first\n")
    assert text.endswith("\nlast\n")
    assert "cut out" in text
    assert len(text) < 10_000


def test_the_log_of_a_further_node_is_capped(tmp_path: Path):
    from imgcls_lab.executor.node import Further

    loud = "import time\nfor n in range(20): print(n, 'x' * 20_000, flush=True); time.sleep(0.1)\nprint('last')"
    launch = {"folder": str(tmp_path), "attempt": 1, "place": {}, "environment": {}, "log_cap": 50_000}
    Further({**launch, "argv": [sys.executable, "-c", loud]}, 1).run()
    text = (tmp_path / "node-001.log").read_text()
    assert text.startswith("0 x")
    assert text.endswith("last\n")
    assert "cut out" in text
    assert len(text) < 50_000
