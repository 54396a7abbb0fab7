"""Routes of what is registered: projects, configs, data sets, models. One pair of handlers, one row a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jupyter_server.auth.decorator import authorized
from pydantic import BaseModel
from tornado import web

from imgcls_lab.config import TrainConfig
from imgcls_lab.schemas import ConfigEdit, DatasetEdit, ModelEdit, ProjectEdit
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import PREFIX, ApiHandler, Route, check_reference, number_of
from imgcls_lab.server.paths import allowed_config, allowed_folder, allowed_model
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store


@dataclass(frozen=True)
class Shelf:
    """What is kept of one kind, and the store's functions for it. `check` refuses paths that a request may not name."""

    kind: str
    edit: type[BaseModel]
    check: Callable[[Settings, Any], Any]
    list: Callable[[Store], Any]
    show: Callable[[Store, int], Any]
    add: Callable[[Store, Any], Any]
    change: Callable[[Store, int, Any], Any]
    delete: Callable[[Store, int], None]


class ShelfHandler(ApiHandler):
    """All of a kind, and the way to add one."""

    def initialize(self, backend: Backend, shelf: Shelf) -> None:  # type: ignore[override]
        super().initialize(backend)
        self.shelf = shelf

    @web.authenticated
    @authorized
    async def get(self) -> None:
        await self.answer(self.shelf.list)

    @web.authenticated
    @authorized
    async def post(self) -> None:
        shelf, edit = self.shelf, self.body(self.shelf.edit)
        settings = self.backend.settings
        await self.answer(lambda store: shelf.add(store, shelf.check(settings, edit)), 201)


class EntryHandler(ApiHandler):
    """One of a kind. PATCH takes the whole edit."""

    def initialize(self, backend: Backend, shelf: Shelf) -> None:  # type: ignore[override]
        super().initialize(backend)
        self.shelf = shelf

    @web.authenticated
    @authorized
    async def get(self, text: str) -> None:
        shelf, number = self.shelf, number_of(text, self.shelf.kind)
        await self.answer(lambda store: shelf.show(store, number))

    @web.authenticated
    @authorized
    async def patch(self, text: str) -> None:
        shelf, number = self.shelf, number_of(text, self.shelf.kind)
        edit = self.body(shelf.edit)
        settings = self.backend.settings
        await self.answer(lambda store: shelf.change(store, number, shelf.check(settings, edit)))

    @web.authenticated
    @authorized
    async def delete(self, text: str) -> None:
        shelf, number = self.shelf, number_of(text, self.shelf.kind)
        await self.answer(lambda store: shelf.delete(store, number))


class RescanHandler(ApiHandler):
    """A new look at the folder of a data set."""

    @web.authenticated
    @authorized
    async def post(self, text: str) -> None:
        number = number_of(text, SHELVES["datasets"].kind)
        await self.answer(lambda store: store.rescan_dataset(number))


def _check_project(_: Settings, edit: ProjectEdit) -> ProjectEdit:
    return edit


def _check_config(settings: Settings, edit: ConfigEdit) -> ConfigEdit:
    check_reference(edit.project_id, "project")
    TrainConfig.parse(edit.config)
    return edit.model_copy(update={"config": allowed_config(settings, edit.config)})


def _check_dataset(settings: Settings, edit: DatasetEdit) -> DatasetEdit:
    return edit.model_copy(update={"root": allowed_folder(settings, edit.root, "root")})


def _check_model(settings: Settings, edit: ModelEdit) -> ModelEdit:
    return edit.model_copy(update={"flavour": allowed_model(settings, edit.flavour, "flavour")})


SHELVES = {
    "projects": Shelf(
        "project", ProjectEdit, _check_project,
        Store.projects, Store.project, Store.add_project, Store.edit_project, Store.delete_project,
    ),
    "configs": Shelf(
        "config", ConfigEdit, _check_config,
        Store.configs, Store.config, Store.add_config, Store.edit_config, Store.delete_config,
    ),
    "datasets": Shelf(
        "data set", DatasetEdit, _check_dataset,
        Store.datasets, Store.dataset, Store.add_dataset, Store.edit_dataset, Store.delete_dataset,
    ),
    "models": Shelf(
        "model", ModelEdit, _check_model,
        Store.models, Store.model, Store.add_model, Store.edit_model, Store.delete_model,
    ),
}  # fmt: skip


def routes(backend: Backend) -> list[Route]:
    found: list[Route] = []
    for name, shelf in SHELVES.items():
        arguments = {"backend": backend, "shelf": shelf}
        found.append((rf"{PREFIX}/{name}", ShelfHandler, arguments))
        found.append((rf"{PREFIX}/{name}/([^/]+)", EntryHandler, arguments))
    found.append((rf"{PREFIX}/datasets/([^/]+)/rescan", RescanHandler, {"backend": backend}))
    return found
