"""`TrainConfig`: every parameter of an experiment, written once.

Its JSON Schema feeds the command line, the ipywidgets form and the JupyterLab form; the engine takes it as it
is. Nothing here touches a disk, a device or the network: what only the engine can know (does the folder exist,
does the model load) is checked there.
"""

from __future__ import annotations

from imgcls_lab.config.fields import GROUPS
from imgcls_lab.config.train import TrainConfig

__all__ = ["GROUPS", "TrainConfig"]
