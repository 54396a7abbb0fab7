"""Fixtures of the tests with a cluster: an S3 server, a Ray and a Slurm cluster, and a home for all kinds of runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcls_lab.api import context
from tests.browser.conftest import browser  # noqa: F401
from tests.clusters import ray_cluster as cluster_of_ray
from tests.clusters import slurm_cluster as cluster_of_slurm
from tests.clusters.kinds_lab import KindsLab
from tests.clusters.ray_cluster import RayCluster
from tests.clusters.s3_server import Bucket, profile, serving
from tests.clusters.slurm_cluster import SlurmCluster
from tests.store.postgres_server import Server


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a real S3 protocol server (moto) on loopback, one for all tests of a worker."""
    with serving() as endpoint:
        yield endpoint


@pytest.fixture
def s3_server(s3: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, and the environment by which this process and its children reach it."""
    bucket = Bucket.make(s3)
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    return bucket


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """A real Ray cluster: a head, and two nodes with two logical GPUs each."""
    with cluster_of_ray.running() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def slurm_cluster(s3: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A real Slurm: two nodes with two logical GPUs each. Whoever breaks a part of it mends that."""
    with cluster_of_slurm.running(profile(s3, tmp_path_factory.mktemp("aws"))) as cluster:
        yield cluster


@pytest.fixture
def kinds_lab(
    request: pytest.FixtureRequest, home: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KindsLab]:
    """A home for runs of all kinds; the parameter names its real cluster: `ray` or `slurm`. Its daemon lives."""
    backend = request.param
    cluster = request.getfixturevalue(f"{backend}_cluster")
    traits = {"ray_address": cluster.address} if backend == "ray" else {}
    if backend == "slurm":
        monkeypatch.setenv("SLURM_CONF", str(cluster.configuration))
    lab = KindsLab(home, postgres.url(), backend, **traits)
    for name, value in lab.settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IMGCLS_DB_URL", lab.settings.db_url)
    lab.start_daemon(kinds=True)
    yield lab
    lab.close()
    context.close()
