"""The environment of every process that this package starts: without secrets.

Whoever starts a process asks here: the executor, TensorBoard, the launcher of several ranks, doctor, the backup. A
child's environment is readable in /proc for as long as the child lives, and a run's children inherit it. The secrets of
Jupyter, its hub and the run database stay out of it; what the user set for his own code, such as HF_TOKEN, stays in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from imgcls_lab.settings import Settings

# Names by which Jupyter, JupyterHub and its proxy give tokens, passwords and keys of cookies to their processes.
_INFRASTRUCTURE = re.compile(
    r"(JUPYTER|JUPYTERHUB|JPY|KG|CONFIGPROXY|OAUTH\d?|BINDER)_(\w*_)?"
    r"(TOKEN|SECRET|PASSWORD|PASSWD|HTTP_PWD|(CRYPT|API|PRIVATE)_KEYS?)"
)
_DATABASE = frozenset({"PGPASSWORD"})  # of libpq; `Settings.secrets` has it


def is_secret(variable: str) -> bool:
    """Whether an environment variable holds a secret that no child process gets."""
    return variable in _DATABASE or variable in _of_settings() or _INFRASTRUCTURE.fullmatch(variable) is not None


def child_environment(
    settings: Settings | None = None,
    changes: Mapping[str, str | None] | None = None,
    *,
    base: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment of a child process: that of this process without secrets, with these settings.

    settings: None for a child that reads none. changes: further variables; None removes one. base: another environment
    to begin with.
    """
    kept = {name: value for name, value in (os.environ if base is None else base).items() if not is_secret(name)}
    kept |= settings.environment() if settings is not None else {}
    for name, value in (changes or {}).items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = value
    return kept


def _of_settings() -> frozenset[str]:
    """The variables of settings that may hold a secret, and those that name the files of such settings."""
    found = {item.variable: item.file_variable for item in Settings.table().values() if item.secret}
    return frozenset({*found, *filter(None, found.values())})
