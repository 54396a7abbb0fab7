"""Models: what a list shows of a registered one, what lies in the hub's cache, and what one may set or write."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.limits import MAX_ID, MAX_NAME, Id, Name, Note, PathText, Whole

ModelPlace = Literal["folder", "cache", "hub"]  # of this machine; the hub's cache on it; not on this machine
ExportForm = Literal["hf", "onnx", "torch-export"]


class ModelFacts(Wire):
    """What the files of a model on this machine say of it; no network is asked, and nothing of it is executed."""

    place: ModelPlace
    architecture: str = ""  # a class of transformers, or a name in timm's registry
    parameters: int | None = None  # counted in the headers of its weights
    input_size: list[int] | None = None  # height and width of its images, in pixels
    classes: int | None = None  # that it tells apart now
    licence: str = ""  # as its card or config has it
    licence_of: str = ""  # the model that it was made from, where the licence is that one's
    size: int | None = None  # bytes on this machine
    needs: int | None = None  # bytes of weights that are not on this machine, where its files say that


class MadeBy(Wire):
    """The checkpoint of a run that a model is."""

    run_id: str
    run: str  # its name
    checkpoint: str
    step: int | None  # None: the checkpoint is not known any more
    epoch: int | None


class ModelView(Wire):
    """A registered model: a hub id, a local folder, or a run's checkpoint."""

    id: int
    name: str
    owner: str
    flavour: str
    revision: str | None
    load_pretrained: bool
    description: str
    created_at: float
    problem: str | None
    facts: ModelFacts
    made_by: MadeBy | None
    runs: int  # that began with it, without the archived ones
    may_change: bool


class ModelEdit(Wire):
    name: Name
    flavour: PathText
    revision: str | None = Field(None, max_length=MAX_NAME)
    load_pretrained: bool = True
    description: Note = ""


class CheckpointModel(Wire):
    """Register a checkpoint of a run as a model. An empty name is made from the run's."""

    run_id: Id
    checkpoint: str = Field("best", min_length=1, max_length=MAX_ID)  # its name, or best or last
    name: str = Field("", max_length=MAX_NAME)
    description: Note = ""


class CachedModel(Wire):
    """A model for images that lies in the hub's cache on this machine."""

    flavour: str  # its hub id
    facts: ModelFacts
    registered: str | None  # the name under which it is registered


class ExportRequest(Wire):
    """Write a model for other programs to a new folder: a checkpoint of a run, or a registered model.

    dataset_id: whose images it is checked on; by default some that the run validated.
    """

    run_id: Id | None = None
    checkpoint: str = Field("best", min_length=1, max_length=MAX_ID)
    model_id: Whole | None = None
    form: ExportForm = "hf"
    folder: PathText  # in which the new one is made
    name: str = Field(min_length=1, max_length=MAX_NAME, pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]*$")
    dataset_id: Whole | None = None
