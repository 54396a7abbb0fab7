"""Closes jupyter-server-proxy's open proxy: `/proxy/PORT` and `/proxy/HOST:PORT`, which ask no authorizer.

Called when the server extension loads, unless `Settings.open_proxy` is on. Whoever may reach the server could otherwise
reach every port of the machine. Servers that a package or the config names (`/NAME/`) keep working, and so does the tab
of TensorBoard, which has a route of its own.
"""

from __future__ import annotations

from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.routing import PathMatches, Rule
from traitlets.config import Config

# All that jupyter-server-proxy's `setup_handlers` serves.
PATTERN = r"/proxy/(?:absolute/)?(?:[^/:@]+:)?\d+(?:/.*|)"
SENTENCE = (
    "The proxy to ports of this machine (/proxy/PORT) is closed. Whoever runs this server can open it: set "
    "IMGCLS_OPEN_PROXY=1 before it starts, or c.Settings.open_proxy = True in jupyter_server_config.py."
)


class ClosedProxyHandler(web.RequestHandler):
    """Refuses every request and every WebSocket."""

    def check_xsrf_cookie(self) -> None:
        """Nothing is done here, so nothing is checked; the answer is the same for all."""

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(SENTENCE)


def close_open_proxy(server: ServerApp) -> None:
    """Put the refusal before all other routes, so that it does not matter which extension loads first."""
    server.update_config(Config({"ServerProxy": {"host_allowlist": []}}))  # for where that package loads after this one
    path = url_path_join(server.web_app.settings["base_url"], PATTERN)  # joined as that package joins its own
    server.web_app.default_router.rules.insert(0, Rule(PathMatches(path), ClosedProxyHandler))
