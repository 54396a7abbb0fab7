"""`imgcls-lab doctor`: checks this machine and the installation. Changes nothing.

Exit 1 if something is wrong.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import typer

from imgcls_lab.cli.output import Json, print_json, say
from imgcls_lab.cpu import bf16_unit, cores
from imgcls_lab.plurals import counted

if TYPE_CHECKING:
    from imgcls_lab.settings import Settings

GB = 1e9
# The packages that it needs at run time; those of the tests are not checked.
PACKAGES = (
    "alembic", "anywidget", "ipywidgets", "jupyter-server", "jupyter-server-proxy", "jupyterlab", "numpy", "pandas",
    "papermill", "pillow", "psutil", "psycopg", "pydantic", "safetensors", "scikit-learn", "simplejpeg", "sqlalchemy",
    "sqlmodel", "tensorboard", "timm", "torch", "torchvision", "traitlets", "transformers",
)  # fmt: skip
_TORCH = """
import json, torch
gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "threads": torch.get_num_threads(),
                  "gpus": [[g.name, g.total_memory] for g in gpus]}))
"""


State = Literal["ok", "note", "wrong"]


class Finding(NamedTuple):
    """The result of one check: `ok`, `note` (worth knowing) or `wrong` (it will not work); `text` has the remedy."""

    name: str
    state: State
    text: str


def doctor(as_json: Json = False) -> None:
    """Say what this machine has and what is wrong. Exit 1 if something is wrong."""
    looks: tuple[Callable[[], Finding], ...] = (
        python, packages, torch, processor, memory, home, sockets, gpu_locks, disk, database, executor, panel, server,
        proxy, cell, node,
    )  # fmt: skip
    found = []
    for item in itertools.chain(map(_safely, looks), cluster()):
        found.append(item)
        if not as_json:
            _print(item)
    wrong = [item for item in found if item.state == "wrong"]
    if as_json:
        print_json([item._asdict() for item in found])
    else:
        count = "one thing is" if len(wrong) == 1 else f"{len(wrong)} things are"
        say(f"\n{count} wrong: {', '.join(item.name for item in wrong)}." if wrong else "\nAll is well.")
    if wrong:
        raise typer.Exit(1)


def _safely(look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Exception as error:  # a check that fails is a finding; the other checks still run
        return Finding(look.__name__, "wrong", f"Could not be looked at: {error}")


def _print(item: Finding) -> None:
    mark, colour = {"ok": ("✓", "green"), "note": ("·", "yellow"), "wrong": ("✗", "red")}[item.state]
    typer.secho(mark, fg=colour, nl=False)
    say(f" {item.name:<10} {item.text}")


def python() -> Finding:
    version = platform.python_version()
    text = f"{version} at {sys.executable}"
    if sys.version_info < (3, 11):  # noqa: UP036  (it may be run from another interpreter than pip checked)
        return Finding("python", "wrong", f"{text}; imgcls-lab needs 3.11 or newer.")
    return Finding("python", "ok", f"{text} on {platform.platform(terse=True)}")


def packages() -> Finding:
    missing = [name for name in PACKAGES if not _installed(name)]
    if missing:
        return Finding("packages", "wrong", f"Missing: {', '.join(missing)}. `pip install imgcls-lab` brings them.")
    shown = ", ".join(f"{name} {metadata.version(name)}" for name in ("jupyterlab", "transformers", "timm", "sqlmodel"))
    return Finding("packages", "ok", f"all there: {shown} ...")


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def torch() -> Finding:
    from imgcls_lab.child_environment import child_environment

    done = subprocess.run(
        [sys.executable, "-c", _TORCH],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return Finding("torch", "wrong", f"PyTorch cannot be imported: {last}")
    told: dict[str, Any] = json.loads(done.stdout)
    if told["gpus"]:
        gpus = ", ".join(f"{name} ({size / GB:.0f} GB)" for name, size in told["gpus"])
        return Finding("torch", "ok", f"{told['version']}, CUDA {told['cuda']}: {gpus}")
    if told["cuda"] and shutil.which("nvidia-smi"):
        return Finding(
            "torch", "wrong", f"{told['version']} was built for CUDA {told['cuda']} but sees no GPU; check the driver."
        )
    return Finding(
        "torch",
        "ok",
        f"{told['version']}, no GPU: runs train on the CPU with {counted(int(told['threads']), 'thread')}",
    )


def processor() -> Finding:
    unit = bf16_unit()
    bf16 = f"multiplies bf16 ({unit})" if unit else "does not multiply bf16, so CPU runs use fp32"
    return Finding("processor", "ok", f"{counted(cores(), 'core')}, {bf16}")


def memory() -> Finding:
    import psutil

    free, total = psutil.virtual_memory().available, psutil.virtual_memory().total
    text = f"{free / GB:.1f} of {total / GB:.1f} GB free"
    return Finding("memory", "ok", text) if free > 2 * GB else Finding("memory", "note", f"{text}; take small batches.")


def home() -> Finding:
    from imgcls_lab.errors import UnsafeFolderError
    from imgcls_lab.private_folder import require_home, weaknesses
    from imgcls_lab.settings import Settings

    folder = Settings().home_path
    if not folder.exists():
        there = next(parent for parent in folder.parents if parent.exists())
        if not os.access(there, os.W_OK):
            return Finding("home", "wrong", f"{folder} cannot be made: {there} is not writable. Set IMGCLS_HOME.")
        return Finding("home", "ok", f"{folder} is made at the first use")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("home", "wrong", f"{folder} is not writable for you. Set IMGCLS_HOME to a folder of yours.")
    try:
        require_home(folder)
    except UnsafeFolderError as error:
        return Finding("home", "wrong", str(error))
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        return Finding("home", "note", f"{folder} can be read by others ({mode:o}); `chmod 700 {folder}` closes it.")
    weak = next(weaknesses(folder), None)
    if weak is not None:
        return Finding("home", "note", f"{folder} is closed, but {weak}: trust them, or set IMGCLS_HOME.")
    return Finding("home", "ok", f"{folder} (only for you)")


def sockets() -> Finding:
    from imgcls_lab.errors import UnsafeFolderError
    from imgcls_lab.private_folder import runtime_place
    from imgcls_lab.settings import Settings

    try:
        return Finding("sockets", "ok", f"lie in {runtime_place(Settings().home_path)}")
    except UnsafeFolderError as error:
        return Finding("sockets", "wrong", f"{error} Set XDG_RUNTIME_DIR to a folder of yours (0700).")


def gpu_locks() -> Finding:
    from imgcls_lab.errors import UnsafeFolderError
    from imgcls_lab.executor.device_locks import foreign_entries, require_folder, shared_folder
    from imgcls_lab.executor.nvml import Nvml
    from imgcls_lab.settings import Settings

    folder = shared_folder(Settings().host_locks)
    try:
        require_folder(folder)
    except UnsafeFolderError as error:
        return Finding("GPU locks", "wrong" if Nvml().gpus() else "note", str(error))
    foreign = list(foreign_entries(folder))
    if foreign:
        text = f"in {folder}. Somebody put what is no lock there, which is passed over: {', '.join(foreign[:3])}"
        return Finding("GPU locks", "note", f"{text}. Its owner or root can remove it.")
    whose = "shared by all users of this machine" if folder.stat().st_mode & stat.S_IWOTH else "not open to every user"
    return Finding("GPU locks", "ok", f"in {folder}, {whose}")


def disk() -> Finding:
    from imgcls_lab.settings import Settings

    folder = Settings().home_path
    there = folder if folder.exists() else next(parent for parent in folder.parents if parent.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / GB:.1f} GB free where the home is"
    if free < 0.5 * GB:
        return Finding("disk", "wrong", f"{text}: too little for checkpoints. Free some, or set IMGCLS_HOME.")
    return Finding("disk", "ok", text) if free > 5 * GB else Finding("disk", "note", f"{text}; checkpoints add up.")


def database() -> Finding:
    from imgcls_lab.errors import StoreError
    from imgcls_lab.settings import Settings
    from imgcls_lab.store import Store

    settings = Settings()
    if _fresh(settings):
        return Finding("database", "ok", "SQLite in the home, made at the first use")
    try:
        with Store.open(settings) as store:
            return Finding("database", "ok", f"{store.database.shown}, runs: {store.runs.list(limit=1).total}")
    except StoreError as error:
        return Finding("database", "wrong", str(error))


def cluster() -> Iterator[Finding]:
    """Where runs start; with a cluster, what its scheduler and its nodes say."""
    from imgcls_lab.errors import InputError
    from imgcls_lab.executor import backends, cluster_check
    from imgcls_lab.settings import LOCAL, Settings

    try:
        settings = Settings()
        scheduler = backends.scheduler_of(settings)
    except InputError as error:
        yield Finding("backend", "wrong", str(error))
        return
    if scheduler is None:
        text = f"{LOCAL}: runs are processes of this machine; IMGCLS_BACKEND=ray or slurm gives them to a cluster"
        yield Finding("backend", "ok", text)
        return
    yield Finding("backend", "ok", f"{settings.backend}: runs are jobs of {scheduler.title}")
    if settings.db_url.startswith("sqlite:"):
        text = "SQLite: sweeps and notebook runs on other nodes cannot reach it. Set IMGCLS_DB_URL to PostgreSQL."
        yield Finding("cluster database", "note", text)
    try:
        for finding in cluster_check.findings(settings, scheduler):
            state: State = "wrong" if not finding.ok else "note" if finding.note else "ok"
            yield Finding(finding.name, state, finding.message)
    finally:
        scheduler.close()


def _fresh(settings: Settings) -> bool:
    """Whether this home has no database yet. Opening it would make an empty one."""
    file = settings.home_path / "imgcls.db"
    return settings.db_url == f"sqlite:///{file}" and not file.exists()


def executor() -> Finding:
    from imgcls_lab.errors import StoreError
    from imgcls_lab.executor import client
    from imgcls_lab.settings import Settings

    settings = Settings()
    if _fresh(settings):
        return Finding("executor", "ok", "starts with the first run")
    try:
        reply = client.status(settings)
    except StoreError:
        return Finding("executor", "note", "cannot be told without the database")
    alive = [item for item in reply.executors if item.here and item.state == "alive"]
    if not alive:
        if count := _unfinished(settings):
            runs = counted(count, "run that has", "runs that have")
            text = f"none runs to start or follow {runs} not ended. Start it by `imgcls-lab executor start`."
            return Finding("executor", "wrong", text)
        start = "starts with the next run" if settings.autostart else "start it by `imgcls-lab executor start`"
        return Finding("executor", "ok" if settings.autostart else "note", f"none runs; {start}")
    if reply.message:
        return Finding("executor", "wrong", reply.message)
    text = f"runs as process {alive[0].pid}"
    if reply.cluster is None:
        free = sum(item.run_id is None and item.held_by is None for item in reply.devices)
        text += f"; {free} of {counted(len(reply.devices), 'device')} free"
    return Finding("executor", "ok", text)


def _unfinished(settings: Settings) -> int:
    from imgcls_lab.events import ACTIVE
    from imgcls_lab.store import Store

    with Store.open(settings) as store:
        return sum(run.home == store.database.home for run in store.runs.list(states=ACTIVE, limit=1000).items)


def panel() -> Finding:
    from jupyter_core.paths import jupyter_path

    for folder in jupyter_path("labextensions"):
        if (Path(folder) / "imgcls-lab" / "package.json").is_file():
            return Finding("panel", "ok", f"the JupyterLab extension is in {folder}")
    return Finding(
        "panel", "wrong", "JupyterLab does not see the extension. Install the wheel, or run `make setup` in a checkout."
    )


def server() -> Finding:
    from jupyter_core.paths import jupyter_config_path

    enabled: bool | None = None
    for folder in reversed([Path(sys.prefix, "etc", "jupyter"), *map(Path, jupyter_config_path())]):
        for file in [
            *sorted((folder / "jupyter_server_config.d").glob("*.json")),
            folder / "jupyter_server_config.json",
        ]:
            try:
                known = json.loads(file.read_text())["ServerApp"]["jpserver_extensions"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            enabled = known.get("imgcls_lab", enabled)
    if enabled:
        return Finding("server", "ok", "the Jupyter server extension is enabled")
    return Finding("server", "wrong", "The server extension is off: `jupyter server extension enable imgcls_lab`.")


def proxy() -> Finding:
    from imgcls_lab.settings import Settings

    if Settings().open_proxy:
        text = "IMGCLS_OPEN_PROXY is on: whoever may use the Jupyter server reaches every port of this machine."
        return Finding("proxy", "note", text)
    return Finding("proxy", "ok", "the Jupyter server serves no ports of this machine; IMGCLS_OPEN_PROXY=1 changes it")


def cell() -> Finding:
    package = find_spec("imgcls_lab")
    folder = Path(package.origin).parent if package and package.origin else Path()
    if (folder / "widgets" / "static" / "widget.js").is_file():
        return Finding("cells", "ok", "live cells have their front end")
    return Finding(
        "cells",
        "note",
        "The widget is not built: outside JupyterLab cells show a still picture. `make setup` builds it.",
    )


def node() -> Finding:
    found = shutil.which("node")
    return Finding(
        "node", "ok", "is there, and needed only to build from a checkout" if found else "is not there, and not needed"
    )


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)
