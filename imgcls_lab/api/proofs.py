"""`run.verify()` and `run.diff()`: the part of `Run` that holds it against itself and against others."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from imgcls_lab.api.forks import RunForks
from imgcls_lab.api.run_diff import RunDiff
from imgcls_lab.api.validation import request
from imgcls_lab.schemas import VerifyRequest

if TYPE_CHECKING:
    from imgcls_lab.schemas import Bisection, Certificate


class RunProofs(RunForks):
    """A run, as far as it is held against itself and against others."""

    def verify(self, steps: int = 20, *, at: str | int | None = None) -> Certificate:
        """Compute some of its steps again, in a fresh process of this machine, and compare them to the last bit.

        at: begin with one of its checkpoints: an epoch, "best", "last", "step 340"; by default as the run began. The
        answer says whether all are the same, else the first that differs and what is otherwise than when the run
        trained; `certificate.json` in its folder holds it. Raises ConflictError for a run that trains or has trained no
        step, NotFoundError for a checkpoint, ModelError where the steps cannot be computed.

        >>> run.verify(steps=5).identical
        True
        """
        from imgcls_lab.engine.proofs.verify import verify  # torch: takes seconds

        wanted = request(VerifyRequest, steps=steps, at="" if at is None else str(at))
        return verify(self.folder, wanted)

    def bisect(self, other: RunProofs | str) -> Bisection:
        """Where it and a run that should be equal part: the first step, what differs first in it, and the cause.

        What both wrote of their steps is searched, then both compute some steps again on this machine. Raises
        ConflictError for runs that begin otherwise or cannot be computed again, ModelError.

        >>> run.bisect(run).first_step is None
        True
        """
        from imgcls_lab.engine.proofs.bisect import Named, bisect  # torch: takes seconds

        against = other if isinstance(other, RunProofs) else self._of(other, self._indexed("compare"))
        return bisect(Named(self.folder, self.name), Named(against.folder, against.name))

    def reproduce(
        self, env: str | Path, steps: int = 20, *, at: str | int | None = None, python: str | None = None
    ) -> Certificate:
        """Make a virtual environment in a new folder, with the versions and the code that it recorded; verify it there.

        python: an interpreter of the recorded version, where none is found. Raises ConflictError for a folder that is
        not empty or code that is not at hand, InputError without such a Python, ModelError where pip fails.

        >>> run.reproduce(folder.parent)
        Traceback (most recent call last):
            ...
        imgcls_lab.errors.ConflictError: ...
        """
        from imgcls_lab.engine.proofs.reproduce import reproduce

        wanted = request(VerifyRequest, steps=steps, at="" if at is None else str(at))
        return reproduce(self.folder, Path(env).expanduser().absolute(), wanted, python=python)

    def diff(self, other: RunForks | str) -> RunDiff:
        """What it has otherwise than another run: settings, images, packages, code, hardware; and which is better.

        `diff.significance()` is the paired test on the same images, `diff.flips()` the images that it fixed and broke.
        Raises NotFoundError; InputError for the same run.

        >>> run.diff(sweep.best).significance().images > 0
        True
        """
        against = other.id if isinstance(other, RunForks) else other
        return RunDiff(self._indexed("compare"), against, self.id, self.flips)

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def folder(self) -> Path: ...
