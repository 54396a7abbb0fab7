"""imgcls-lab: fine-tune, watch, compare and reproduce image classifiers inside JupyterLab.

`import imgcls_lab as lab` stays light: every public name is imported when it is first used, and torch only by
what trains (`lab.train`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from imgcls_lab._version import __version__
from imgcls_lab.errors import unknown

# public name -> module that holds it
_HOMES = {
    "TrainConfig": "imgcls_lab.config",
    "Run": "imgcls_lab.api",
    "Sweep": "imgcls_lab.api",
    "audit": "imgcls_lab.api",
    "audit_events": "imgcls_lab.api",
    "compare": "imgcls_lab.api",
    "configs": "imgcls_lab.api",
    "dataset": "imgcls_lab.api",
    "launch": "imgcls_lab.api",
    "launch_export": "imgcls_lab.api",
    "launch_notebook": "imgcls_lab.api",
    "models": "imgcls_lab.api",
    "train": "imgcls_lab.api",
    "project": "imgcls_lab.api",
    "projects": "imgcls_lab.api",
    "export_project": "imgcls_lab.api",
    "import_project": "imgcls_lab.api",
    "run": "imgcls_lab.api",
    "runs": "imgcls_lab.api",
    "find_lr": "imgcls_lab.api",
    "find_batch_size": "imgcls_lab.api",
    "form": "imgcls_lab.api",
    "storage": "imgcls_lab.api",
    "sweep": "imgcls_lab.api",
    "sweeps": "imgcls_lab.api",
    "tensorboard": "imgcls_lab.api",
    "demo": "imgcls_lab.demo",
}

__all__ = [
    "Run", "Sweep", "TrainConfig", "__version__", "audit", "audit_events", "compare", "configs", "dataset",
    "demo", "export_project", "find_batch_size", "find_lr", "form", "import_project", "launch", "launch_export",
    "launch_notebook", "models", "project", "projects", "run", "runs", "storage", "sweep", "sweeps",
    "tensorboard", "train",
]  # fmt: skip

if TYPE_CHECKING:
    from imgcls_lab import demo
    from imgcls_lab.api import (
        Run,
        Sweep,
        audit,
        audit_events,
        compare,
        configs,
        dataset,
        export_project,
        find_batch_size,
        find_lr,
        form,
        import_project,
        launch,
        launch_export,
        launch_notebook,
        models,
        project,
        projects,
        run,
        runs,
        storage,
        sweep,
        sweeps,
        tensorboard,
        train,
    )
    from imgcls_lab.config import TrainConfig


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        if name == "demo":
            return import_module("imgcls_lab.demo")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name.startswith("_"):  # what Python and its tools look for
        raise AttributeError(f"module 'imgcls_lab' has no attribute '{name}'")
    raise AttributeError(unknown("name in imgcls_lab", name, __all__), name=name)


def __dir__() -> list[str]:
    return sorted(__all__)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "imgcls-lab"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    module = "imgcls_lab.server.app"
    return [{"module": module, "app": import_module(module).ImgclsLab}]
