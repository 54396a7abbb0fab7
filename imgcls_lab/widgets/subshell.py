"""Messages of a page reach a widget also while its kernel executes a cell: they are handled in a subshell.

A subshell is a thread of the kernel that handles messages beside the cells (ipykernel 7). A page of JupyterLab makes
one for widgets, but ipykernel from 7.4 on takes a page's message to where the widget spoke last. For a widget that
speaks from a thread of its own, as a live cell does, that is the queue behind the cell. Pages that know no subshells
are answered in one that all widgets of this kernel share. A kernel without subshells hears a page when its cell has
ended.
"""

from __future__ import annotations

from typing import Any

_own: list[str] = []  # the subshell of this kernel's widgets, once a message needed it


def hear_in_subshell(comm: Any) -> None:
    """Let the messages of this comm be handled beside the cell that is executed, where the kernel can do that."""
    kernel = getattr(comm, "kernel", None)
    thread = getattr(kernel, "shell_channel_thread", None)
    manager: Any = getattr(thread, "manager", None)
    # no public name of ipykernel says where a comm's messages go; without these it is as before
    if not all(hasattr(manager, name) for name in ("_create_subshell", "list_subshell")):
        return
    if not hasattr(comm, "_reply_subshell_for"):
        return

    def route(_data: object, asked: str | None) -> str:
        """Called in the thread that distributes messages. asked: the subshell of the page, None if it has none."""
        known = manager.list_subshell()
        if asked in known:
            return str(asked)
        if not _own or _own[0] not in known:
            _own[:] = [manager._create_subshell()]
        return _own[0]

    comm._reply_subshell_for = route
