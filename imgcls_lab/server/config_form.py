"""Routes of the form: the schema of a config with the values of a new form, and the check of a config.

The check reads folder and file names only; whether each image and the model can be read, the run itself says.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from imgcls_lab.config import GROUPS, TrainConfig
from imgcls_lab.demo_data import CONFIG, demo_config
from imgcls_lab.events import RunKind
from imgcls_lab.schemas import CheckRequest, SchemaReply
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.config_check import check, checked
from imgcls_lab.server.handlers import ApiHandler, check_reference
from imgcls_lab.server.info import demo_folders
from imgcls_lab.server.permissions import Route, permitted, route
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.store.claims import config_to_reuse

RECENT = 50  # runs among which a new form looks for a training
NAMES = 20  # of earlier runs, which a form offers


class SchemaHandler(ApiHandler):
    """TrainConfig's schema, its groups, and what a new form starts with."""

    @permitted
    async def get(self) -> None:
        project = self.optional_whole("project")
        check_reference(project, "project")
        settings = self.backend.settings
        await self.answer(lambda store: form(settings, store, project))


class TrialHandler(ApiHandler):
    """Start a speed trial of a config: a task that says how fast a step is."""

    @permitted
    async def post(self) -> None:
        request = self.body(CheckRequest)
        settings = self.backend.settings
        await self.answer(lambda store: store.like_runs.start_trial(checked(settings, request.config)), 201)
        self.backend.wake_executor()


class CheckHandler(ApiHandler):
    """The check of a config before a launch; nothing is changed."""

    @permitted
    async def post(self) -> None:
        request = self.body(CheckRequest)
        await self.answer(lambda store: check(self.backend.settings, store, request.config), work="slow")


def form(settings: Settings, store: Store, project_id: int | None = None) -> SchemaReply:
    """The schema and the values of a new form: the newest own training's config, else the demo's, else the defaults."""
    own = defaults(store)
    start, source, project = own, None, None
    recent = store.runs.list(project_id=project_id, owner=store.own_rows, limit=RECENT).items
    if newest := next((run for run in recent if run.kind is RunKind.TRAIN and run.may_change), None):
        start, source = config_to_reuse(store.runs.get(newest.id)), f"the last run, “{newest.name}”"
        project = newest.project_id
    elif found := demo_folders(settings):
        start, source = demo_config(*found).model_dump(mode="json"), f"“{CONFIG}”"
    return SchemaReply(
        json_schema=_schema(),
        groups=GROUPS,
        start=start,
        start_from=source,
        start_project_id=project,
        recent_names=[*dict.fromkeys(run.name for run in recent if run.may_change)][:NAMES],
        defaults=own,
    )


@lru_cache(maxsize=1)
def _schema() -> dict[str, Any]:
    """It takes 15 ms to make, and each table of runs asks for it."""
    return TrainConfig.model_json_schema()


def defaults(store: Store) -> dict[str, Any]:
    """What the form of one's own data starts with: no data set, the newest registered model that was trained before.

    Where no such model is registered the field is empty: whether a hub can be reached only the user knows.
    """
    fields = TrainConfig.model_fields
    values = {name: "" if field.is_required() else field.get_default() for name, field in fields.items()}
    trained = [model for model in store.models.list() if model.load_pretrained and not model.problem]
    newest = max(trained, key=lambda model: model.created_at, default=None)
    return values | {"model_flavour": newest.flavour if newest else "", "revision": newest.revision if newest else None}


def routes(backend: Backend) -> list[Route]:
    return [
        route("api/configs/schema", SchemaHandler, backend=backend),
        route("api/configs/check", CheckHandler, backend=backend),
        route("api/configs/trial", TrialHandler, backend=backend),
    ]
