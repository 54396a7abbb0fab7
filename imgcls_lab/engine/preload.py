"""The slow imports of a training. The fork server imports this module before it forks one; nothing else does.

It imports only: no torch operation runs and no CUDA is touched, since a fork after either could hang.
"""

from imgcls_lab.engine.reporting import console_log
from imgcls_lab.engine.training import run

__all__ = ["console_log", "run"]
