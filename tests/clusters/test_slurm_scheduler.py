"""The adapter against a real Slurm: jobs of `sh`, without a daemon and a home's database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcls_lab import run_layout
from imgcls_lab.errors import ExecutorError, SchedulerAwayError
from imgcls_lab.executor.backends.job_scheduler import Job, JobState, job_id
from imgcls_lab.executor.backends.slurm import SlurmScheduler
from imgcls_lab.settings import Settings
from tests.clusters.slurm_cluster import SlurmCluster
from tests.waiting import until

RUNNING, WAITING, ENDED, MISSING = JobState.RUNNING, JobState.WAITING, JobState.ENDED, JobState.MISSING
# says where it is and waits; SIGTERM ends it after a moment, as a run that saves
SCRIPT = 'echo "gpu:$CUDA_VISIBLE_DEVICES"; sleep 600 & trap "kill $!; echo saved; exit 0" TERM; wait'


class Jobs:
    """Submits jobs of `sh` in folders as runs have them."""

    def __init__(self, home: Path, **traits: object) -> None:
        self.settings = Settings(home=str(home), stop_grace=20.0, **traits)
        self.slurm = SlurmScheduler(self.settings)

    def submit(self, script: str = SCRIPT, *, gpus: int = 1, nodes: int = 1, word: str = "it's") -> str:
        run_id = run_layout.new_run_id()
        self.settings.run_dir(run_id).mkdir(parents=True)
        job = Job(job_id(run_id, 1), ("/bin/sh", "-c", script, "sh"), {"WORD": word}, nodes=nodes, gpus=gpus, cpus=gpus)
        self.slurm.submit(job)
        self.slurm.submit(job)  # as a daemon that was killed in between
        return job.id

    def wait(self, job: str, state: JobState, seconds: float = 20) -> None:
        until(lambda: self.slurm.status([job])[job].state is state, seconds, lambda: str(self.slurm.status([job])))

    def wait_for_log(self, job: str, text: str) -> None:
        until(lambda: text in self.slurm.log(job), 20, lambda: self.slurm.log(job))


@pytest.fixture
def jobs(home: Path, slurm_cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster.configuration))
    yield Jobs(home)
    slurm_cluster.end_jobs()


def test_jobs_get_gpus_of_their_own_and_the_next_waits(jobs: Jobs) -> None:
    started = [jobs.submit() for _ in range(4)]
    for job in started:
        jobs.wait_for_log(job, "gpu:")
    waiting = jobs.submit()
    status = jobs.slurm.status([*started, waiting, "unknown-001"])
    assert [status[job].state for job in [*started, waiting, "unknown-001"]] == [RUNNING] * 4 + [WAITING, MISSING]
    until(lambda: jobs.slurm.status([waiting])[waiting].reason.endswith(("Resources)", "Priority)")))
    places = {(status[job].nodes, jobs.slurm.log(job)[4]) for job in started}
    assert places == {((node,), gpu) for node in ("node1", "node2") for gpu in "01"}
    assert [(n.name, n.gpus, n.free_gpus, n.alive) for n in jobs.slurm.nodes()] == [
        ("node1", 2, 0, True),
        ("node2", 2, 0, True),
    ]
    assert jobs.slurm.queue_length() == 1


def test_a_job_saves_when_it_is_cancelled_and_is_killed_when_it_does_not_end(jobs: Jobs) -> None:
    saves, hangs = jobs.submit(), jobs.submit("trap '' TERM; echo hangs; while :; do sleep 0.1; done")
    jobs.wait_for_log(saves, "gpu:")
    jobs.wait_for_log(hangs, "hangs")
    jobs.slurm.cancel(saves, 20)
    jobs.slurm.cancel(hangs, 0.5)
    jobs.wait(saves, ENDED)
    assert "saved" in jobs.slurm.log(saves)
    jobs.wait(hangs, ENDED)


def test_a_waiting_job_is_cancelled(jobs: Jobs) -> None:
    too_large = jobs.submit(gpus=2, nodes=2)
    jobs.wait(too_large, RUNNING)
    waiting = jobs.submit()
    jobs.slurm.cancel(waiting, 20)
    jobs.wait(waiting, ENDED)
    status = jobs.slurm.status([waiting])[waiting]
    assert (status.reason, status.nodes, status.exit_code) == ("it was cancelled", (), None)


def test_a_job_gets_the_daemons_environment_without_secrets_and_the_daemons_own_job(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", "/models")
    secrets = ("JUPYTERHUB_API_TOKEN", "PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    for name in ("SLURM_MEM_PER_CPU", "CUDA_VISIBLE_DEVICES", *secrets):
        monkeypatch.setenv(name, "12347")
    job = jobs.submit("env; echo end", word="two\nlines of 'it'", gpus=0)
    jobs.wait(job, ENDED)
    assert "WORD=two\nlines of 'it'\n" in jobs.slurm.log(job)
    assert "HF_HOME=/models\n" in jobs.slurm.log(job)
    assert "12347" not in jobs.slurm.log(job)


def test_a_job_of_two_nodes_has_an_agent_on_each_and_they_know_where_to_meet(jobs: Jobs) -> None:
    script = '[ "$2" = 0 ] || sleep 1; echo "$SLURMD_NODENAME $CUDA_VISIBLE_DEVICES $WORD $*"'
    job = jobs.submit(script, gpus=2, nodes=2)
    jobs.wait(job, ENDED)
    status = jobs.slurm.status([job])[job]
    assert (status.nodes, status.exit_code) == (("node1", "node2"), 0)
    lines = sorted(jobs.slurm.log(job).splitlines())
    meeting = lines[0].split()[-1]
    assert lines == [f"node{k + 1} 0,1 it's --node {k} --rendezvous {meeting}" for k in range(2)]
    assert meeting.startswith("127.0.0.1:")


def test_a_first_node_ends_when_another_one_refuses(jobs: Jobs) -> None:
    script = '[ "$2" = 0 ] || exit 3; echo waits; sleep 600 & trap "kill $!; exit 7" TERM; wait'
    job = jobs.submit(script, nodes=2)
    jobs.wait(job, ENDED)
    assert jobs.slurm.status([job])[job].exit_code == 7


def test_what_slurm_refuses_is_said_and_what_passes_is_another_error(
    jobs: Jobs, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ExecutorError) as refused:
        Jobs(home, slurm_partition="nowhere").submit()
    assert refused.value.reason == "refused"
    assert "nowhere" in Jobs(home, slurm_partition="nowhere").slurm.check()[-1].message
    with pytest.raises(ExecutorError) as refused:
        jobs.submit(gpus=3)
    assert refused.value.reason == "refused"
    assert all(finding.ok for finding in jobs.slurm.check()), jobs.slurm.check()
    closed = Jobs(home, slurm_partition="closed")
    assert [node.alive for node in closed.slurm.nodes()] == [False, False]
    silent = tmp_path / "slurm.conf"
    silent.write_text("ClusterName=x\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort=1\nAuthType=auth/none\n")
    monkeypatch.setenv("SLURM_CONF", str(silent))
    monkeypatch.setattr("imgcls_lab.executor.backends.slurm.TIMEOUT", 2.0)
    with pytest.raises(SchedulerAwayError):
        jobs.slurm.status([])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExecutorError) as absent:
        jobs.slurm.status([])
    assert absent.value.reason == "no_slurm"
