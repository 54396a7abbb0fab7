"""The live cell as a widget: for front ends without the Lab extension, and for kernels whose run no server knows.

Made by `api/display.py`. All it shows comes from a `RunSource`; it never trains and never touches the database itself.
"""

from __future__ import annotations

from threading import Thread
from typing import Any

import traitlets

from imgcls_lab.widgets.comm import Pusher, RunSource
from imgcls_lab.widgets.shared_code import CellWidget


class LiveRunWidget(CellWidget):
    """A run's state and curves, live. Closing it, or the end of the run or kernel, ends its thread."""

    view = traitlets.Unicode("run").tag(sync=True)
    run_id = traitlets.Unicode().tag(sync=True)
    snapshot = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)

    def __init__(self, source: RunSource) -> None:
        super().__init__(run_id=source.run_id)
        self._pusher = Pusher(source, self)
        self.on_msg(self._on_message)
        self._pusher.start()

    def set_snapshot(self, snapshot: dict[str, Any]) -> None:
        if self.comm is not None:
            self.snapshot = snapshot

    def post(self, message: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        if self.comm is not None:
            self.send(message, buffers=buffers)

    def close(self) -> None:
        """End the thread and take the views away."""
        self._pusher.close()
        super().close()

    @property
    def following(self) -> bool:
        """Whether its thread still follows the run."""
        return self._pusher.running

    def _on_message(self, _widget: Any, content: dict[str, Any], _buffers: list[memoryview]) -> None:
        Thread(target=self._pusher.answer, args=(content,), daemon=True).start()  # the database may be slow
