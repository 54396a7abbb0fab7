"""What a task is asked to prove: the part of its run's payload that its process reads.

Written by the store, read by the engine. A verification and a bisection are runs of the kind `task`; they name the
folders of the runs that they compute again, and are signed with their own run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from imgcls_lab.errors import InputError
from imgcls_lab.schemas import VerifyRequest

VERIFY, BISECT = "verify", "bisect"  # under this key of a run's payload


class _Proof(BaseModel):
    """What a task's payload has under its key."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    key: ClassVar[str]
    remedy: ClassVar[str]

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Self | None:
        """What a task proves; None for another task. Raises InputError for a payload of another version."""
        found = payload.get(cls.key)
        if found is None:
            return None
        try:
            return cls.model_validate(found)
        except ValueError:
            raise InputError(f"The task was queued by another version of imgcls-lab. {cls.remedy}") from None

    def to_payload(self) -> dict[str, Any]:
        return {self.key: self.model_dump(mode="json")}


class ProvedRun(BaseModel):
    """A run that is computed again. run, title: its id and name; config: what its config names of this machine."""

    run: str
    title: str
    folder: str
    config: dict[str, Any] = {}


class VerifyTask(_Proof, ProvedRun):
    """A verification."""

    key = VERIFY
    remedy = "Verify the run again."

    request: VerifyRequest

    @property
    def configs(self) -> list[dict[str, Any]]:
        return [self.config]


class BisectTask(_Proof):
    """A search for where two runs part."""

    key = BISECT
    remedy = "Search again."

    runs: tuple[ProvedRun, ProvedRun]

    @property
    def configs(self) -> list[dict[str, Any]]:
        return [each.config for each in self.runs]


def proof_of(payload: Mapping[str, Any]) -> VerifyTask | BisectTask | None:
    """The verification or the bisection of a task; None for another task. Raises InputError as `of` does."""
    return VerifyTask.of(payload) or BisectTask.of(payload)
