"""JupyterHub on this machine as docs/jupyterhub.md installs it: its commands, with the test's own folders and users.

Nothing is downloaded: the new virtual environment finds the packages of the one that runs the tests, and pip says that
they are there. What the test installs, and the Linux users that it adds, are removed afterwards.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path

import psutil
import pytest

from tests.hub.hub_process import PAGE, PROXY, ROOT

SCRIPTS = ("jupyter", "jupyter-lab", "jupyterhub", "jupyterhub-singleuser")


def commands(heading: str) -> str:
    """The shell commands under a heading of docs/jupyterhub.md."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert section, heading
    found = re.findall(r"^```bash\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)
    assert found, heading
    return "".join(found)


class Installation:
    """Folders and users of one test. `text` puts them where the page has its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tail = secrets.token_hex(3)
        self.users = {name: f"{name}-{tail}" for name in ("anna", "boris")}
        self.venv = folder / "opt" / "jupyterhub"
        self.etc, self.srv = folder / "etc" / "jupyterhub", folder / "srv"
        self._passage = passage(folder / "passage", [ROOT])

    def text(self, text: str) -> str:
        """A text of the page with the folders and users of this test."""
        for ours, place in (("/opt/", "opt/"), ("/etc/jupyterhub", "etc/jupyterhub"), ("/srv/", "srv/")):
            text = re.sub(rf"(?<![\w.]){ours}", f"{self.folder}/{place}", text)
        for name, user in self.users.items():
            text = re.sub(rf"\b{name}\b", user, text)
        return text.replace("--create-home", f"--create-home --base-dir {self.folder}/home")

    def install(self) -> None:
        """What the sections Install and Users say."""
        (self.folder / "home").mkdir()
        dist = self.folder / "dist"
        wheel = [sys.executable, "-m", "build", "--wheel", "--no-isolation", f"--outdir={dist}", str(ROOT)]
        built = subprocess.run(
            wheel, check=False, capture_output=True, text=True, env={**os.environ, "SKIP_JUPYTER_BUILDER": "1"}
        )
        assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
        make_venv, *rest = self.text(commands("Install")).splitlines()
        self._run(make_venv)
        self._lend_packages()
        # the proxy that the tests have already; npm links to it
        package = PROXY.parents[1] / "configurable-http-proxy"
        self._run(
            "\n".join(rest).replace(
                "--global configurable", f"--global --prefix={self.folder}/npm {package.parent}/configurable"
            )
        )
        self._run(self.text(commands("Users")))

    def _run(self, script: str) -> None:
        python = f"{Path(sys.executable).resolve().parent}"
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{python}:{os.environ['PATH']}", "PIP_NO_INDEX": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"

    def _lend_packages(self) -> None:
        """Let the new environment find the packages of this one, their commands and their Jupyter extensions."""
        own = Path(subprocess.run([self.venv / "bin/python", "-c", "import site; print(site.getsitepackages()[0])"],
                                  capture_output=True, text=True, check=True).stdout.strip())  # fmt: skip
        for old in own.glob("setuptools*"):  # the one that venv brings along; pip would replace it
            shutil.rmtree(old)
        lent = [path for path in sys.path if path.endswith("site-packages") or "/site" in path]
        (own / "lent.pth").write_text("\n".join(lent))
        for part in ("share", "etc"):
            shutil.copytree(
                Path(sys.prefix) / part, self.venv / part, dirs_exist_ok=True, symlinks=True,
                ignore=shutil.ignore_patterns("imgcls*"),
            )  # fmt: skip
        for script in entry_points(group="console_scripts"):
            if script.name in SCRIPTS:
                module, function = script.value.split(":")
                path = self.venv / "bin" / script.name
                path.write_text(f"#!{self.venv}/bin/python\nimport {module}\n{module}.{function}()\n")
                path.chmod(0o755)

    @property
    def start_command(self) -> list[str]:
        """What the section Start says, where all users can execute Python."""
        return [*self._passage, *self.text(commands("Start")).split("--config")[0].split()]

    def remove(self) -> None:
        """End what the users' processes left, and remove users and folders."""
        for user in self.users.values():
            end_all_of(user)
            subprocess.run(["userdel", user], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def end_all_of(user: str) -> None:
    """Kill each process of a Linux user that a test added."""
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        return
    deadline = time.monotonic() + 20
    while left := [p for p in psutil.process_iter(["uids", "status"]) if _belongs(p, uid)]:
        assert time.monotonic() < deadline, left
        for process in left:
            process.kill()
        time.sleep(0.1)


def _belongs(process: psutil.Process, uid: int) -> bool:
    uids = process.info["uids"]
    return uids is not None and uids.real == uid and process.info["status"] != psutil.STATUS_ZOMBIE


def passage(stash: Path, needed: Iterable[Path]) -> list[str]:
    """A command before another, for which all users may enter the folders of Python and of this checkout.

    Python may lie in the home of root (pyenv). The command then runs in a mount namespace of its own, where the closed
    folder shows what is needed and nothing else. Nothing changes for other processes.
    """
    wanted = {Path(path).resolve() for path in [*needed, sys.prefix, sys.base_prefix, *sys.path] if Path(path).is_dir()}
    wanted = {path for path in wanted if not any(parent in wanted for parent in path.parents)}
    closed: dict[Path, list[Path]] = {}
    for path in sorted(wanted):
        ancestors = [folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001]
        if ancestors:
            closed.setdefault(ancestors[0], []).append(path)
    if not closed:
        return []
    lines: list[str] = []
    for top, paths in closed.items():
        places = [(path, stash / path.relative_to("/")) for path in paths]
        lines += [f"mkdir -p {kept} && mount --bind {path} {kept}" for path, kept in places]
        lines += [f"mount -t tmpfs -o mode=755 tmpfs {top}"]
        lines += [f"mkdir -p {path} && mount --bind {kept} {path}" for path, kept in places]
    return ["unshare", "--mount", "bash", "-euc", "\n".join([*lines, 'exec "$@"']), "bash"]


def why_not() -> str | None:
    """What this machine lacks for a hub with users of its own; None if nothing."""
    if os.geteuid() != 0:
        return "only root can add Linux users"
    missing = [name for name in ("useradd", "userdel", "setpriv", "nsenter", "unshare") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} is missing"
    if passage(Path("/nowhere"), [ROOT]) and subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        return "other users cannot enter the folder of Python, and mount namespaces are not allowed"
    return None


needs_users = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
