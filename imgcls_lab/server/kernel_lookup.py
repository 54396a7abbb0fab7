"""Which notebook a process belongs to: the pids of this server's kernels, joined with the processes that executors see.

Used by the devices' route and by the stream's poller. They refresh it on the event loop; the join runs in a thread.
"""

from __future__ import annotations

from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.serverapp import ServerApp

from imgcls_lab.executor import forkserver_manager
from imgcls_lab.identity import host_name
from imgcls_lab.schemas import DevicesReply, DeviceView, HolderView
from imgcls_lab.store import Store


class KernelLookup:
    """The kernels of a server, as of the last `refresh`; none before `serve`."""

    def __init__(self) -> None:
        self._server: ServerApp | None = None
        self._paths: dict[int, str] = {}  # pid of a kernel -> path of its notebook, console or script

    def serve(self, server: ServerApp) -> None:
        """Use the kernels of this server from now on."""
        self._server = server

    async def refresh(self) -> None:
        """Read the sessions and their kernels. On the event loop only."""
        if self._server is None:
            return
        paths: dict[int, str] = {}
        for session in await ensure_async(self._server.session_manager.list_sessions()):
            pid = _pid(self._server.kernel_manager, session["kernel"]["id"])
            if pid is not None:
                paths[pid] = str(session["path"] or session["name"])
        self._paths = paths

    def devices(self, store: Store) -> DevicesReply:
        """Executors and devices, what warm start holds here, and the notebooks of those processes that are kernels."""
        used = forkserver_manager.memory_used(store.settings)  # rounded: each change goes to all pages
        warm = {"warm_start": store.settings.warm_start, "warm_memory": used and round(used, -7)}
        reply = store.executors.status().model_copy(update=warm)
        here = host_name()
        if not self._paths or not any(device.host == here and device.gpu_processes for device in reply.devices):
            return reply
        parents = store.executors.holder_parents(here)
        devices = [self._named(device, parents) if device.host == here else device for device in reply.devices]
        return reply.model_copy(update={"devices": devices})

    def _named(self, device: DeviceView, parents: dict[int, list[int]]) -> DeviceView:
        def named(holder: HolderView) -> HolderView:
            family = [holder.pid, *parents.get(holder.pid, [])]
            path = next((self._paths[pid] for pid in family if pid in self._paths), None)
            return holder.model_copy(update={"notebook": path})

        return device.model_copy(update={"gpu_processes": [named(holder) for holder in device.gpu_processes]})


def without_notebooks(reply: DevicesReply) -> DevicesReply:
    """The same for a user who may not read the server's sessions: no process names its notebook."""
    unnamed = [
        device.model_copy(
            update={"gpu_processes": [held.model_copy(update={"notebook": None}) for held in device.gpu_processes]}
        )
        for device in reply.devices
    ]
    return reply.model_copy(update={"devices": unnamed})


def _pid(kernels: Any, kernel_id: str) -> int | None:
    """Of a kernel that is a process of this machine; None where another system runs it."""
    if kernel_id not in kernels:
        return None
    pid = getattr(getattr(kernels.get_kernel(kernel_id), "provisioner", None), "pid", None)
    return pid if isinstance(pid, int) else None
