"""What `doctor` says of a cluster: faults of its nodes, each with its remedy. The nodes are processes of this host."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

import pytest
from traitlets.config import Config

from imgcls_lab._version import __version__
from imgcls_lab.errors import InputError, SchedulerAwayError
from imgcls_lab.executor import cluster_check
from imgcls_lab.executor.backends import SCHEDULERS
from imgcls_lab.executor.backends.job_scheduler import Finding, Job, JobState, JobStatus, Node
from imgcls_lab.executor.backends.slurm import SlurmScheduler
from imgcls_lab.executor.node import REFUSED
from imgcls_lab.settings import BACKENDS, LOCAL, Settings
from tests.clusters.slurm_cluster import SlurmCluster


class Nodes:
    """An outer scheduler whose nodes are processes. patch: what a node does before it answers, in Python."""

    title = "The test's cluster"

    def __init__(self, count: int = 2, patch: str = "") -> None:
        self.count, self.patch, self.output, self.cancelled = count, patch, "", False

    def submit(self, job: Job) -> None:
        assert job.gpus == 0
        code = (
            f"{self.patch}\nfrom imgcls_lab.executor import node_probe\nnode_probe.PATIENCE = node_probe.OTHERS = 0\n"
        )
        code += "import sys; sys.exit(node_probe.main(sys.argv[1:]))"
        for number in range(job.nodes):
            environment = {**os.environ, "IMGCLS_NODE_NAME": f"n{number}"}
            command = [sys.executable, "-c", code, *job.argv[-3:]]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            self.output += done.stdout + done.stderr

    def status(self, ids: Collection[str]) -> dict[str, JobStatus]:
        return dict.fromkeys(ids, JobStatus(JobState.ENDED))

    def cancel(self, job: str, grace: float) -> None:
        self.cancelled = True

    def nodes(self) -> list[Node]:
        return [Node(f"n{number}") for number in range(self.count)] + [Node("dead", alive=False)]

    def queue_length(self) -> int:
        return 0

    def log(self, job: str) -> str:
        return self.output

    def check(self) -> list[Finding]:
        return [Finding("cluster", True, "answers")]

    def close(self) -> None: ...


@pytest.fixture
def settings(home: Path) -> Settings:
    made = Settings()
    made.make_home()
    return made


def found(settings: Settings, nodes: Nodes) -> dict[str, Finding]:
    return {finding.name: finding for finding in cluster_check.findings(settings, nodes)}


def test_nodes_that_fit_are_described(settings: Settings) -> None:
    nodes = Nodes()
    all_of_them = found(settings, nodes)
    assert [*all_of_them] == ["cluster", "node n0", "node n1", "shared home", "clocks"]
    assert all(finding.ok for finding in all_of_them.values())
    assert __version__ in all_of_them["node n0"].message
    assert nodes.cancelled
    assert not [*settings.executor_dir.glob("imgcls-doctor-*")], "nothing is left in the home"


@pytest.mark.parametrize(
    ("patch", "name", "words"),
    [
        ("import imgcls_lab._version as v; v.__version__ = '0.0.1'", "node n0", "pip install imgcls-lab=="),
        ("import time; now = time.time; time.time = lambda: now() + 300", "clocks", "s ahead"),
        ("import time; now = time.time; time.time = lambda: now() - 300", "clocks", "s behind"),
        ("import sys; sys.argv[1] += '-elsewhere'", "shared home", "IMGCLS_STORE_URL"),
        ("import sys; sys.modules['imgcls_lab'] = None; raise ModuleNotFoundError('No module named imgcls_lab')",
         "node check", "IMGCLS_NODE_PYTHON"),
        ("raise SystemExit('/opt/python: No such file or directory')", "node check", "IMGCLS_NODE_PYTHON"),
        ("raise SystemExit('the disk is on fire')", "node check", "the disk is on fire"),
    ],
)  # fmt: skip
def test_each_fault_of_a_node_is_named_with_its_remedy(settings: Settings, patch: str, name: str, words: str) -> None:
    finding = found(settings, Nodes(1, patch))[name]
    assert not finding.ok
    assert words in finding.message


@pytest.mark.parametrize("refused", [1, 2])
def test_nodes_that_cannot_be_taken_together_are_asked_one_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    """refused: from so many nodes on; where no node can be taken, it is said once."""
    nodes, submit = Nodes(2), Nodes.submit

    def some(self: Nodes, job: Job) -> None:
        if job.nodes < refused:
            submit(self, job)
        self.output += f"{REFUSED}It has no Ray. Install it.\n"

    monkeypatch.setattr(Nodes, "submit", some)
    said = found(settings, nodes)
    name, other = ("several nodes", "node check") if refused == 2 else ("node check", "several nodes")
    assert (said[name].ok, said[name].message) == (False, "It has no Ray. Install it.")
    assert other not in said
    assert ("shared home" in said) is (refused == 2)


def test_a_full_cluster_is_no_fault_of_its_nodes(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(1, "raise SystemExit(0)")
    monkeypatch.setattr(nodes, "status", lambda ids: dict.fromkeys(ids, JobStatus(JobState.WAITING, "Resources.")))
    begin = time.monotonic()
    (finding,) = [each for each in cluster_check.findings(settings, nodes, wait=0.1) if each.note]
    assert time.monotonic() - begin < 20
    assert finding.ok
    assert "still waits in the queue" in finding.message


def test_a_scheduler_that_does_not_answer_is_not_asked_for_its_nodes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = Nodes()
    monkeypatch.setattr(nodes, "check", lambda: [Finding("cluster", False, "does not answer")])
    assert [*found(settings, nodes)] == ["cluster"]
    monkeypatch.setattr(nodes, "check", Nodes().check)
    monkeypatch.setattr(nodes, "nodes", lambda: (_ for _ in ()).throw(SchedulerAwayError("It went away.")))
    assert "It went away." in found(settings, nodes)["node check"].message


def test_the_backend_is_one_of_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {LOCAL, *SCHEDULERS} == {*BACKENDS}
    assert Settings(config=Config({"Settings": {"backend": "slurm"}})).backend == "slurm"
    with pytest.raises(InputError, match="IMGCLS_BACKEND"):
        Settings(config=Config({"Settings": {"backend": "kubernetes"}}))
    monkeypatch.setenv("IMGCLS_BACKEND", "Ray")
    with pytest.raises(InputError, match="local, ray or slurm"):
        _ = Settings().backend


def test_a_host_that_knows_no_slurm_cluster(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slurm.conf").touch()
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    (finding,) = SlurmScheduler(settings).check()
    assert not finding.ok
    assert "SLURM_CONF" in finding.message


def test_a_real_cluster_answers(
    settings: Settings, slurm_cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes of Slurm, which both see this home."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster.configuration))
    all_of_them = {each.name: each for each in cluster_check.findings(settings, SlurmScheduler(settings))}
    assert all(each.ok for each in all_of_them.values())
    assert {"node node1", "node node2", "shared home", "clocks"} <= all_of_them.keys()
