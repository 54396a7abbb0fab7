"""Runs: queue one, find one, list many.

Called as `lab.launch`, `lab.run` and `lab.runs`, and by the command line. It trains nothing itself: the executor does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

from imgcls_lab import image_size, run_layout, run_query
from imgcls_lab.api import context
from imgcls_lab.api.inference import Model
from imgcls_lab.api.replicates import Replicates
from imgcls_lab.api.resolving import config_of, print_notes, resolve_and_inspect
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.api.run_handle import Run
from imgcls_lab.api.run_list import Runs, ids_of
from imgcls_lab.api.validation import project_id, request
from imgcls_lab.config import LaunchFields, TrainConfig, takes_fields, takes_keywords
from imgcls_lab.errors import InputError, NotFoundError, unknown
from imgcls_lab.events import RunState
from imgcls_lab.executor import client
from imgcls_lab.run_layout import is_run_id
from imgcls_lab.schemas import ListView, ReplicatesRequest, SubmitRequest

if TYPE_CHECKING:
    from imgcls_lab.store import Store


@overload
def launch(
    config: TrainConfig | Mapping[str, Any] | None = None,
    *,
    replicates: None = None,
    name: str | None = None,
    project: str | None = None,
    notes: str = "",
    tags: Iterable[str] = (),
    priority: int = 0,
    after: Iterable[Run | str] = (),
    device: str | None = None,
    gpus: int | None = None,
    host: str | None = None,
    idempotency_key: str | None = None,
    **fields: Unpack[LaunchFields],
) -> Run: ...
@overload
def launch(
    config: TrainConfig | Mapping[str, Any] | None = None,
    *,
    replicates: int,
    name: str | None = None,
    project: str | None = None,
    notes: str = "",
    tags: Iterable[str] = (),
    priority: int = 0,
    after: Iterable[Run | str] = (),
    device: str | None = None,
    gpus: int | None = None,
    host: str | None = None,
    idempotency_key: str | None = None,
    **fields: Unpack[LaunchFields],
) -> Replicates: ...
@takes_fields()
def launch(
    config: TrainConfig | Mapping[str, Any] | None = None,
    *,
    replicates: int | None = None,
    name: str | None = None,
    project: str | None = None,
    notes: str = "",
    tags: Iterable[str] = (),
    priority: int = 0,
    after: Iterable[Run | str] = (),
    device: str | None = None,
    gpus: int | None = None,
    host: str | None = None,
    idempotency_key: str | None = None,
    **fields: Unpack[LaunchFields],
) -> Run | Replicates:
    """Queue a run; it trains in the background, whatever becomes of this process.

    `config`, or its `fields` as keywords, or both: a config of which some fields change. `help(lab.TrainConfig)` says
    what each field means.
    A `project` that does not exist is made. A run with a higher `priority` starts before others. The run waits until
    all runs of `after` have succeeded, and is cancelled if one of them fails. `device`: auto, cuda, cpu or part of a
    GPU's name, such as H100; `gpus`: how many of one host; `host`: the host that it must run on. The same
    `idempotency_key` (8 to 200 characters) gives the same run, and with another request ConflictError.
    With `replicates` it queues so many runs, which differ by their seed alone: `seed`, `seed` + 1 ... They come as a
    list that knows mean and standard deviation. Raises ConfigError and DataError before anything is queued.

    >>> first = lab.launch(root="digits", model_flavour="tiny-resnet", load_pretrained=False, epochs=2, tags=["slow"])
    >>> second = lab.launch(first.config, lr=1e-3, after=[first.kill()])
    >>> second.config.lr
    0.001
    """
    settings, store = context.settings(), context.store()
    resolved, found = resolve_and_inspect(config_of(config, fields), settings, store)
    print_notes(*found.notes, image_size.advice(resolved, found))
    asked: dict[str, Any] = {
        "config": resolved.model_dump(mode="json"),
        "after": ids_of(after),
        "tags": [*tags],
        "device": device,
        "gpus": gpus,
        "host": host,
    }
    asked |= common_fields(
        store, name=name, project=project, notes=notes, priority=priority, idempotency_key=idempotency_key
    )
    if replicates is None:
        view = store.runs.submit(request(SubmitRequest, **asked))
        client.ensure(settings)
        return Run(view.id, store=store)
    queued = store.runs.submit_replicates(request(ReplicatesRequest, replicates=replicates, **asked))
    client.ensure(settings)
    return Replicates(store, queued, resolved)


def common_fields(store: Store, *, project: str | None, **fields: Any) -> dict[str, Any]:
    """The fields that requests for trainings, notebooks and sweeps share; a `project` that does not exist is made."""
    return fields | {"project_id": project_id(store, project, make=True) if project else None}


def run(run_id: str) -> Run:
    """The run of an id, or of a beginning of one. Raises NotFoundError, InputError if several begin so.

    >>> lab.run(run.id).name
    'first digits'
    """
    store = context.store()
    folder = context.settings().run_dir(run_id) if is_run_id(run_id) else None
    if folder is not None and not RunFolder(folder).info:
        folder = None
    try:
        return Run(store.runs.get(run_id).id, store=store)
    except NotFoundError:
        if folder is None:
            raise
        return Run(run_id, store=store, folder=folder)  # trained in a kernel, not indexed yet


def find_model(name: str | os.PathLike[str]) -> Model:
    """The model that a run's id (or the beginning of one), a run's folder or a model's folder names.

    Raises NotFoundError with what was looked for.
    """
    path = Path(name).expanduser()
    if (path / run_layout.CHECKPOINTS).is_dir():
        path = path.resolve()  # a run's folder is no link, but its user may name it by one
        return Run(path.name, folder=path).best_model()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise NotFoundError(f"“{path}” is neither a run nor a model: it has no checkpoints/ and no config.json.")
        return Model(path)
    try:
        return run(os.fspath(name)).best_model()
    except NotFoundError as error:
        raise NotFoundError(f"There is no run and no model folder “{name}”. {error}") from None


@takes_keywords([*run_query.COLUMNS, *sorted(run_query.CONFIG)], "str | float | bool | Sequence[str] | None")
def runs(
    project: str | None = None,
    state: str | Iterable[str] | None = None,
    limit: int = 50,
    *,
    where: str = "",
    text: str | None = None,
    owner: str | None = None,
    sort: str | None = None,
    descending: bool | None = None,
    columns: Sequence[str] = (),
    view: str | None = None,
    **filters: object,
) -> Runs:
    """The runs of the store, newest first: of everybody, or of one `owner`.

    `where` is a query, whose terms must all hold: `lab.runs(where="lr>1e-3 state=succeeded best>=90% created>7d")`.
    A term compares a column, a field of the config or a metric's tag, and may be a keyword instead: `lr=">1e-3"`,
    `optimizer=["adamw", "sgd"]`, `image_size=None`. A word is looked for in name, id, model, root
    and notes, as `text` is as a whole. Raises InputError for a query that cannot be read, with what could be meant.
    Archived runs are left out unless the query says `archived=true` or `archived=any`. `sort` and `columns` are columns
    as a query names them, also fields of the config and metrics; `columns` are in `frame()`. `view`: the name of a
    saved view, whose query holds, too, and whose columns and order hold where none are given.

    >>> [run.name for run in lab.runs(where='lr>=1e-4 state=succeeded name="first digits"')]
    ['first digits']
    >>> lab.runs(state="succeeded", name="first digits", epochs="<10").frame()["epochs"].tolist()
    [2]
    """
    store = context.store()
    saved = store.views.find(view).view if view else ListView()
    terms = (run_query.term_of(name, value) for name, value in filters.items())
    where = " ".join(filter(None, (saved.where, where, *terms)))
    columns = [*columns] or [name for name in saved.columns if name != run_query.CURVE]
    states = states_of(state)
    asked: dict[str, Any] = {
        "where": f"{where} {run_query.quoted(text)}" if text else where,
        "owner": owner,
        "sort": sort or saved.sort,
        "limit": limit,
        "columns": columns,
    }
    project_number = project_id(store, project) if project else None
    falling = saved.descending if descending is None else descending
    page = store.runs.list(project_id=project_number, states=states, descending=falling, **asked)
    query = {
        "project": project_number,
        "states": [state.value for state in states or ()],
        "order": "desc" if falling else "asc",
        **asked,
    }
    return Runs(store, page, columns, query={name: value for name, value in query.items() if value})


def view_only_runs() -> list[Run]:
    """The runs whose folders came from elsewhere, newest first."""
    store = context.store()
    return [Run(run_id, store=store) for run_id in store.runs.view_only()]


def states_of(state: str | Iterable[str] | None) -> list[RunState] | None:
    """State names as states; None: all. Raises InputError for an unknown one."""
    if state is None:
        return None
    names = [state] if isinstance(state, str) else list(state)
    known = {item.value for item in RunState}
    wrong = [name for name in names if name not in known]
    if wrong:
        raise InputError(unknown("state", wrong[0], sorted(known)))
    return [RunState(name) for name in names] or None
