"""`TrainConfig`: every parameter of an experiment, written once.

Its JSON Schema feeds the command line, the ipywidgets form and the JupyterLab form; the engine takes it as it
is. Nothing here touches a disk, a device or the network: what only the engine can know (does the folder exist,
does the model load) is checked there.
"""

from __future__ import annotations

from imgcls_lab.config.field_types import ConfigFields, LaunchFields
from imgcls_lab.config.fields import GROUPS
from imgcls_lab.config.signatures import document, takes_fields, takes_fields_of, takes_keywords
from imgcls_lab.config.train import TrainConfig, title_of

__all__ = [
    "GROUPS", "ConfigFields", "LaunchFields", "TrainConfig", "takes_fields", "takes_fields_of", "takes_keywords",
    "title_of",
]  # fmt: skip

takes_fields(of_config=True)(TrainConfig.with_changes)
document(TrainConfig)
