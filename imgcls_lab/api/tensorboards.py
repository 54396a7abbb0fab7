"""TensorBoard in a cell: `lab.tensorboard(runs)`.

JupyterLab with the extension takes the output's own type and asks the server for the board by run ids, with no port
and no kernel; everywhere else the text says how to open it by hand. Starts no process itself.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

from imgcls_lab.api.progress import in_notebook
from imgcls_lab.api.run_handle import Run
from imgcls_lab.api.run_queue import run
from imgcls_lab.errors import InputError
from imgcls_lab.events import RunKind
from imgcls_lab.plurals import counted
from imgcls_lab.run_layout import TENSORBOARD
from imgcls_lab.schemas.limits import MAX_RUNS

BOARD_TYPE = "application/vnd.imgcls.tensorboard+json"
VERSION = 1


def tensorboard(runs: Run | str | Iterable[Run | str], *, tag: str | None = None) -> None:
    """Show TensorBoard of a run, a sweep or several runs, by handles or ids. Raises NotFoundError, InputError.

    tag: the curve to show at first, such as "loss/train"; by default all.

    >>> lab.tensorboard(run)
    TensorBoard of first digits shows in JupyterLab; elsewhere open it with
      tensorboard --logdir ...
    """
    bundle = bundle_of(runs, tag)
    if not in_notebook():
        print(bundle["text/plain"])
        return
    from IPython.display import display

    display(bundle, raw=True)  # type: ignore[no-untyped-call]


def bundle_of(runs: Run | str | Iterable[Run | str], tag: str | None = None) -> dict[str, Any]:
    """The output by MIME type."""
    given = [runs] if isinstance(runs, Run | str) else list(runs)
    found = [run(item) if isinstance(item, str) else item for item in given]
    if not found:
        raise InputError("Name the runs that TensorBoard should show, such as lab.tensorboard(lab.runs()[:5]).")
    if len(found) > MAX_RUNS:
        raise InputError(f"TensorBoard shows {MAX_RUNS} runs at most, not {len(found)}; choose some of them.")
    what = found[0].name if len(found) == 1 else counted(len(found), "run")
    text = f"TensorBoard of {what} shows in JupyterLab; elsewhere open it with\n  {_command(found)}"
    data: dict[str, Any] = {"run_ids": [item.id for item in found], "version": VERSION}
    if len(found) == 1 and found[0].view.kind is RunKind.SWEEP:
        data["sweep_id"] = found[0].id
    if tag:
        data["tag"] = tag
    return {"text/plain": text, BOARD_TYPE: data}


def _command(runs: list[Run]) -> str:
    """What opens the same in a shell."""
    folders = [item.folder / TENSORBOARD for item in runs]
    if len(runs) == 1:
        return f"tensorboard --logdir {shlex.quote(str(folders[0]))}"
    spec = ",".join(f"{item.id}:{folder}" for item, folder in zip(runs, folders, strict=True))
    return f"tensorboard --logdir_spec {shlex.quote(spec)}"
