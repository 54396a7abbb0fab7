"""Each command of docs/cluster.md, executed against real clusters, as it stands there.

What a page cannot know is put in: addresses, folders, the id of a run. `ray start` starts Ray, with ports of the test's
own beside what the page says. `pip install` is not repeated: what it would bring must be there.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from imgcls_lab import demo_data
from imgcls_lab.executor import client
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.clusters.ray_cluster import RayCluster
from tests.clusters.s3_server import Bucket
from tests.clusters.slurm_cluster import SlurmCluster
from tests.store.postgres_server import Server
from tests.waiting import until

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
LIMIT = 600  # seconds for one command of a busy machine
RUN_ID = r"\d{8}-\d{6}-[0-9a-z]{6}"
MOVE, CHECK, RAY, SLURM, STORE = "Move the home", "Check", "Ray", "Slurm", "Home in an object store"
SEVERAL, ELASTIC = "Several GPUs and several nodes", "Elastic resume"


def text_of(section: str) -> str:
    text = re.search(rf"^## {re.escape(section)}$(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert text is not None, f"the page has no section {section!r}"
    return text[1]


def commands(section: str) -> list[str]:
    """The commands of a section's blocks, without comments; a line that ends with a backslash goes on."""
    blocks = re.findall(r"^```(?:bash)?\n(.*?)^```", text_of(section), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.join(parts) for line in lines if (parts := shlex.split(line, comments=True))]


def _pip(parts: list[str]) -> None:
    """`pip install imgcls-lab[extra]`: the extra is there, and so is all that it brings."""
    assert parts[1] == "install"
    for name in parts[2:]:
        extra = re.fullmatch(r"imgcls-lab\[(\w+)\]", name)
        assert extra, name
        lines = [line.replace('"', "'") for line in metadata.requires("imgcls-lab") or ()]
        wanted = [line for line in lines if f"extra == '{extra[1]}'" in line]
        assert wanted, name
        for line in wanted:
            metadata.version(re.match(r"[\w.-]+", line)[0])  # type: ignore[index]


class Shell:
    """One shell session: `export` stays, everything else is executed. `last_run`: the id that was queued last.

    words: what stands in the page -> what it is here. programs: those that the test executes itself.
    """

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        words: Mapping[str, str],
        programs: Mapping[str, Callable[[list[str]], None]] | None = None,
    ) -> None:
        self.folder, self.environment, self.words = folder, environment, words
        self.programs = {"pip": _pip, **(programs or {})}
        self.last_run = ""

    def follow(self, *sections: str) -> None:
        """Execute all commands of these sections of the page."""
        for section in sections:
            for command in commands(section):
                self.execute(command)

    def execute(self, command: str) -> str:
        for word, value in {**self.words, r"\bRUN\b": self.last_run}.items():
            command = re.sub(word, value, command)
        parts = shlex.split(command)
        if parts[0] == "export":
            self.environment |= dict(part.split("=", 1) for part in parts[1:])  # type: ignore[misc]
            return ""
        if parts[0] in self.programs:
            self.programs[parts[0]](parts)
            return ""
        done = subprocess.run(
            parts, env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False, timeout=LIMIT
        )
        print(f"$ {command}\n{done.stdout[-1500:]}{done.stderr[-1500:]}", flush=True)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        found = re.search(RUN_ID, done.stdout)
        self.last_run = found[0] if found else self.last_run
        return done.stdout

    def shown(self, run_id: str = "") -> dict[str, Any]:
        """The run that was queued last, or another one, as `show --json` has it."""
        found: dict[str, Any] = json.loads(self.execute(f"imgcls-lab show {run_id or self.last_run} --json"))
        return found

    def succeeds(self) -> dict[str, Any]:
        """The run that was queued last, once it has succeeded."""
        self.execute(f"imgcls-lab wait {self.last_run}")
        shown = self.shown()
        assert shown["state"] == "succeeded", shown
        return shown

    def close(self) -> None:
        """End the executor that the page has started, whatever became of the test; its runs end with their cluster."""
        variables = {name: value for name, value in self.environment.items() if name.startswith("IMGCLS_")}
        settings = Settings(home=variables.get("IMGCLS_HOME", ""), db_url=variables.get("IMGCLS_DB_URL", ""))
        if settings.executor_info.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(json.loads(settings.executor_info.read_text())["pid"], signal.SIGTERM)
        until(lambda: not client.lives(settings), 30)


@pytest.fixture
def environment(home: Path, tmp_path: Path) -> dict[str, str]:
    """Of a person's shell: no setting of imgcls-lab, and a home folder of the person."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("IMGCLS_", "JUPYTER"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
    folders = {"HOME": str(tmp_path), "DATASETS_DIR": str(tmp_path / "data"), "IMGCLS_HOME": str(home)}
    return {**kept, **folders, "PATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def words(home: Path, postgres: Server) -> dict[str, str]:
    return {"/shared/you/imgcls": str(home), r"postgresql://\S+": postgres.url(), "~/": "HOME/"}


@pytest.fixture
def shell_of(environment: dict[str, str], words: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Shell]]:
    """A shell whose home is on PostgreSQL and whose folder has a config.json of one epoch."""
    made: list[Shell] = []

    def make(more: Mapping[str, str], **programs: Callable[[list[str]], None]) -> Shell:
        environment["IMGCLS_DB_URL"] = words[r"postgresql://\S+"]
        settings = Settings(
            home=environment["IMGCLS_HOME"], db_url=environment["IMGCLS_DB_URL"],
            datasets_dir=environment["DATASETS_DIR"],
        )  # fmt: skip
        with Store.open(settings, migrate=True) as store:
            config = demo_data.prepare(settings, store).config.model_copy(update={"epochs": 1, "device": "auto"})
        (tmp_path / "config.json").write_text(config.model_dump_json())
        made.append(Shell(tmp_path, environment, {**words, **more}, programs))
        return made[-1]

    yield make
    for shell in made:
        shell.close()


@pytest.fixture
def ray() -> Iterator[RayCluster]:
    """A Ray that nobody has started yet: a head, and two nodes with four logical GPUs each."""
    cluster = RayCluster(gpus=4)
    yield cluster
    cluster.close()


def by_page(cluster: RayCluster) -> Callable[[list[str]], None]:
    """Executes `ray start ...`: the head, or both nodes."""

    def start(parts: list[str]) -> None:
        assert parts[:2] == ["ray", "start"]
        cluster.start(*((1,) if "--head" in parts else (2, 3)), words=parts[2:])
        cluster.wait()

    return start


def words_of(cluster: RayCluster) -> dict[str, str]:
    """The page's addresses. The dashboard of a test is open to this host alone."""
    return {r"http://HEAD:8265": cluster.address, "HEAD:6379": cluster.head, r"0\.0\.0\.0": "127.0.0.1"}


def test_every_block_of_the_page_is_of_a_section_that_is_executed() -> None:
    sections = re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE)
    with_commands = {name for name in sections if commands(name)}
    assert with_commands == {MOVE, CHECK, RAY, SLURM, SEVERAL, ELASTIC, STORE}, "add the section to the test of it"


def test_the_page_names_commands_settings_and_traits_that_there_are() -> None:
    page = PAGE.read_text()
    table = Settings().table()
    variables = {row.variable for row in table.values()}
    named = set(re.findall(r"\bIMGCLS_[A-Z_]+[A-Z]\b", page))
    assert named <= variables | {"IMGCLS_SLURM"}, named - variables  # IMGCLS_SLURM_*: all of them
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert code
    config = Config()
    exec(code[1], {"c": config})
    assert {*config.Settings} <= {*table}
    assert Settings(config=config).backend == "ray"


def test_the_commands_that_move_a_home(environment: dict[str, str], words: dict[str, str], tmp_path: Path) -> None:
    """A laptop's home with a finished run, then the same runs on PostgreSQL."""
    shell = Shell(tmp_path, environment, words)
    target, laptop = environment.pop("IMGCLS_HOME"), tmp_path / ".local/share/jupyter/imgcls_lab"
    environment.pop("DATASETS_DIR")
    shell.words = {**words, "HOME/": f"{tmp_path}/"}
    shell.execute("imgcls-lab demo --prepare-only")
    with Store.open(Settings(home=str(laptop))) as store:
        config = store.configs.list()[0].config
    (tmp_path / "config.json").write_text(json.dumps({**config, "epochs": 1}))
    try:
        shell.execute("imgcls-lab launch --config config.json --wait")
        moved = shell.last_run
        shell.follow(MOVE)
        assert environment["IMGCLS_HOME"] == target
        shown = shell.shown(moved)
        assert (shown["state"], shown["resumable"], shown["view_only"]) == ("succeeded", False, False)
        assert Path(target).stat().st_mode & 0o077 == 0
    finally:
        client.stop(Settings(home=str(laptop)), stop_runs=True)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_commands_for_ray(shell_of: Callable[..., Shell], ray: RayCluster) -> None:
    shell = shell_of(words_of(ray), ray=by_page(ray))
    shell.follow(RAY)
    assert shell.succeeds()["host"] == "ray"
    shell.follow(CHECK)
    found = {row["name"]: row for row in json.loads(shell.execute("imgcls-lab doctor --json"))}
    assert "3 nodes with 8 GPUs" in found["nodes"]["text"]
    assert found["shared home"]["state"] == found["clocks"]["state"] == "ok"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_commands_for_several_gpus_and_nodes(shell_of: Callable[..., Shell], ray: RayCluster) -> None:
    ray.start(1)
    ray.wait()
    ray.start(2, 3)
    shell = shell_of(words_of(ray))
    shell.environment |= {"IMGCLS_BACKEND": "ray", "IMGCLS_RAY_ADDRESS": ray.address}
    of_one_node, of_two = commands(SEVERAL)
    shell.execute(of_one_node)
    assert len(shell.succeeds()["attempts"][0]["devices"]) == 4
    shell.execute(of_two)
    folder = Path(shell.environment["IMGCLS_HOME"], "runs", shell.succeeds()["id"])
    first, second = (json.loads((folder / name).read_text()) for name in ("owner.json", "node-001.json"))
    assert {first["node"], second["node"]} == {"127.0.0.2", "127.0.0.3"}
    assert (len(first["devices"]), len(second["devices"])) == (2, 2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_commands_of_an_elastic_resume(shell_of: Callable[..., Shell], ray: RayCluster) -> None:
    """A run of two nodes loses one of them, waits, and goes on with the other."""
    ray.start(1)
    ray.wait()
    ray.start(2, 3)
    shell = shell_of(words_of(ray))
    shell.environment |= {"IMGCLS_BACKEND": "ray", "IMGCLS_RAY_ADDRESS": ray.address}
    launch, *rest = commands(ELASTIC)
    shell.execute(launch)
    assert len(shell.succeeds()["attempts"][0]["devices"]) == 4

    shell.execute("imgcls-lab launch --config config.json --set epochs=40 --set num_processes=4 --set num_nodes=2")
    until(lambda: shell.shown()["checkpoints"], 480)
    node = 3 if shell.shown()["attempts"][0]["devices"][0].startswith("127.0.0.2") else 2
    ray.kill_raylet(node)
    until(lambda: shell.shown()["state"] != "running", 480)
    # a next attempt may have been handed over before Ray called the node dead: that one is taken back
    until(lambda: shell.shown()["state"] == "queued", 240, lambda: str(shell.shown()["attempts"]))
    for command in rest:
        shell.execute(command)
    shown = shell.succeeds()
    assert shown["resumed_at_step"] > 0
    assert len(shown["attempts"][-1]["devices"]) == 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_commands_for_slurm(shell_of: Callable[..., Shell], slurm_cluster: SlurmCluster) -> None:
    shell = shell_of({})
    shell.environment["SLURM_CONF"] = str(slurm_cluster.configuration)
    shell.follow(SLURM)
    assert shell.succeeds()["host"] == "slurm"
    shell.follow(CHECK)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_commands_for_an_object_store(
    shell_of: Callable[..., Shell], slurm_cluster: SlurmCluster, s3_server: Bucket
) -> None:
    """Each node of this Slurm has a home of its own, as IMGCLS_NODE_HOME names it there."""
    shell = shell_of({r"s3://[\w./-]+": s3_server.url})
    of_both = {"SLURM_CONF": str(slurm_cluster.configuration), "IMGCLS_BACKEND": "slurm", **s3_server.environment}
    shell.environment.update(of_both)
    shell.follow(STORE)
    shell.execute("imgcls-lab launch --config config.json")
    run_id = shell.succeeds()["id"]
    assert list((slurm_cluster.folder / "homes").rglob(run_id)), "the node had the run on its own disk"
