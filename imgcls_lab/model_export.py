"""What an export of a model is asked to do: the part of its run's payload that its process reads.

Written by the store, read by the engine. An export is a run of the kind `task`; it names folders of this machine, which
were checked when it was queued, and is signed with the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from imgcls_lab.errors import InputError
from imgcls_lab.schemas import ExportForm

EXPORT = "export"  # under this key of a run's payload
PHASE = "writing and checking the model"
# what an export reports beside its folder: images it was checked on, the largest difference of two logits, the limit
IMAGES, DIFFERENCE, LIMIT, ABSTAINS = "export/images", "export/difference", "export/limit", "export/abstains"


class ExportTask(BaseModel):
    """An export. folder: of the model; out: the new folder.

    root: of the images that it is checked on. run_folder, epoch: the run whose validation chose some of them; reported:
    what that run stored of them is that of this very model.
    """

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    title: str
    folder: str
    form: ExportForm
    out: str
    root: str
    run_folder: str = ""
    epoch: int | None = None
    reported: bool = False

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Self | None:
        """The export of a task; None for another task. Raises InputError for a payload of another version."""
        found = payload.get(EXPORT)
        if found is None:
            return None
        try:
            return cls.model_validate(found)
        except ValueError:
            raise InputError("The task was queued by another version of imgcls-lab. Start the export again.") from None

    def to_payload(self) -> dict[str, Any]:
        return {EXPORT: self.model_dump(mode="json")}

    def names(self) -> dict[str, Any]:
        """The folders that it reads and writes, under the names that they have in a config."""
        return {"root": self.root, "model_flavour": self.folder, "ckpt_dir": self.out}
