"""The slow imports of a notebook run's kernel. The fork server imports this module before it forks one.

A kernel executes any code; these are the imports of one that trains by `lab.train` and shows what came out. No torch
operation runs here and no CUDA is touched, since a fork after either could hang.
"""

import pandas
from ipykernel import ipkernel, kernelapp

from imgcls_lab import api
from imgcls_lab.api import display
from imgcls_lab.engine.training import run
from imgcls_lab.widgets import live

__all__ = ["api", "display", "ipkernel", "kernelapp", "live", "pandas", "run"]
