"""The processes that this package starts as `python -m MODULE`, each declared once.

Read by whoever starts a process, and by the fork server, which is given the `preload` of each. Imports nothing, so
that the supervisor can use it; modules are named here and nowhere else by a string.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EntryPoint:
    """A module that is run. `preload`: the module whose import does all its slow imports; None: always started cold."""

    module: str
    preload: str | None = None

    def argv(self, python: str, *arguments: str) -> list[str]:
        """The command line that runs it with that Python."""
        return [python, "-m", self.module, *arguments]


DAEMON = EntryPoint("imgcls_lab.executor.daemon")
SUPERVISOR = EntryPoint("imgcls_lab.executor.supervisor")
NODE = EntryPoint("imgcls_lab.executor.node")
RAY_NODES = EntryPoint("imgcls_lab.executor.backends.ray_nodes")
NODE_PROBE = EntryPoint("imgcls_lab.executor.node_probe")
FORK_SERVER = EntryPoint("imgcls_lab.executor.forkserver")
FORK_CLIENT = EntryPoint("imgcls_lab.executor.fork_client")
MIRROR = EntryPoint("imgcls_lab.executor.mirror")
STAGING = EntryPoint("imgcls_lab.executor.staging")
TENSORBOARD = EntryPoint("imgcls_lab.tensorboards.serve")
THUMBNAILS = EntryPoint("imgcls_lab.thumbnails.worker")
INFERENCE = EntryPoint("imgcls_lab.engine.inference.serve")
RERUN = EntryPoint("imgcls_lab.engine.proofs")
VERIFICATION = EntryPoint("imgcls_lab.engine.proofs.inside")

TRAINING = EntryPoint("imgcls_lab.engine", preload="imgcls_lab.engine.preload")
NOTEBOOK = EntryPoint("imgcls_lab.batch.notebook_runner", preload="imgcls_lab.batch.preload")
SWEEP = EntryPoint("imgcls_lab.batch.sweep_driver")
TASK = EntryPoint("imgcls_lab.engine.audit", preload="imgcls_lab.engine.preload")
KERNEL = EntryPoint("ipykernel_launcher", preload="imgcls_lab.api.preload")

FORKED = (TRAINING, NOTEBOOK, TASK, KERNEL)  # those that the fork server may fork
