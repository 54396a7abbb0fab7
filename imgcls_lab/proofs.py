"""What a task is asked to prove: the part of its run's payload that its process reads.

Written by the store, read by the engine. A verification is a run of the kind `task`; it names the folder of the run
that it verifies, and is signed with its own run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from imgcls_lab.errors import InputError
from imgcls_lab.schemas import VerifyRequest

VERIFY = "verify"  # under this key of a run's payload


class VerifyTask(BaseModel):
    """A verification. run, title: of the run; folder: its own; config: what its config names of this machine."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    run: str
    title: str
    folder: str
    request: VerifyRequest
    config: dict[str, Any] = {}

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Self | None:
        """The verification of a task; None for another task. Raises InputError for a payload of another version."""
        found = payload.get(VERIFY)
        if found is None:
            return None
        try:
            return cls.model_validate(found)
        except ValueError:
            raise InputError("The task was queued by another version of imgcls-lab. Verify the run again.") from None

    def to_payload(self) -> dict[str, Any]:
        return {VERIFY: self.model_dump(mode="json")}
