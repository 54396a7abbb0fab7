"""What a task run is asked to do: the part of its payload that its process reads. Written by the store, read by the
engine; it names folders of this machine and is signed with the run."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from imgcls_lab.errors import InputError

TASK = "audit"  # under this key of a run's payload
# stage of an audit -> what the run says it does
PHASES = {
    "files": "looking at files",
    "features": "computing features",
    "labels": "looking for label errors",
    "neighbours": "comparing images",
    "map": "drawing the map",
}


class FeatureModel(BaseModel):
    """The model that gives the features: of the hub or a folder, or a run's best checkpoint.

    title: as people call it; run_id, checkpoint: of a run.
    """

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    title: str
    flavour: str = ""
    revision: str | None = None
    load_pretrained: bool = True
    run_id: str | None = None
    checkpoint: str | None = None  # folder


class AuditTask(BaseModel):
    """An audit of a data set. overlay: the labels and exclusions of `revision`, by image (docs/data.md)."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    task: Literal["audit"] = "audit"
    dataset: str
    dataset_id: int = 0
    root: str
    model: FeatureModel | None = None
    revision: int = 0
    revision_digest: str = ""
    overlay: dict[str, Any] = Field(default_factory=dict)
    device: str = "auto"

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Self:
        """Raises InputError for a payload of another version."""
        try:
            return cls.model_validate(payload.get(TASK))
        except ValueError:
            raise InputError("The task was queued by another version of imgcls-lab. Start the audit again.") from None

    def to_payload(self) -> dict[str, Any]:
        return {TASK: self.model_dump(mode="json")}

    def names(self) -> dict[str, Any]:
        """The folders that it reads, under the names that they have in a config."""
        model = self.model.flavour if self.model else ""
        return {"root": self.root, "model_flavour": model}

    def covers(self, other: Self) -> bool:
        """Whether this audit does all that another one would do."""
        return (
            self.root == other.root
            and (other.model is None or self.model == other.model)
            and self.revision_digest == other.revision_digest
        )
