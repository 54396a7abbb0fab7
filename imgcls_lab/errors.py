"""The one hierarchy of errors.

Every room raises these and no room catches them to hide them: the CLI prints the sentence and exits with
`exit_code`, the server answers with `status` and the sentence, the engine writes `kind` into its last event.
A message names the thing, the place and the remedy; the traceback goes to the log.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import ClassVar, NamedTuple


class Problem(NamedTuple):
    """What is wrong with one field of a config or a request.

    field: dotted name, `""` where the whole is meant; message: a sentence that says what to do.
    """

    field: str
    message: str


class ImgclsError(Exception):
    """Base of all errors that a user may see. `str(error)` is a sentence for the user."""

    status: ClassVar[int] = 500  # HTTP
    exit_code: ClassVar[int] = 1  # command line
    kind: ClassVar[str] = "application"  # protocol.FailureKind of a run that ends with it

    def __init__(self, message: str = "") -> None:
        """Bytes of a file's name that are no UTF-8 are written out, so that every log and answer takes the message."""
        super().__init__(message.encode("utf-8", "backslashreplace").decode("utf-8"))


class InputError(ImgclsError):
    """The user gave something that cannot work. `problems` says it field by field, for forms."""

    status = 400
    exit_code = 2

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class ConfigError(InputError):
    """A training config that cannot be used."""


class DataError(InputError):
    """A folder of images that cannot be trained on, or a file that is no image."""


class ModelError(InputError):
    """A model that cannot be found, loaded or given the right head."""


class ForbiddenPathError(InputError):
    """A path outside the allowed roots was asked for over REST."""

    status = 403


class NotFoundError(ImgclsError):
    """Nothing is stored under this id or name."""

    status = 404
    exit_code = 2


class ConflictError(ImgclsError):
    """The thing exists already, is in use, or is in a state that forbids the request."""

    status = 409
    exit_code = 3


class MismatchError(ImgclsError):
    """Two things that must agree do not: an export and its model, a model and what its run reported."""

    status = 409
    exit_code = 4


class StoreError(ImgclsError):
    """The run database cannot be used: unreachable, of another revision, or on a network file system."""

    status = 503


class RevisionError(StoreError):
    """The tables are of another version of this program."""


class ExecutorError(ImgclsError):
    """The executor's daemon cannot be started, reached or stopped."""

    status = 503


class StoppedError(ImgclsError):
    """A training inside a notebook run was stopped after a checkpoint, so the cells after it must not run."""


class OutOfMemoryError(ImgclsError):
    """The device had too little memory for the batch; never retried blindly."""

    kind = "out_of_memory"


class DiskFullError(ImgclsError):
    """No room left where the run writes; the last checkpoint is intact and the run can be resumed."""

    kind = "disk_full"


class ProcessLostError(ImgclsError):
    """One of a run's processes died without a word; the run can go on from its last checkpoint."""

    kind = "lost"


class DivergedError(ImgclsError):
    """The loss is not finite any more."""

    kind = "diverged"


def of_kind(kind: str, message: str) -> ImgclsError:
    """The error that a run's `failed` event of that kind came from."""
    kinds = (OutOfMemoryError, DiskFullError, ProcessLostError, DivergedError)
    return next((error for error in kinds if error.kind == kind), ImgclsError)(message)


def unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """The sentence about a name that nothing has: what was meant perhaps, else what there is."""
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(known[:12]) or 'none'}."
    return f"There is no {kind} “{name}”; {hint}"
