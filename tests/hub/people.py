"""A person at a hub: a Linux user with a browser, a terminal of the hub's server, and a token. For tests."""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import BrowserContext, Page

from imgcls_lab.run_layout import RUN_TAG
from tests.browser.conftest import Desk
from tests.hub.hub_process import Hub, Seat
from tests.waiting import until

SECRET = re.compile("TOKEN|SECRET|PASSWORD")
SERVER = re.compile(r"jupyterhub.singleuser")  # the processes that have to know the hub's token


class Person:
    """A Linux user who has logged in at the hub in a browser of its own."""

    def __init__(self, hub: Hub, user: str, context: BrowserContext) -> None:
        known = pwd.getpwnam(user)
        self.hub, self.user, self.context = hub, user, context
        self.uid, self.gid = known.pw_uid, known.pw_gid
        self.home = Path(known.pw_dir)
        self.seat = Seat(hub, user, self.home)
        self.page, self.desk = self.log_in(self.seat)
        self.token = self.seat.token(self._at_hub())
        self.imgcls_home = Path(self.api("GET", "info")[1]["home"])

    def log_in(self, seat: Seat) -> tuple[Page, Desk]:
        """JupyterLab of a server, reached through the hub's login page, and what the user does there."""
        page = self.context.new_page()
        seat.log_in(page)
        desk = Desk(page, seat)
        desk.open()
        return page, desk

    def log_in_again(self) -> None:
        """As a user does on another day: a server starts, and the page with it."""
        self.context.clear_cookies()
        self.page, self.desk = self.log_in(self.seat)

    def _at_hub(self) -> Page:
        return self.context.new_page()

    def api(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask the user's server, as a script with the user's token does."""
        return self.seat.ask(self.token, method, path, body)

    def run(self, run_id: str) -> dict[str, Any]:
        return dict(self.api("GET", f"runs/{run_id}")[1])

    def wait_for(self, run_id: str, state: str, seconds: float = 120) -> None:
        until(
            lambda: self.run(run_id)["state"] == state, seconds, lambda: json.dumps(self.run(run_id), indent=1)[:3000]
        )

    def wait_for_devices(self, names: set[str], seconds: float = 60) -> None:
        """Until the executor of the user shows these devices."""
        until(lambda: {row["name"] for row in self.api("GET", "devices")[1]["devices"]} == names, seconds)

    # ── processes ───────────────────────────────────────────────────────────────────────────────────────────
    def processes(self) -> list[psutil.Process]:
        """All processes of the user."""
        return [p for p in psutil.process_iter(["uids"]) if p.info["uids"] and p.info["uids"].real == self.uid]

    def server_process(self, server: str = "") -> psutil.Process:
        for process in self.processes():
            environment = environment_of(process.pid)
            if "jupyterhub-singleuser" in " ".join(process.cmdline()) and (
                environment.get("JUPYTERHUB_SERVER_NAME", "") == server
            ):
                return process
        raise AssertionError(f"{self.user} has no server {server!r}")

    def terminal(self, command: str, stdin: str = "") -> str:
        """What a command prints in a terminal of the user's JupyterLab. AssertionError if it fails."""
        server = self.server_process()
        return self.as_user(["bash", "-c", command], server.pid, environment_of(server.pid), stdin)

    def as_user(self, command: list[str], namespace_of: int, environment: dict[str, str], stdin: str = "") -> str:
        """What a command prints that runs as this user, where the process sees the files that a server sees."""
        enter = ["nsenter", f"--target={namespace_of}", "--mount"]
        become = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--init-groups", "--no-new-privs"]
        move = ["env", f"--chdir={self.home}"]
        done = subprocess.run(
            [*enter, *become, *move, *command],
            env={"PATH": os.environ["PATH"], **environment},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout


def secrets_in_runs(user: str) -> list[str]:
    """Secrets of the user's servers in environments of the user's executor and runs, as `COMMAND NAME`."""
    found = {pid: values for pid in psutil.pids() if (values := environment_of(pid)).get("JUPYTERHUB_USER") == user}
    secrets = {text for values in found.values() for name, text in values.items() if SECRET.search(name)}
    assert secrets, "the servers have none: then this test shows nothing"
    others = {pid: values for pid, values in found.items() if not SERVER.search(_command(pid))}
    assert any(RUN_TAG in values for values in others.values()), "no run lives"
    return [
        f"{_command(pid)} {name}" for pid, values in others.items() for name, text in values.items() if text in secrets
    ]


def _command(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return ""


def environment_of(pid: int) -> dict[str, str]:
    """Of a process; empty if it has ended."""
    try:
        text = Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except OSError:
        return {}
    return dict(re.findall(r"([^=\0]+)=([^\0]*)\0", text))
