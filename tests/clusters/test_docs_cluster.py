"""Each command of docs/cluster.md, executed against real clusters, as it stands there.

What a page cannot know is put in: the addresses, the name of a run, the data. `ray start` and `pip` are checked by what
they made: the fixture has started the cluster by the same commands, with ports of its own.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from imgcls_lab import demo_data
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.clusters.ray_cluster import RayCluster
from tests.clusters.s3_server import Bucket
from tests.clusters.slurm_cluster import SlurmCluster
from tests.store.postgres_server import Server

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
LIMIT = 600  # seconds for one command of a busy machine


def commands(section: str) -> list[str]:
    """The commands of a section's blocks, without comments; a line that ends with a backslash goes on."""
    text = re.search(rf"^## {re.escape(section)}$(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert text is not None, f"the page has no section {section!r}"
    blocks = re.findall(r"^```(?:bash)?\n(.*?)^```", text[1], re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.join(parts) for line in lines if (parts := shlex.split(line, comments=True))]


class Shell:
    """One shell session: `export` stays, everything else is executed. `last_run`: the id that was queued last."""

    def __init__(self, folder: Path, environment: dict[str, str], words: dict[str, str]) -> None:
        self.folder, self.environment, self.words = folder, environment, words
        self.last_run = ""

    def execute(self, command: str) -> str:
        for word, value in {**self.words, r"\bRUN\b": self.last_run}.items():
            command = re.sub(word, value, command)
        parts = shlex.split(command)
        if parts[0] == "export":
            self.environment |= dict(part.split("=", 1) for part in parts[1:] if part.split("=")[0] not in KEPT)
            return ""
        if parts[0] in CHECKS:
            CHECKS[parts[0]](parts)
            return ""
        done = subprocess.run(
            parts, env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False, timeout=LIMIT
        )
        print(f"$ {command}\n{done.stdout[-1500:]}{done.stderr[-1500:]}", flush=True)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        found = re.search(r"\d{8}-\d{6}-[0-9a-z]{6}", done.stdout)
        self.last_run = found[0] if found else self.last_run
        return done.stdout


KEPT = {"IMGCLS_HOME", "IMGCLS_DB_URL", "DATASETS_DIR"}  # of the test's own


def _pip(parts: list[str]) -> None:
    """`pip install imgcls-lab[extra]`: the extra is there, and so is all that it brings."""
    assert parts[1] == "install"
    for name in parts[2:]:
        extra = re.fullmatch(r"imgcls-lab\[(\w+)\]", name)
        if extra is not None:
            wanted = [
                line
                for line in metadata.requires("imgcls-lab") or ()
                if f"extra == '{extra[1]}'" in line.replace('"', "'")
            ]
            assert wanted, name
            for line in wanted:
                metadata.version(re.match(r"[\w.-]+", line)[0])  # type: ignore[index]


def _ray(parts: list[str]) -> None:
    """`ray start`: an option that the installed Ray has. The fixture has started its nodes by it."""
    shown = subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", *parts[1:2], "--help"], capture_output=True, text=True, check=True
    ).stdout
    for part in parts[2:]:
        assert part.split("=")[0] in shown, part


CHECKS = {"pip": _pip, "ray": _ray}


@pytest.fixture
def environment(home: Path, tmp_path: Path, postgres: Server) -> Iterator[dict[str, str]]:
    """A home with the demo's data on PostgreSQL, and its executor ended afterwards."""
    bin_folder = str(Path(sys.executable).parent)
    found = {
        **os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}:/usr/sbin", "IMGCLS_HOME": str(home),
        "IMGCLS_DB_URL": postgres.url(), "DATASETS_DIR": str(tmp_path / "data"), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    settings = Settings(home=str(home), db_url=found["IMGCLS_DB_URL"], datasets_dir=found["DATASETS_DIR"])
    with Store.open(settings, migrate=True) as store:
        config = demo_data.prepare(settings, store).config.model_copy(update={"epochs": 2, "device": "auto"})
    (tmp_path / "config.json").write_text(config.model_dump_json())
    yield found
    subprocess.run(["imgcls-lab", "executor", "stop"], env=found, capture_output=True, check=False, timeout=LIMIT)


def test_every_block_of_the_page_is_of_a_section_that_is_executed() -> None:
    sections = re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE)
    with_commands = {name for name in sections if commands(name)}
    assert with_commands <= {*RAY, *SLURM, *STORE}, "add the section to the test that has its cluster"
    assert {"Ray", "Slurm"} <= with_commands


RAY = ("Ray", "Several GPUs and several nodes", "Elastic resume")
SLURM = ("Slurm",)
STORE = ("Home in an object store",)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_commands_for_ray(environment: dict[str, str], ray_cluster: RayCluster, tmp_path: Path) -> None:
    words = {"http://HEAD:8265": ray_cluster.address, "HEAD:6379": f"127.0.0.1:{ray_cluster.port}"}
    shell = Shell(tmp_path, environment, words)
    for section in RAY:
        for command in commands(section):
            shell.execute(command)
    assert "nodes with 4 GPUs" in shell.execute("imgcls-lab doctor")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_commands_for_slurm(environment: dict[str, str], slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    environment["SLURM_CONF"] = str(slurm_cluster.configuration)
    shell = Shell(tmp_path, environment, {})
    for command in commands("Slurm"):
        shell.execute(command)
    shell.execute("imgcls-lab doctor")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_commands_for_an_object_store(
    environment: dict[str, str], slurm_cluster: SlurmCluster, s3_server: Bucket, tmp_path: Path
) -> None:
    of_both = {"SLURM_CONF": str(slurm_cluster.configuration), "IMGCLS_BACKEND": "slurm", **s3_server.environment}
    environment.update(of_both)
    shell = Shell(tmp_path, environment, {r"s3://[\w./-]+": s3_server.url})
    for command in commands(STORE[0]):
        shell.execute(command)
