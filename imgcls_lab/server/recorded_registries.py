"""The Python of what the panel does with projects, configs, data sets and models. Called by `recorded_code.py`."""

from __future__ import annotations

import re
from typing import Any

from imgcls_lab.api.revisions import BY_HAND, RESTORED
from imgcls_lab.run_layout import BEST
from imgcls_lab.schemas import (
    AuditRequest,
    CheckpointModel,
    ConfigEdit,
    DatasetEdit,
    MemberRequest,
    ModelEdit,
    ProjectArchiveRequest,
    ProjectDeleteRequest,
    ProjectEdit,
    ProjectImportRequest,
    RevisionEdit,
)
from imgcls_lab.server.python_source import call
from imgcls_lab.server.recording_names import Ids, Recording, changed, config_source, not_null, number
from imgcls_lab.store.archive_files import UPLOADED


def add_project(_: Recording, __: Ids, edit: ProjectEdit) -> str:
    return call("lab.projects().add", edit.name, description=edit.description or None, max_running=edit.max_running)


def edit_project(recording: Recording, ids: Ids, edit: ProjectEdit) -> str:
    now = recording.store.projects.get(number(ids[0]))
    fields = not_null(changed(now, edit))
    return call("lab.projects().edit", now.name, **fields) if fields else ""


def delete_project(recording: Recording, ids: Ids, _: None) -> str:
    return call("lab.projects().delete", recording.project(number(ids[0])))


def delete_whole_project(recording: Recording, ids: Ids, request: ProjectDeleteRequest) -> str:
    return "" if request.dry_run else call("lab.projects().delete", recording.project(number(ids[0])), with_runs=True)


def join(recording: Recording, ids: Ids, request: MemberRequest) -> str:
    return call("lab.project", recording.project(number(ids[0])), add=[request.user])


def leave(recording: Recording, ids: Ids, _: None) -> str:
    return call("lab.project", recording.project(number(ids[0])), remove=[ids[1]])


def export_project(recording: Recording, ids: Ids, request: ProjectArchiveRequest) -> str:
    name = recording.project(number(ids[0])) or ""
    file = re.sub(r"[^\w-]+", "-", name).strip("-") or "project"
    kept = request.checkpoints if request.checkpoints != "best" else None
    return call("lab.export_project", name, f"{file}.imgcls.tar", checkpoints=kept)


def import_project(recording: Recording, _: Ids, request: ProjectImportRequest) -> str:
    options = {"name": request.name, "into": request.into}
    archive = request.archive or ""
    if request.path is not None:
        return call("lab.import_project", request.path, **options)
    if archive.startswith(UPLOADED):
        note = "# The browser had sent this file. Put it beside this notebook before you run the cell.\n"
        return note + call("lab.import_project", archive.removeprefix(UPLOADED), **options)
    return call("lab.import_project", str(recording.store.archives.path(archive)), **options)


def add_config(recording: Recording, _: Ids, edit: ConfigEdit) -> str:
    options = {"project": recording.project(edit.project_id), "description": edit.description or None}
    return call("lab.configs().save", edit.name, config_source(recording, edit.config), **options)


def edit_config(recording: Recording, ids: Ids, edit: ConfigEdit) -> str:
    now = recording.store.configs.get(number(ids[0]))
    fields = changed(now, edit)
    fields.pop("project_id", None)
    if edit.project_id not in (None, now.project_id):
        fields["project"] = recording.project(edit.project_id)
    config = config_source(recording, fields.pop("config")) if "config" in fields else None
    begun = recording.config(now.id) if config is None else call("lab.configs().save", now.name, config)
    return call(f"{begun}.edit", **fields) if fields else begun if config is not None else ""


def delete_config(recording: Recording, ids: Ids, _: None) -> str:
    return f"{recording.config(number(ids[0]))}.delete()"


def restore_config(recording: Recording, ids: Ids, _: None) -> str:
    return f"{recording.config(number(ids[0]))}.restore({number(ids[1])})"


def add_dataset(_: Recording, __: Ids, edit: DatasetEdit) -> str:
    return call("lab.dataset", edit.root, name=edit.name, description=edit.description or None)


def edit_dataset(recording: Recording, ids: Ids, edit: DatasetEdit) -> str:
    fields = changed(recording.store.datasets.get(number(ids[0])), edit)
    return call(f"{recording.dataset(number(ids[0]))}.edit", **fields) if fields else ""


def delete_dataset(recording: Recording, ids: Ids, _: None) -> str:
    return f"{recording.dataset(number(ids[0]))}.delete()"


def rescan(recording: Recording, ids: Ids, _: None) -> str:
    return f"{recording.dataset(number(ids[0]))}.rescan()"


def audit(recording: Recording, ids: Ids, request: AuditRequest) -> str:
    options = {
        "model": recording.model(request.model_id),
        "run": recording.run(request.run_id, ready=True) if request.run_id else None,
        "revision": request.revision,
        "device": request.device,
    }
    return call(f"{recording.dataset(number(ids[0]))}.audit", **options, wait=False)


def cancel_audit(recording: Recording, ids: Ids, _: None) -> str:
    return f"{recording.dataset(number(ids[0]))}.last_audit().cancel()"


def correct(recording: Recording, ids: Ids, edit: RevisionEdit) -> str:
    """As one revision, by the method that says what it is where all changes are of one kind."""
    dataset = recording.dataset(number(ids[0]))
    kinds = {(item.label, item.excluded, item.split, item.why) for item in edit.changes}
    images = [item.image for item in edit.changes]
    label, excluded, only, why = next(iter(kinds))
    options = {"only": only, "message": edit.message or None}
    shown: Any = images[0] if len(images) == 1 else images
    if len(kinds) == 1 and label is not None and why == BY_HAND:
        return call(f"{dataset}.relabel", shown, label, **options)
    if len(kinds) == 1 and excluded and why == BY_HAND:
        return call(f"{dataset}.exclude", shown, **options)
    if len(kinds) == 1 and label is None and not excluded and why == RESTORED:
        return call(f"{dataset}.restore", shown, **options)
    changes = []
    for item in edit.changes:
        given = item.model_dump(exclude_defaults=True) | {"why": item.why}
        changes.append({"only" if name == "split" else name: value for name, value in given.items()})
    return call(f"{dataset}.correct", changes, message=edit.message or None)


def undo(recording: Recording, ids: Ids, _: None) -> str:
    newest = number(ids[1]) == recording.store.revisions.newest(number(ids[0]))
    return call(f"{recording.dataset(number(ids[0]))}.undo", *([] if newest else [number(ids[1])]))


def add_model(_: Recording, __: Ids, edit: ModelEdit) -> str:
    options = edit.model_dump(exclude_defaults=True, exclude={"flavour", "name"})
    return call("lab.models().add", edit.flavour, name=edit.name, **options)


def edit_model(recording: Recording, ids: Ids, edit: ModelEdit) -> str:
    now = recording.store.models.get(number(ids[0]))
    fields = not_null(changed(now, edit))
    return call("lab.models().edit", now.name, **fields) if fields else ""


def delete_model(recording: Recording, ids: Ids, _: None) -> str:
    return call("lab.models().delete", recording.model(number(ids[0])))


def register(recording: Recording, _: Ids, request: CheckpointModel) -> str:
    run = recording.run(request.run_id, ready=True)
    found = recording.checkpoint(request.run_id, request.checkpoint)
    checkpoint = found if found != BEST else None
    named = [request.name] if request.name else []
    return call(f"{run}.register", *named, checkpoint=checkpoint, description=request.description or None)


def demo(_: Recording, __: Ids, ___: None) -> str:
    return "lab.demo.prepare()"
