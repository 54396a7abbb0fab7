"""The Python of what the panel does with runs: launch, stop, fork, edit, delete. Called by `recorded_code.py`."""

from __future__ import annotations

from typing import Any

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import InputError
from imgcls_lab.run_layout import BEST
from imgcls_lab.schemas import (
    ActionRequest,
    BisectRequest,
    BoardRequest,
    ChangeRequest,
    Choices,
    DeleteRequest,
    ExportRequest,
    ForkRequest,
    NotebookRequest,
    Range,
    ReplicatesRequest,
    ResumeRequest,
    RetrainRequest,
    RunEdit,
    RunEdits,
    SubmitRequest,
    SweepRequest,
    VerifyRequest,
)
from imgcls_lab.server.paths import allowed_config
from imgcls_lab.server.python_source import call, each
from imgcls_lab.server.recording_names import Ids, Recording, config_source, not_null
from imgcls_lab.store.registry import DEFAULT_PROJECT


def _common(recording: Recording, request: SubmitRequest | NotebookRequest | SweepRequest) -> dict[str, Any]:
    """What all that is queued may have. Without a project it goes into the default one."""
    project = recording.project(request.project_id)
    return {
        "name": request.name,
        "project": project if project != DEFAULT_PROJECT else None,
        "notes": request.notes or None,
        "priority": request.priority or None,
        "device": request.device,
    }


def launch(recording: Recording, _: Ids, request: SubmitRequest) -> str:
    several = request.replicates if isinstance(request, ReplicatesRequest) else None
    options = {"replicates": several} | _common(recording, request)
    options |= {
        "tags": request.tags or None,
        "after": recording.runs(request.after) or None,
        "gpus": request.gpus,
        "host": request.host,
    }
    name = recording.new("run" if several is None else "runs")
    return f"{name} = {call('lab.launch', config_source(recording, request.config), **options)}\n{name}"


def launch_notebook(recording: Recording, _: Ids, request: NotebookRequest) -> str:
    options = {"parameters": request.parameters or None} | _common(recording, request)
    options |= {"after": recording.runs(request.after) or None, "host": request.host}
    name, file = recording.new(), str(recording.notebook or request.path)
    return f"{name} = {call('lab.launch_notebook', file, **options)}\n{name}"


def sweep(recording: Recording, _: Ids, request: SweepRequest) -> str:
    base = request.base
    if request.notebook is None:
        given = allowed_config(recording.settings, request.base).items()
        base = {name: value for name, value in given if not _is_default(name, value)}
    budget = {"trials": request.trials, "epochs": request.epochs}
    budget = {name: number for name, number in budget.items() if number is not None}
    options = {
        "strategy": request.strategy if request.strategy != "grid" else None,
        "metric": request.metric,
        "budget": budget or None,
        "notebook": str(recording.notebook) if recording.notebook else None,
        "pruner": request.pruner,
        **request.model_dump(include={"eta", "min_epochs", "replicates"}, exclude_defaults=True),
        "direction": request.direction if request.direction != "auto" else None,
        "parallel": request.parallel,
        "seed": request.seed or None,
    } | _common(recording, request)
    space = {name: _space_item(item) for name, item in request.space.items()}
    name = recording.new("sweep")
    return f"{name} = {call('lab.sweep', base, space, **options)}\n{name}"


def _is_default(name: str, value: Any) -> bool:
    field = TrainConfig.model_fields.get(name)
    if field is None or field.is_required():
        return False
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    return bool(value == default)


def _space_item(item: Choices | Range) -> Any:
    if isinstance(item, Choices):
        return item.values
    return item.model_dump(exclude_defaults=True)


def export(recording: Recording, _: Ids, request: ExportRequest) -> str:
    model: str | None = recording.model(request.model_id)
    checkpoint = BEST
    if request.run_id is not None:
        model = recording.run(request.run_id, ready=True)
        checkpoint = recording.checkpoint(request.run_id, request.checkpoint)
    options = {
        "format": request.form,
        "checkpoint": checkpoint if checkpoint != BEST else None,
        "dataset": None if request.dataset_id is None else recording.store.datasets.get(request.dataset_id).name,
    }
    name = recording.new()
    return f"{name} = {call('lab.launch_export', model, f'{request.folder}/{request.name}', **options)}"


# ── runs ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def stop(recording: Recording, ids: Ids, _: None) -> str:
    return f"{recording.run(ids[0], ready=True)}.stop()"


def kill(recording: Recording, ids: Ids, _: None) -> str:
    return f"{recording.run(ids[0], ready=True)}.kill()"


def resume(recording: Recording, ids: Ids, request: ResumeRequest) -> str:
    run = recording.run(ids[0], ready=True)
    before = recording.store.runs.get(ids[0]).config
    changes = {name: value for name, value in request.config.items() if value != before.get(name)}
    recording.resumed(ids[0])
    return call(f"{run}.resume", **not_null(changes))


def change(recording: Recording, ids: Ids, request: ChangeRequest) -> str:
    return call(
        f"{recording.run(ids[0], ready=True)}.set",
        lr_factor=request.lr_factor,
        **_fields(request.fields, {"lr_factor"}),
    )


def act(recording: Recording, _: Ids, request: ActionRequest) -> str:
    if request.dry_run:
        return ""
    asked = request.model_copy(update={"dry_run": True})
    ids = [view.id for view in recording.store.runs.act_many(asked).changed]
    runs = recording.runs(ids, ready=True)
    if request.action == "resume":
        for run_id in ids:
            recording.resumed(run_id)
    return each(runs, f".{request.action}()") if runs else ""


def fork(recording: Recording, ids: Ids, request: ForkRequest) -> str:
    run = recording.run(ids[0], ready=True)
    schedule = request.on_schedule if request.on_schedule != "continue" else None
    name = recording.new()
    at = recording.checkpoint(ids[0], request.at, by_step=True)
    options = {"on_schedule": schedule, "name": request.name}
    made = call(f"{run}.fork", at, **options, **_fields(request.fields, {"at", *options}))
    return f"{name} = {made}\n{name}"


def verify(recording: Recording, ids: Ids, request: VerifyRequest) -> str:
    run = recording.run(ids[0], ready=True)
    steps = request.steps if request.steps != VerifyRequest.model_fields["steps"].default else None
    at = recording.checkpoint(ids[0], request.at, by_step=True) if request.at else None
    return call(f"{run}.verify", steps=steps, at=at)


def bisect(recording: Recording, ids: Ids, request: BisectRequest) -> str:
    run, other = recording.runs([ids[0], request.against], ready=True)
    return call(f"{run}.bisect", other)


def _fields(fields: dict[str, Any], taken: set[str]) -> dict[str, Any]:
    """Settings as arguments. Raises InputError for one whose name is another argument's."""
    if both := taken & {*fields}:
        raise InputError(f"The setting “{min(both)}” cannot be given to this call, which has an argument of that name.")
    return not_null(fields)


def retrain(recording: Recording, ids: Ids, request: RetrainRequest) -> str:
    run, revision = recording.run(ids[0], ready=True), request.revision
    dataset = recording.store.runs.get(ids[0]).dataset_id
    if revision and dataset is not None and revision == recording.store.revisions.newest(dataset):
        revision = None  # a notebook that corrects again has another newest one
    name = recording.new()
    options = {"revision": revision, "name": request.name}
    made = call(f"{run}.retrain", **options, **_fields(request.fields, {*options}))
    return f"{name} = {made}\n{name}"


def _edit(recording: Recording, edit: RunEdit) -> str:
    """The calls that edit a run, one behind the other."""
    fields = edit.model_dump(exclude_unset=True, exclude={"project_id", "add_tags", "remove_tags"})
    fields["project"] = recording.project(edit.project_id)
    given = {name: value for name, value in fields.items() if value is not None}
    calls = [call(".edit", **given)] if given else []
    calls += [call(".tag", *edit.add_tags)] if edit.add_tags else []
    calls += [call(".untag", *edit.remove_tags)] if edit.remove_tags else []
    return "".join(calls)


def edit_one(recording: Recording, ids: Ids, edit: RunEdit) -> str:
    calls = _edit(recording, edit)
    return f"{recording.run(ids[0], ready=edit.archived is not None)}{calls}" if calls else ""


def edit_many(recording: Recording, _: Ids, request: RunEdits) -> str:
    if request.dry_run:
        return ""
    asked = request.model_copy(update={"dry_run": True})
    changing = {view.id for view in recording.store.runs.edit_many(asked).changed}
    lines = []
    for part in request.edits:
        calls = _edit(recording, part.edit)
        ids = [run_id for run_id in part.runs if run_id in changing]
        if calls and ids:
            lines.append(each(recording.runs(ids, ready=part.edit.archived is not None), calls))
    return "\n".join(lines)


def delete(recording: Recording, ids: Ids, _: None) -> str:
    return f"{recording.run(ids[0], ready=True)}.delete()"


def delete_many(recording: Recording, _: Ids, request: DeleteRequest) -> str:
    if request.dry_run:
        return ""
    ids = recording.store.runs.delete_many(request.runs, dry_run=True).deleted
    return each(recording.runs(ids, ready=True), ".delete()") if ids else ""


def delete_checkpoint(recording: Recording, ids: Ids, _: None) -> str:
    return call(f"{recording.run(ids[0], ready=True)}.delete_checkpoint", ids[1])


def claim(recording: Recording, ids: Ids, _: None) -> str:
    return f"{recording.run(ids[0])}.claim()"


def board(recording: Recording, _: Ids, request: BoardRequest) -> str:
    if request.project_id is not None:
        return call("lab.tensorboard", call("lab.runs", project=recording.project(request.project_id)))
    runs = recording.runs([request.sweep_id] if request.sweep_id else request.run_ids)
    return call("lab.tensorboard", runs if len(runs) > 1 else runs[0]) if runs else ""
