"""`lab.demo()`: train the demo through queue and executor; `lab.demo.prepare()` writes its data alone.

For notebooks, and for `imgcls-lab demo`. What the data is stands in `demo_data.py`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from imgcls_lab import demo_data
from imgcls_lab.demo_data import DemoFiles

if TYPE_CHECKING:
    from imgcls_lab.api import Run


def prepare() -> DemoFiles:
    """Write and register the demo's images, model and config where they are missing, in this process's home.

    Raises ConflictError if another folder has the name.

    >>> lab.demo.prepare().root.name
    'digits'
    """
    from imgcls_lab.api import context

    return demo_data.prepare(context.settings(), context.store())


def launch(files: DemoFiles, epochs: int | None = None) -> Run:
    """Queue the demo's training. epochs: by default the demo's own number.

    >>> lab.demo.launch(lab.demo.prepare(), epochs=1).config.epochs
    1
    """
    from imgcls_lab import api

    config = files.config
    if epochs is not None:
        config = config.with_changes(epochs=epochs, warmup_epochs=min(config.warmup_epochs, epochs))
    return api.launch(config, name=demo_data.CONFIG)


class _Demo(ModuleType):
    """This module, which can be called: `lab.demo()`."""

    def __call__(self, epochs: int | None = None) -> Run:
        """Train the demo, wait for it, and return its run, as `imgcls-lab demo` does.

        Raises ImgclsError if it fails. An interrupt ends the wait and leaves the run alone.

        >>> lab.demo(epochs=1).state
        <RunState.SUCCEEDED: 'succeeded'>
        """
        return launch(prepare(), epochs).wait()


sys.modules[__name__].__class__ = _Demo
