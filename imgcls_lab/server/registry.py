"""Routes of the registries: projects, configs, data sets, models. One pair of handlers serves all four."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from imgcls_lab.config import TrainConfig
from imgcls_lab.schemas import (
    CheckpointModel,
    ConfigEdit,
    DatasetEdit,
    DatasetView,
    ExportRequest,
    ModelEdit,
    ModelView,
    RunView,
)
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, check_reference, number_of, run_id_of
from imgcls_lab.server.paths import allowed_config, allowed_folder, allowed_model
from imgcls_lab.server.permissions import Route, permitted, route
from imgcls_lab.server.pools import Work
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.store.collection import Collection
from imgcls_lab.store.models import Models
from imgcls_lab.store.registry import Configs, Datasets, Projects


@dataclass(frozen=True)
class Registry:
    """A collection of the store under an address of its own. `check` refuses paths that a request may not name."""

    collection: Callable[[Store], Collection[Any, Any, Any]]
    kind: type[Collection[Any, Any, Any]]
    check: Callable[[Settings, Any], Any] = lambda _settings, edit: edit
    work: Work = "query"  # of an edit
    saved: Callable[[Store, int], None] | None = None  # called after an entry was added or edited; may queue a run


class RegistryHandler(ApiHandler):
    """Base of the routes of one registry."""

    def initialize(self, backend: Backend, registry: Registry) -> None:  # type: ignore[override]
        super().initialize(backend)
        self.registry = registry

    def edit(self) -> Callable[[], Any]:
        """The body of the request; call it in the store's thread, since it looks at files. Raises InputError."""
        body = self.body(self.registry.kind.edit_type)
        return lambda: self.registry.check(self.backend.settings, body)

    def number(self, text: str) -> int:
        return number_of(text, self.registry.kind.noun)

    async def save(self, save: Callable[[Collection[Any, Any, Any]], Any], status: int = 200) -> None:
        """Answer with the entry that `save` gives, and do what follows from it."""
        saved = self.registry.saved

        def save_and_follow(store: Store) -> Any:
            entry = save(self.registry.collection(store))
            if saved is not None:
                saved(store, entry.id)
            return entry

        await self.answer(save_and_follow, status, self.registry.work)
        if saved is not None:
            self.backend.wake_executor()


class CollectionHandler(RegistryHandler):
    """All entries, and the way to add one."""

    @permitted
    async def get(self) -> None:
        await self.answer(lambda store: self.registry.collection(store).list())

    @permitted
    async def post(self) -> None:
        edit = self.edit()
        await self.save(lambda collection: collection.add(edit()), 201)


class EntryHandler(RegistryHandler):
    """One entry. PATCH takes the whole edit."""

    @permitted
    async def get(self, text: str) -> None:
        number = self.number(text)
        await self.answer(lambda store: self.registry.collection(store).get(number))

    @permitted
    async def patch(self, text: str) -> None:
        number, edit = self.number(text), self.edit()
        await self.save(lambda collection: collection.edit(number, edit()))

    @permitted
    async def delete(self, text: str) -> None:
        number = self.number(text)
        await self.answer(lambda store: self.registry.collection(store).delete(number))


class CachedModelsHandler(ApiHandler):
    """The models for images that lie in the hub's cache on this machine."""

    @permitted
    async def get(self) -> None:
        await self.answer(lambda store: store.models.cached(), work="slow")


class CheckpointModelHandler(ApiHandler):
    """Register a checkpoint of a run as a model."""

    @permitted
    async def post(self) -> None:
        request, settings = self.body(CheckpointModel), self.backend.settings
        run_id_of(request.run_id)

        def add(store: Store) -> ModelView:
            return store.models.add(_check_model(settings, store.models.of_checkpoint(request)))

        await self.answer(add, 201, "slow")


class ExportsHandler(ApiHandler):
    """Write a model for other programs, by a task that is queued."""

    @permitted
    async def post(self) -> None:
        request, settings = self.body(ExportRequest), self.backend.settings
        for reference, noun in ((request.model_id, "model"), (request.dataset_id, "data set")):
            check_reference(reference, noun)
        if request.run_id is not None:
            run_id_of(request.run_id)
        folder = allowed_folder(settings, request.folder, "folder")

        def export(store: Store) -> RunView:
            task = store.exports.task(request.model_copy(update={"folder": folder}))
            allowed_folder(settings, task.out, "name")
            allowed_folder(settings, task.root, "dataset_id")  # as at a submit
            if request.model_id is not None:
                allowed_model(settings, store.models.get(request.model_id).flavour, "flavour")
            return store.exports.start(task)

        await self.answer(export, 201, "slow")
        self.backend.wake_executor()


class RescanHandler(ApiHandler):
    """Inspect the folder of a data set again: classes and counts at once, the files by an audit that is queued."""

    @permitted
    async def post(self, text: str) -> None:
        number = number_of(text, Datasets.noun)

        def rescan(store: Store) -> DatasetView:
            found = store.datasets.rescan(number)
            store.audits.refresh(number)
            return found

        await self.answer(rescan, work="slow")
        self.backend.wake_executor()


def _check_config(settings: Settings, edit: ConfigEdit) -> ConfigEdit:
    check_reference(edit.project_id, "project")
    TrainConfig.parse(edit.config)
    return edit.model_copy(update={"config": allowed_config(settings, edit.config)})


def _check_dataset(settings: Settings, edit: DatasetEdit) -> DatasetEdit:
    return edit.model_copy(update={"root": allowed_folder(settings, edit.root, "root")})


def _check_model(settings: Settings, edit: ModelEdit) -> ModelEdit:
    return edit.model_copy(update={"flavour": allowed_model(settings, edit.flavour, "flavour")})


REGISTRIES = {
    "projects": Registry(lambda store: store.projects, Projects),
    "configs": Registry(lambda store: store.configs, Configs, _check_config),
    "datasets": Registry(
        lambda store: store.datasets,
        Datasets,
        _check_dataset,
        "slow",
        lambda store, number: store.audits.refresh(number, rescan=False),
    ),
    "models": Registry(lambda store: store.models, Models, _check_model, "slow"),
}


def routes(backend: Backend) -> list[Route]:
    found: list[Route] = [  # before the entries, whose ids would match
        route("api/models/cached", CachedModelsHandler, backend=backend),
        route("api/models/checkpoints", CheckpointModelHandler, backend=backend),
        route("api/exports", ExportsHandler, backend=backend),
    ]
    for name, registry in REGISTRIES.items():
        found.append(route(f"api/{name}", CollectionHandler, backend=backend, registry=registry))
        found.append(route(f"api/{name}/ID", EntryHandler, backend=backend, registry=registry))
    found.append(route("api/datasets/ID/rescan", RescanHandler, backend=backend))
    return found
