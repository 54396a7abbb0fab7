"""Routes of the form: the schema of a config with what a new form starts from, and what a config would do.

The check reads folder and file names only; whether each image and the model can be read, the run itself says.
"""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from pydantic import BaseModel, ConfigDict
from tornado import web

from imgcls_lab.config import GROUPS, TrainConfig
from imgcls_lab.demo import demo_config
from imgcls_lab.errors import ConfigError, InputError, Problem
from imgcls_lab.imagefolder import FolderSummary, inspect_folder
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.base import MAX_PROBLEMS, PREFIX, ApiHandler, Route, check_reference, shorten, to_json
from imgcls_lab.server.info import demo_folders
from imgcls_lab.server.paths import FOLDERS, allowed_folder, allowed_model, allowed_plugins, is_local
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.wire import CheckReply, FieldProblem, SchemaReply


class CheckRequest(BaseModel):
    """The body of POST /configs/check: values of a form, right or wrong."""

    model_config = ConfigDict(extra="forbid")

    config: dict[str, Any]


class SchemaHandler(ApiHandler):
    """TrainConfig's schema, its groups, and what a new form starts with."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        project = self.optional_whole("project")
        check_reference(project, "project")
        settings = self.backend.settings
        await self.answer(
            lambda store: SchemaReply(
                json_schema=TrainConfig.model_json_schema(), groups=GROUPS, start=start(settings, store, project)
            )
        )


class CheckHandler(ApiHandler):
    """What would happen if this config were launched; nothing is changed."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        request = self.body(CheckRequest)
        reply = await self.backend.run(lambda: check(self.backend.settings, request.config))
        self.reply(to_json(reply))


def start(settings: Settings, store: Store, project_id: int | None = None) -> dict[str, Any]:
    """What a new form starts with: the newest run's config, else the demo's, else the defaults."""
    newest = store.runs(project_id=project_id, limit=1).items
    if newest:
        return store.run(newest[0].id).config
    if found := demo_folders(settings):
        return demo_config(*found).model_dump(mode="json")
    fields = TrainConfig.model_fields
    return {name: "" if field.is_required() else field.get_default() for name, field in fields.items()}


def check(settings: Settings, values: dict[str, Any]) -> CheckReply:
    """All problems that can be seen without reading an image or a model, and what a run of it would do."""
    problems: list[Problem] = []
    try:
        config = TrainConfig.parse(values)
    except ConfigError as error:
        problems += error.problems
        config = None
    try:
        allowed_plugins(settings, values.get("plugins"))
    except InputError as error:
        problems += error.problems
    folders: dict[str, str] = {}
    for field in (*FOLDERS, "model_flavour"):
        text = values.get(field)
        if not isinstance(text, str) or not text.strip():
            continue
        try:
            look = allowed_model if field == "model_flavour" else allowed_folder
            folders[field] = look(settings, text, field)
        except InputError as error:
            problems += error.problems
    facts: dict[str, str] = {}
    if "root" in folders:
        found = inspect_folder(folders["root"])
        if found.problem:
            problems.append(Problem("root", found.problem))
        else:
            facts |= _data_facts(found)
            if config is not None:
                facts["Steps"] = _steps(found, config)
    if sentence := _model_problem(folders.get("model_flavour", "")):
        problems.append(Problem("model_flavour", sentence))
    facts["Disk"] = _disk(settings.runs_dir)
    shown = [
        FieldProblem(field=shorten(p.field, 200), message=shorten(p.message, 1000)) for p in problems[:MAX_PROBLEMS]
    ]
    return CheckReply(problems=shown, facts=facts)


def _data_facts(found: FolderSummary) -> dict[str, str]:
    images = ", ".join(f"{sum(classes.values()):,} {split}" for split, classes in found.splits.items())
    names = ", ".join(found.classes[:6]) + (" …" if len(found.classes) > 6 else "")
    facts = {"Classes": f"{len(found.classes)}: {names}", "Images": images}
    counts = {name: found.splits["train"][name] for name in found.classes}
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[least] == counts[most]:
        facts["Balance"] = f"Even: {counts[most]:,} training images a class."
    else:
        ratio = counts[most] / counts[least]
        facts["Balance"] = (
            f"{counts[least]:,} to {counts[most]:,} training images a class, 1 : {ratio:.1f} (“{least}”, “{most}”)."
        )
    if found.notes:
        facts["Note"] = " ".join(found.notes)
    return facts


def _steps(found: FolderSummary, config: TrainConfig) -> str:
    """Steps of an epoch and of the run, as the engine counts them if it can read every image."""
    classes = found.splits["train"].values()
    images = sum(classes)
    if "val" not in found.splits:  # the engine holds out that share of each class, at least one image
        images -= sum(min(max(1, round(count * config.val_fraction)), count - 1) for count in classes if count)
    full, rest = divmod(images, config.batch_size)
    lone = rest == 1 and full > 0 and config.batch_size > 1  # a last batch of one image is left out
    batches = full + (1 if rest and not lone else 0)
    an_epoch = math.ceil(batches / config.accumulate)
    return f"{an_epoch:,} an epoch, {an_epoch * config.epochs:,} in all"


def _model_problem(flavour: str) -> str | None:
    if not flavour or not is_local(flavour) or os.path.isfile(os.path.join(flavour, "config.json")):
        return None
    if not os.path.isdir(flavour):
        return f"The model folder “{flavour}” does not exist. Check the path."
    return f"The folder “{flavour}” holds no config.json, so it is no model. Name the folder that holds it."


def _disk(folder: Path) -> str:
    """Free space where runs are written."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return f"{free / 1e9:,.1f} GB free where runs are written"


def routes(backend: Backend) -> list[Route]:
    arguments = {"backend": backend}
    return [
        (rf"{PREFIX}/configs/schema", SchemaHandler, arguments),
        (rf"{PREFIX}/configs/check", CheckHandler, arguments),
    ]
