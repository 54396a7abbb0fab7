"""The one hierarchy of errors.

All packages raise these errors, and none catches one to hide it. The CLI prints the message and exits with
`exit_code`, the server answers with `status` and the message, the engine writes `kind` into its last event.
A message names the thing, the place and the remedy; the traceback goes to the log.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import ClassVar, NamedTuple


class Problem(NamedTuple):
    """What is wrong with one field of a config or a request.

    field: dotted name; `""` for the config as a whole. message: a sentence that says what to do.
    """

    field: str
    message: str


class ImgclsError(Exception):
    """Base of all errors that a user may see. `str(error)` is a sentence for the user.

    reason: a word for programs and tests where class and problems do not say which error it is, such as
    `code_of_its_own`; data: the names and numbers of the sentence, by what they are.
    """

    status: ClassVar[int] = 500  # HTTP
    exit_code: ClassVar[int] = 1  # command line
    kind: ClassVar[str] = "application"  # protocol.FailureKind of a run that ends with it

    def __init__(self, message: str = "", *, reason: str = "", **data: object) -> None:
        """Bytes of a file's name that are no UTF-8 are written out, so that every log and answer takes the message."""
        super().__init__(message.encode("utf-8", "backslashreplace").decode("utf-8"))
        self.reason = reason
        self.data = data


class InputError(ImgclsError):
    """The user's input cannot work. `problems` has one entry for each wrong field, for forms."""

    status = 400
    exit_code = 2

    def __init__(self, message: str, problems: Sequence[Problem] = (), *, reason: str = "", **data: object) -> None:
        super().__init__(message, reason=reason, **data)
        self.problems = tuple(problems)


class ConfigError(InputError):
    """A training config that cannot be used."""


class DataError(InputError):
    """A folder of images that cannot be used for training, or a file that is not an image."""


class ModelError(InputError):
    """A model that cannot be found, loaded or given the right head."""


class ForbiddenPathError(InputError):
    """A path outside the allowed roots was asked for over REST."""

    status = 403


class ForbiddenError(ImgclsError):
    """Somebody else's: `data` has its owner, and the act that was refused."""

    status = 403
    exit_code = 3


class NotFoundError(ImgclsError):
    """There is nothing with this id or name."""

    status = 404
    exit_code = 2


class ConflictError(ImgclsError):
    """The thing exists already, is in use, or is in a state that forbids the request."""

    status = 409
    exit_code = 3


class MismatchError(ImgclsError):
    """Two results that must agree do not: an export and its model, a model and the metrics of its run."""

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


class SchedulerAwayError(ExecutorError):
    """An outer scheduler, such as Ray or Slurm, does not answer now. The call may be repeated."""


class ObjectStoreError(ImgclsError):
    """The object store of runs or data cannot be used, or holds what is not valid.

    reason: `no_bucket`, `no_credentials`, `wrong_credentials`, `no_rights`, `clock`, `full`, `busy`, `unreachable`,
    `no_library`, `no_url`, `secret_in_url`, `missing`, `exists`, `too_large`, `damaged`, `fenced`.
    """

    status = 503


class TensorBoardError(ImgclsError):
    """A TensorBoard's process did not start."""

    status = 503


class InferenceError(ImgclsError):
    """The process that applies models did not start, ended, or took too long."""

    status = 503


class BusyError(ImgclsError):
    """The server has as many requests of a kind to answer as it takes."""

    status = 503


class JobCancelledError(ImgclsError):
    """Somebody cancelled a task of the server. Nothing of it is left."""

    status = 409


class UnsafeFolderError(ImgclsError):
    """Another user could write to a folder that this user trusts, or put something else in its place.

    reason: `owner`, `mode`, `replaceable`, `closed`, `no_folder`, `gone`, `too_long`, `socket`, `peer`, `no_place`.
    """

    status = 503


class StoppedError(ImgclsError):
    """A training inside a notebook run was stopped after a checkpoint, so the cells after it must not run."""


class OutOfMemoryError(ImgclsError):
    """The device had too little memory for the batch; never retried blindly."""

    kind = "out_of_memory"


class DiskFullError(ImgclsError):
    """The disk is full where the run writes. The last checkpoint is intact, and the run can be resumed."""

    kind = "disk_full"


class ProcessLostError(ImgclsError):
    """One of a run's processes died without a report. The run can resume from its last checkpoint."""

    kind = "lost"


class DivergedError(ImgclsError):
    """The loss is no longer finite."""

    kind = "diverged"


def of_kind(kind: str, message: str) -> ImgclsError:
    """The error that a run's `failed` event of that kind came from."""
    kinds = (OutOfMemoryError, DiskFullError, ProcessLostError, DivergedError)
    return next((error for error in kinds if error.kind == kind), ImgclsError)(message)


def unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """The sentence about an unknown name: similar names if there are any, else the known names."""
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(known[:12]) or 'none'}."
    return f"There is no {kind} “{name}”; {hint}"
