"""What a user gets from `import imgcls_lab as lab`. Imports no torch; only `train` does, when it is called."""

from __future__ import annotations

from imgcls_lab.api.audit_log import audit_events
from imgcls_lab.api.audits import Audit, audit
from imgcls_lab.api.comparison import Comparison, compare
from imgcls_lab.api.datasets import Dataset, dataset
from imgcls_lab.api.exports import launch_export
from imgcls_lab.api.finders import find_batch_size, find_lr
from imgcls_lab.api.forms import form
from imgcls_lab.api.home_storage import storage
from imgcls_lab.api.notebooks import launch_notebook
from imgcls_lab.api.project_list import Projects, export_project, import_project, project, projects
from imgcls_lab.api.registered_models import Models, models
from imgcls_lab.api.replicates import Replicates
from imgcls_lab.api.run_handle import Run
from imgcls_lab.api.run_list import Runs
from imgcls_lab.api.run_queue import launch, run, runs
from imgcls_lab.api.saved_configs import SavedConfig, configs
from imgcls_lab.api.sweep_handle import Sweep, Sweeps, sweep, sweeps
from imgcls_lab.api.tensorboards import tensorboard
from imgcls_lab.api.training import train

__all__ = [
    "Audit",
    "Comparison",
    "Dataset",
    "Models",
    "Projects",
    "Replicates",
    "Run",
    "Runs",
    "SavedConfig",
    "Sweep",
    "Sweeps",
    "audit",
    "audit_events",
    "compare",
    "configs",
    "dataset",
    "export_project",
    "find_batch_size",
    "find_lr",
    "form",
    "import_project",
    "launch",
    "launch_export",
    "launch_notebook",
    "models",
    "project",
    "projects",
    "run",
    "runs",
    "storage",
    "sweep",
    "sweeps",
    "tensorboard",
    "train",
]  # fmt: skip
