"""`lab.models()`: the registry of models: those of the hub, local folders, checkpoints of runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypedDict, Unpack, overload

from imgcls_lab.api import context
from imgcls_lab.api.galleries import Shown
from imgcls_lab.api.validation import request
from imgcls_lab.config import takes_fields_of
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import ModelEdit, ModelView

if TYPE_CHECKING:
    import pandas as pd


class ModelChanges(TypedDict, total=False):
    """What of a registered model can be changed."""

    name: str
    flavour: str | os.PathLike[str]
    revision: str | None
    load_pretrained: bool
    description: str


class Models(Shown, Sequence[ModelView]):
    """Registered models by name. frame: a row each."""

    def __init__(self, views: Sequence[ModelView]) -> None:
        self.views = views
        self.title = counted(len(views), "model")

    @overload
    def __getitem__(self, index: int) -> ModelView: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ModelView]: ...
    def __getitem__(self, index: int | slice) -> ModelView | Sequence[ModelView]:
        return self.views[index]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Index `name`; columns flavour, architecture, parameters, load_pretrained, description."""
        import pandas as pd

        rows = [
            {
                "flavour": view.flavour,
                "architecture": view.facts.architecture,
                "parameters": view.facts.parameters,
                "load_pretrained": view.load_pretrained,
                "description": view.description,
            }
            for view in self.views
        ]
        return pd.DataFrame(rows, index=pd.Index([view.name for view in self.views], name="name"))

    def add(
        self,
        flavour: str | os.PathLike[str],
        *,
        name: str,
        revision: str | None = None,
        load_pretrained: bool = True,
        description: str = "",
    ) -> ModelView:
        """Register a model: the id of one of the hub, or a folder. revision: of the hub's.

        load_pretrained: whether a run begins with its weights. Raises InputError, ConflictError for a name that is
        there.

        >>> lab.models().add("google/vit-base-patch16-224", name="ViT-B/16").name
        'ViT-B/16'
        """
        edit = request(
            ModelEdit, name=name, flavour=os.fspath(flavour), revision=revision, load_pretrained=load_pretrained,
            description=description,
        )  # fmt: skip
        return context.store().models.add(edit)

    @takes_fields_of(ModelEdit, kept=True)
    def edit(self, model: str, **changes: Unpack[ModelChanges]) -> ModelView:
        """Change name, flavour, revision, load_pretrained or description. Raises NotFoundError, ForbiddenError.

        >>> made = lab.models().add("timm/resnet18.a1_in1k", name="small")
        >>> lab.models().edit("small", description="a quick one").description
        'a quick one'
        """
        models = context.store().models
        found = models.find(model)
        now = {field: getattr(found, field) for field in ModelEdit.model_fields}
        if "flavour" in changes:
            changes["flavour"] = os.fspath(changes["flavour"])
        return models.edit(found.id, request(ModelEdit, **{**now, **changes}))

    def delete(self, model: str) -> None:
        """Take a model out of the registry; its files stay. Raises ConflictError for one that runs began with.

        >>> made = lab.models().add("timm/resnet34.a1_in1k", name="unused")
        >>> lab.models().delete("unused")
        """
        models = context.store().models
        models.delete(models.find(model).id)


def models() -> Models:
    """The registered models.

    >>> "tiny-resnet" in lab.models().frame.index
    True
    """
    return Models(context.store().models.list())
