"""A real JupyterHub in a process of its own, with the configuration of docs/jupyterhub.md: for tests.

The tests add what the page leaves to the site: ports, folders and passwords. Users log in at its page; `Hub.rest` is
what an administrator or a culler asks over the hub's API.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Page

from tests.conftest import missing
from tests.waiting import free_port, until

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "jupyterhub.md"
PROXY = Path(__file__).parent / "node_modules" / ".bin" / "configurable-http-proxy"

# What a site decides for itself. The authenticator checks a password for each user, as PAM would.
SITE = """
import hmac, json
from pathlib import Path
from jupyterhub.auth import Authenticator

site = json.loads(Path({site!r}).read_text())

class Passwords(Authenticator):
    async def authenticate(self, handler, data):
        known = site["passwords"].get(data["username"], "")
        right = bool(known) and hmac.compare_digest(known.encode(), data["password"].encode())
        return data["username"] if right else None

c.JupyterHub.authenticator_class = Passwords
c.Authenticator.any_allow_config = True
c.JupyterHub.bind_url = site["bind"]
c.JupyterHub.hub_bind_url = site["hub_address"]
c.ConfigurableHTTPProxy.api_url = site["proxy_address"]
c.ConfigurableHTTPProxy.command = site["proxy"]
c.JupyterHub.db_url = "sqlite:///" + site["folder"] + "/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = site["folder"] + "/cookie_secret"
c.ConfigurableHTTPProxy.pid_file = site["folder"] + "/proxy.pid"
c.JupyterHub.services = [*c.JupyterHub.services, {{"name": "tests", "api_token": site["token"]}}]
c.JupyterHub.load_roles = [
    *c.JupyterHub.load_roles, {{"name": "tests", "scopes": ["admin:users", "admin:servers"], "services": ["tests"]}}
]
c.Spawner.environment = {{**c.Spawner.environment, **site["environment"]}}
"""


def blocks(language: str) -> list[str]:
    """The code blocks of a language in docs/jupyterhub.md, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


class Hub:
    """A hub that listens on 127.0.0.1. passwords: by user; config: what jupyterhub_config.py holds before SITE.

    host: the name in its address; with `subdomains`, each user's server has a name of its own below it.
    """

    def __init__(
        self,
        folder: Path,
        passwords: dict[str, str],
        config: str,
        *,
        environment: dict[str, str] | None = None,
        host: str = "localhost",
        subdomains: bool = False,
    ) -> None:
        if not PROXY.exists():
            missing("configurable-http-proxy")
        self.folder = folder
        self.log = folder / "hub.log"
        self.passwords = passwords
        self.token = secrets.token_hex(16)
        port = free_port()
        self.host = f"{host}:{port}"
        self.root = f"http://{self.host}"
        self.subdomains = subdomains
        self.process: subprocess.Popen[bytes] | None = None
        own = f"http://127.0.0.1:{free_port()}"
        self.api_url = f"{own}/hub/api"
        site = {
            "folder": str(folder),
            "bind": f"http://127.0.0.1:{port}",
            "hub_address": own,
            "proxy_address": f"http://127.0.0.1:{free_port()}",
            "proxy": [str(PROXY)],
            "token": self.token,
            "passwords": passwords,
            "environment": {"IMGCLS_POLL_INTERVAL": "0.2", **(environment or {})},
        }
        self._write("site.json", json.dumps(site))
        lines = [config, SITE.format(site=str(folder / "site.json"))]
        lines += [f"c.JupyterHub.subdomain_host = {self.root!r}"] if subdomains else []
        self.config = self._write("jupyterhub_config.py", "\n".join(lines))

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def start(self, command: list[str]) -> None:
        """Start the hub by this command and its config, and wait until it answers."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IMGCLS_"))}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, f"--config={self.config}"],
                cwd=self.folder,
                env=kept,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._answers, 60, lambda: f"JupyterHub did not come up:\n{self.log.read_text()[-4000:]}")

    def _answers(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            pytest.fail(f"JupyterHub ended:\n{self.log.read_text()[-4000:]}")
        try:
            return self.rest("GET", "users")[0] == 200
        except OSError:
            return False

    def rest(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask the hub's API as an administrator."""
        return ask(f"{self.api_url}/{path}", self.token, method, body)

    def cull(self, user: str, server: str = "") -> None:
        """Stop a server as jupyterhub-idle-culler does, and wait until it is gone."""
        name = f"users/{user}/servers/{server}" if server else f"users/{user}/server"
        status, reply = self.rest("DELETE", name)
        assert status in (202, 204), reply
        until(lambda: server not in self.servers(user), 30)

    def servers(self, user: str) -> dict[str, Any]:
        """The user's servers that run, by name; the unnamed one is ""."""
        return dict(self.rest("GET", f"users/{user}")[1]["servers"])

    def close(self) -> None:
        """Stop the hub, its proxy and its users' servers. Executors and runs stay: end them first or afterwards."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        """Follow none: the answer is the redirect."""


_OPENER = urllib.request.build_opener(_NoRedirect)


def ask(url: str, token: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    """Status and JSON of an answer. Every name of a test's hub is this machine."""
    parts = urlsplit(url)
    request = urllib.request.Request(
        parts._replace(netloc=f"127.0.0.1:{parts.port}").geturl(),
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"token {token}", "Content-Type": "application/json", "Host": parts.netloc},
    )
    try:
        with _OPENER.open(request, timeout=40) as response:
            return response.status, _json(response.read())
    except urllib.error.HTTPError as error:
        return error.code, _json(error.read())


def _json(body: bytes) -> Any:
    try:
        return json.loads(body or b"null")
    except ValueError:
        return body.decode(errors="replace")


class Seat:
    """A user's server behind the hub, as `Desk` wants it. home: the user's home; server: of a named one."""

    def __init__(self, hub: Hub, user: str, home: Path, server: str = "") -> None:
        self.hub, self.user, self.work, self.server = hub, user, home, server
        host = f"{user}.{hub.host}" if hub.subdomains else hub.host
        self.root = f"http://{host}/user/{'/'.join(filter(None, [user, server]))}/"
        self.url = f"{self.root}lab"

    def ask(self, token: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask the server's REST API, as a script with this token does."""
        return ask(f"{self.root}imgcls/api/{path}", token, method, body)

    def log_in(self, page: Page) -> None:
        """Log in at the hub's page, which starts the server, and wait for JupyterLab."""
        page.goto(f"{self.hub.root}/hub/login?next={quote(f'/hub/spawn/{self.user}/{self.server}'.rstrip('/'))}")
        page.get_by_label("Username").fill(self.user)
        page.get_by_label("Password").fill(self.hub.passwords[self.user])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.root}lab**", timeout=60_000)

    def token(self, page: Page) -> str:
        """A token for the user's scripts, as the page /hub/token makes it."""
        page.goto(f"{self.hub.root}/hub/token")
        made = page.evaluate(
            """async (user) => (await (await fetch(`/hub/api/users/${user}/tokens?_xsrf=${jhdata.xsrf_token}`, {
                method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({note: "tests"}),
            })).json())""",
            self.user,
        )
        assert "token" in made, made
        return str(made["token"])
