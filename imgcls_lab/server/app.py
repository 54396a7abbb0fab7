"""The server extension: traits and wiring only.

Loaded by Jupyter Server. It builds the settings and the backend, gives them to the routes, wakes the executor in the
background, and closes everything when the server stops.
"""

from __future__ import annotations

from typing import Any, cast

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp

from imgcls_lab.heap import share_heap_among_threads
from imgcls_lab.server import (
    archives,
    batch,
    config_form,
    configs,
    datasets,
    devices,
    evaluations,
    events,
    folder_browser,
    forks,
    inference,
    info,
    projects,
    proofs,
    recording,
    registry,
    revisions,
    run_contents,
    runs,
    storage,
    stream,
    tensorboards,
    thumbnails,
    views,
)
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.inference import InferenceService
from imgcls_lab.server.open_proxy import close_open_proxy
from imgcls_lab.server.stream import Hub
from imgcls_lab.server.tensorboards import TensorBoardService
from imgcls_lab.server.thumbnails import Thumbnails
from imgcls_lab.settings import Settings


class ImgclsLab(ExtensionApp):
    """Image classification runs over REST and one WebSocket. Configure it by `c.Settings.home` and its kin."""

    name = "imgcls_lab"
    description = "Fine-tune, watch, compare and reproduce image classifiers inside JupyterLab."
    extension_url = "/lab"
    load_other_extensions = True
    classes = [ServerApp, Settings]  # noqa: RUF012 — as the parent class has it

    def initialize_settings(self) -> None:
        share_heap_among_threads()
        self.backend = Backend(Settings(parent=self), self.log)
        self.hub = Hub(self.backend)
        self.boards = TensorBoardService(self.backend)
        self.thumbnails = Thumbnails(self.backend)
        self.inference = InferenceService(self.backend)
        if self.backend.settings.open_proxy:
            self.log.info("The proxy to ports of this machine (/proxy/PORT) is open, since IMGCLS_OPEN_PROXY is on.")
        else:
            self.log.info("The proxy to ports of this machine (/proxy/PORT) is closed; IMGCLS_OPEN_PROXY=1 opens it.")
            close_open_proxy(cast(ServerApp, self.serverapp))  # an extension is loaded by its server

    def initialize_handlers(self) -> None:
        self.handlers.extend(config_form.routes(self.backend))  # before registry's configs/<id>
        for module in (
            runs, forks, proofs, run_contents, recording, views, evaluations, batch, registry, archives, projects,
            configs, datasets, revisions, devices, storage, events, info, folder_browser,
        ):  # fmt: skip
            self.handlers.extend(module.routes(self.backend))
        self.handlers.extend(stream.routes(self.backend, self.hub))
        self.handlers.extend(tensorboards.routes(self.backend, self.boards))
        self.handlers.extend(thumbnails.routes(self.backend, self.thumbnails))
        self.handlers.extend(inference.routes(self.backend, self.inference))

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Once the event loop runs: bring the tables up to date and wake the executor, waiting for neither."""
        self.backend.kernels.serve(serverapp)
        self.backend.wake_executor()

    async def stop_extension(self) -> None:
        await self.hub.close()
        await self.boards.close()
        await self.inference.close()
        await self.backend.close()
        self.thumbnails.close()
