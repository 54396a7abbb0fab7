"""A notebook as a run takes it: read from a local file, checked, and stored under its hash, without outputs.

Called by all that queue a notebook. A run executes the stored text, whatever becomes of the file meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgcls_lab import run_layout, run_paths
from imgcls_lab.batch.parameters import checked, declared
from imgcls_lab.errors import ConflictError, InputError, NotFoundError, Problem
from imgcls_lab.input_file import read_given
from imgcls_lab.schemas import DerivedView, ParameterView
from imgcls_lab.settings import Settings

if TYPE_CHECKING:
    from nbformat import NotebookNode

# nbformat is imported by what reads a notebook: it takes as long as all else that `import imgcls_lab.api` needs

LARGEST = 20_000_000  # bytes
REMEDY = "Clear its outputs and take pictures out of it."
PARAMETERS = "parameters"  # papermill's tag
INJECTED = "injected-parameters"


@dataclass(frozen=True)
class NotebookSource:
    """A notebook's text without outputs. `digest`: SHA-256 of it; `code`: SHA-256 of what it executes."""

    path: Path
    text: str
    digest: str
    code: str
    kernel: str
    parameters: list[ParameterView]
    derived: list[DerivedView]

    @property
    def name(self) -> str:
        return self.path.name


def read(path: str | Path) -> NotebookSource:
    """Raises InputError unless it is a local notebook in Python, and NotFoundError if there is no such file."""
    import nbformat

    file = local(path)
    try:
        text = read_given(file, LARGEST, REMEDY).decode("utf-8")
        notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
        nbformat.validate(notebook)
    except OSError as error:
        raise InputError(f"The notebook “{file}” cannot be read: {error.strerror}.") from None
    except (
        nbformat.ValidationError,
        nbformat.reader.NotJSONError,
        ValueError,
        AttributeError,
        TypeError,
        RecursionError,
    ) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"“{file}” is no notebook: {first[:200]}.") from None
    try:
        return _source_of(file, notebook)
    except RecursionError:
        raise InputError(f"“{file}” is no notebook: it is nested too deep.") from None


def local(path: str | Path) -> Path:
    """The absolute path of a notebook on this machine. Raises InputError, NotFoundError."""
    text = str(path)
    if "://" in text or "\0" in text:
        message = f"“{text[:200]}” is no file of this machine. Save the notebook here first."
        raise InputError(message, [Problem("notebook", message)])
    file = Path(text).expanduser().absolute()
    if file.suffix != ".ipynb":
        message = f"“{text[:200]}” is no notebook: its name does not end with .ipynb."
        raise InputError(message, [Problem("notebook", message)])
    if not os.path.isfile(file):  # no error for a name that is too long
        raise NotFoundError(f"There is no notebook “{text[:200]}”.")
    return file


def _source_of(file: Path, notebook: NotebookNode) -> NotebookSource:
    import nbformat

    kernel = notebook.metadata.get("kernelspec", {})
    language = kernel.get("language") or notebook.metadata.get("language_info", {}).get("name") or "python"
    if str(language).lower() not in {"python", "ipython"}:
        raise InputError(f"{file.name} is a notebook in {language}; only notebooks in Python can be run as a batch.")
    name = str(kernel.get("name") or "python3")
    _check_kernel(file, name)
    cell = next((cell for cell in notebook.cells if PARAMETERS in _tags(cell)), None)
    parameters, derived = declared(cell.source if cell is not None and cell.cell_type == "code" else "", file.name)
    notebook.cells = [cell for cell in notebook.cells if INJECTED not in _tags(cell)]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata.pop("widgets", None)
    notebook.metadata.pop("papermill", None)
    text = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return NotebookSource(file, text, _sha(text), _sha(json.dumps([name, code])), name, parameters, derived)


def parse(payload: dict[str, Any], settings: Settings) -> NotebookSource:
    """The notebook that a payload names, as it was stored. Raises NotFoundError."""
    import nbformat

    text = stored_text(payload, settings)
    notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    return _source_of(Path(str(payload.get("notebook", ""))), notebook)


def queued(text: bytes, payload: dict[str, Any], file: Path) -> tuple[NotebookSource, dict[str, Any]]:
    """The notebook in a run's folder and its parameters, checked as when a notebook is queued: both may be claimed.

    papermill writes each name unescaped into the code, and each value as the notebook's language has it. Raises
    ConflictError for a notebook that is not the queued one, InputError.
    """
    import nbformat

    check_digest(text, payload, file)
    notebook = nbformat.reads(text.decode(), as_version=4)  # type: ignore[no-untyped-call]
    source = _source_of(file, notebook)
    given = payload.get("parameters") or {}
    if not isinstance(given, dict):
        raise InputError(f"The parameters of {file.name} are no mapping of names to values.")
    return source, checked(source.parameters, given, file.name)


def _check_kernel(file: Path, name: str) -> None:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    manager = KernelSpecManager()
    try:
        manager.get_kernel_spec(name)
    except NoSuchKernel:
        there = ", ".join(sorted(manager.find_kernel_specs())) or "none"
        raise InputError(
            f"{file.name} wants the kernel “{name}”, which this machine does not have. It has {there}: open the "
            "notebook, choose one of them and save."
        ) from None


def _tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# ── stored in the home ──────────────────────────────────────────────────────────────────────────────────────────
def store_text(source: NotebookSource, settings: Settings) -> dict[str, Any]:
    """Store the text under its hash. Returns what a run's payload says of the notebook."""
    folder = settings.notebooks_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / f"{source.digest}.ipynb"
    if not file.exists():
        run_layout.write_atomic(file, source.text)
    return {"notebook": str(source.path), "digest": source.digest, "code": source.code, "kernel": source.kernel}


def check_digest(text: bytes, payload: dict[str, Any], file: Path) -> None:
    """Raises ConflictError where the notebook in a run's folder is not the one that was queued."""
    if hashlib.sha256(text).hexdigest() != payload.get("digest"):
        raise ConflictError(
            f"“{file}” is not the notebook that was queued: it was changed since, and is not executed. Put it back, or "
            "run the notebook again from its own file.",
            reason="notebook_changed",
        )


def stored_text(payload: dict[str, Any], settings: Settings) -> str:
    """The text that a payload names. Raises NotFoundError if it is missing or was changed."""
    digest = str(payload.get("digest", ""))
    if len(digest) == 64 and digest.isalnum():
        try:
            text = run_paths.read_plain(settings.notebooks_dir, f"{digest}.ipynb").decode()
        except OSError:
            text = ""
        if _sha(text) == digest:
            return text
    raise NotFoundError(
        f"The text of the notebook “{payload.get('notebook', '')}” is not in {settings.notebooks_dir} any more; "
        "run the notebook again from its file."
    )
