"""The front end's code of all cells, as one widget: a page and a notebook that keeps widget state have it once.

A cell's own script only fetches it from there. It goes with the last cell that needs it.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import anywidget
import traitlets

from imgcls_lab.widgets.subshell import hear_in_subshell
from imgcls_lab.widgets.widget_output import SCRIPT, STYLE

LOADER = """
const modules = (globalThis.imgclsLabModules ??= new Map());
async function widgetOf(model) {
  const shared = await model.widget_manager.get_model(model.get("code"));
  const text = shared.get("text");
  if (!modules.has(text)) {
    const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    modules.set(text, import(address).finally(() => URL.revokeObjectURL(address)));
  }
  return (await modules.get(text)).default();
}
export default () => {
  let widget;
  return {
    async initialize(lifetime) {
      widget = await widgetOf(lifetime.model);
      return widget.initialize(lifetime);
    },
    render: lifetime => widget.render(lifetime),
  };
};
"""


class SharedCode(anywidget.AnyWidget):
    """Script and style of the cells; shows nothing itself."""

    _esm = "export default {};"
    _css = STYLE

    text = traitlets.Unicode().tag(sync=True)


class CellWidget(anywidget.AnyWidget):
    """A widget whose code is the shared one."""

    _esm = LOADER

    code = traitlets.Unicode().tag(sync=True)  # the model that has it

    def __init__(self, **state: Any) -> None:
        self._holds = True
        super().__init__(code=_hold(), **state)
        hear_in_subshell(self.comm)

    def close(self) -> None:
        """Take its views and its state away, and the shared code with the last cell."""
        if self._holds:
            self._holds = False
            layout = self.layout
            super().close()
            layout.close()  # a widget of its own
            _release()


_lock = Lock()
_shared: SharedCode | None = None
_holders = 0


def _hold() -> str:
    global _shared, _holders  # noqa: PLW0603
    with _lock:
        if _shared is None:
            _shared = SharedCode(text=SCRIPT.read_text(encoding="utf-8"))
        _holders += 1
        return str(_shared.model_id)


def _release() -> None:
    global _shared, _holders  # noqa: PLW0603
    with _lock:
        _holders -= 1
        if _holders == 0 and _shared is not None:
            layout = _shared.layout
            _shared.close()
            layout.close()
            _shared = None
