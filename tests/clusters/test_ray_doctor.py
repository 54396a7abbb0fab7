"""What `doctor` says of a real Ray cluster on each bad day, and what it says once the remedy was followed.

Nodes have other Pythons by IMGCLS_NODE_PYTHON: a Python without Ray, one without the package. A wrong clock and other
versions cannot be had beside the others on one host: there a Python is told so as it starts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcls_lab._version import __version__
from imgcls_lab.executor import cluster_check
from imgcls_lab.executor.backends.job_scheduler import Finding
from imgcls_lab.executor.backends.ray import RayScheduler
from imgcls_lab.settings import Settings
from tests.clusters.ray_cluster import RayCluster, ip
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
HERE = Path(sysconfig.get_path("purelib"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A head and one node with two GPUs."""
    made = RayCluster()
    try:
        made.start(1)
        made.wait()
        made.start(2)
        yield made
    finally:
        made.close()


@pytest.fixture
def settings(home: Path, cluster: RayCluster) -> Settings:
    made = Settings(backend="ray", ray_address=cluster.address)
    made.make_home()
    return made


def found(settings: Settings) -> dict[str, Finding]:
    """What doctor says, by name; of one node that is down, or of several, the last."""
    found = {each.name: each for each in cluster_check.findings(settings, RayScheduler(settings))}
    print(
        "\n".join(f"{'ok ' if each.ok else 'NOT'} {each.name}: {each.message}" for each in found.values()), flush=True
    )
    return found


def with_python(settings: Settings, python: str | Path) -> dict[str, Finding]:
    return found(Settings(home=settings.home, ray_address=settings.ray_address, node_python=str(python)))


def script(folder: Path, text: str) -> Path:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def python_without(folder: Path, *names: str) -> Path:
    """A virtual environment that has all that this one has, but what begins with one of these names."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    packages = next((folder / "venv" / "lib").glob("python*/site-packages"))
    for entry in HERE.iterdir():
        if not entry.name.lower().startswith(names):
            (packages / entry.name).symlink_to(entry)
    return folder / "venv" / "bin" / "python"


def python_told(folder: Path, code: str, *, of_job: bool) -> Path:
    """This Python, which executes some code as it starts. of_job: in the job that takes the nodes, else on each."""
    which = f"if {of_job} is any('ray_nodes' in word for word in sys.orig_argv):\n    "
    (folder / "sitecustomize.py").write_text("import sys\n" + which + code.replace("\n", "\n    "))
    return script(folder, f'PYTHONPATH="{folder}:$PYTHONPATH" exec {sys.executable} "$@"')


def test_a_cluster_that_fits(settings: Settings) -> None:
    said = found(settings)
    assert all(each.ok for each in said.values())
    assert {"ray", "nodes", "queue", f"node {ip(1)}", f"node {ip(2)}", "shared home", "clocks"} == said.keys()
    assert "2 nodes with 2 GPUs" in said["nodes"].message
    assert __version__ in said[f"node {ip(2)}"].message


def test_a_python_without_ray_takes_no_several_nodes_and_is_asked_on_one(settings: Settings, tmp_path: Path) -> None:
    said = with_python(settings, python_without(tmp_path, "ray"))
    assert not said["several nodes"].ok
    assert "pip install 'imgcls-lab[ray]'" in said["several nodes"].message
    assert said["shared home"].ok, "one node answers"


def test_a_python_without_the_package(settings: Settings, tmp_path: Path) -> None:
    python = python_without(tmp_path, "imgcls", "_editable_impl_imgcls")
    said = with_python(settings, script(tmp_path, f'unset PYTHONPATH; exec {python} "$@"'))
    assert not said["node check"].ok
    assert f"pip install imgcls-lab=={__version__}" in said["node check"].message


def test_a_python_that_is_not_there(settings: Settings) -> None:
    said = with_python(settings, "/opt/nowhere/bin/python")
    assert not said["node check"].ok
    assert "IMGCLS_NODE_PYTHON" in said["node check"].message


@pytest.mark.parametrize(
    "code",
    ["import ray\nray.__version__ = '2.9.3'",
     "import ray._private.utils as u, ray\nu.compute_version_info = lambda: (ray.__version__, '3.9.1')"],
)  # fmt: skip
def test_another_version_of_ray_or_python_than_the_cluster(settings: Settings, tmp_path: Path, code: str) -> None:
    said = with_python(settings, python_told(tmp_path, code, of_job=True))
    assert not said["several nodes"].ok
    assert ("2.9.3" if "2.9.3" in code else "3.9.1") in said["several nodes"].message
    assert "IMGCLS_NODE_PYTHON" in said["several nodes"].message


def test_another_version_of_the_package(settings: Settings, tmp_path: Path) -> None:
    code = "import imgcls_lab._version as v\nv.__version__ = '0.0.1'"
    said = with_python(settings, python_told(tmp_path, code, of_job=False))
    assert not said[f"node {ip(2)}"].ok
    assert f"pip install imgcls-lab=={__version__}" in said[f"node {ip(2)}"].message


def test_a_clock_that_is_wrong(settings: Settings, tmp_path: Path) -> None:
    code = "import time\nnow = time.time\ntime.time = lambda: now() + 300"
    said = with_python(settings, python_told(tmp_path, code, of_job=False))
    assert not said["clocks"].ok
    assert "s ahead" in said["clocks"].message


def test_a_node_that_does_not_see_the_home(settings: Settings, cluster: RayCluster) -> None:
    """In a mount namespace of its own, where another file system lies over the home."""
    covered = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(settings.home_path))
    cluster.start(3, prefix=covered)
    try:
        said = found(settings)
    finally:
        cluster.kill_raylet(3)
        cluster.clean(3)
    assert not said["shared home"].ok
    assert said["shared home"].message.startswith(f"{ip(3)} does not see {settings.home_path}")
    assert "IMGCLS_STORE_URL" in said["shared home"].message


def test_another_of_rays_ports(settings: Settings, cluster: RayCluster) -> None:
    said = found(Settings(home=settings.home, ray_address=f"http://127.0.0.1:{cluster.port}"))
    assert [*said] == ["ray"]
    assert "http://HEAD:8265" in said["ray"].message


def test_a_dashboard_that_is_away_and_a_head_that_starts_anew(settings: Settings, cluster: RayCluster) -> None:
    for pid in cluster.of_node(1):
        if b"dashboard/dashboard.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    until(lambda: not found(settings)["ray"].ok, 30)
    assert "head of the cluster runs" in found(settings)["ray"].message

    cluster.kill_head()
    until(lambda: not cluster.pids(2, "raylet/raylet"), 180)  # the node finds out that its head is gone
    cluster.clean(2)
    cluster.start(1)
    cluster.wait()
    until(lambda: found(settings)["ray"].ok, 60)
    said = found(settings)
    assert said["nodes"].note
    assert "ray start --address=HEAD:6379" in said["nodes"].message

    cluster.start(2)
    until(lambda: "2 nodes with 2 GPUs" in found(settings)["nodes"].message, 60)

    cluster.kill_raylet(2)
    until(lambda: any(not node.alive for node in RayScheduler(settings).nodes()), 120)
    said = [each for each in RayScheduler(settings).check() if not each.ok]
    assert [each.name for each in said] == ["nodes"]
    assert ip(2) in said[0].message
