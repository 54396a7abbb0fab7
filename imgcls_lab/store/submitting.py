"""How runs come into the queue: one, or several that are queued together or not at all, such as replicates.

Called by `store.runs`, and by other modules whose runs are made in their own transactions (`add_run`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from imgcls_lab import forks, output_folders
from imgcls_lab.config import TrainConfig
from imgcls_lab.config.optimisation import SEEDS
from imgcls_lab.errors import ConflictError, InputError, Problem
from imgcls_lab.events import RunKind
from imgcls_lab.run_layout import is_run_id, new_run_id
from imgcls_lab.schemas import ReplicatesRequest, SubmitRequest
from imgcls_lab.schemas.limits import MAX_KEY, MAX_NAME
from imgcls_lab.settings import Settings
from imgcls_lab.store import audit, submitted
from imgcls_lab.store.database import Database, touch
from imgcls_lab.store.run_rows import TRIAL_KEY, default_name, find_run, new_run
from imgcls_lab.store.tables import Dependency, Run


class Asked(NamedTuple):
    """A run that was asked for. made: by this request; else the same one had made it before."""

    id: str
    made: bool


def submit(
    database: Database, settings: Settings, requests: Sequence[SubmitRequest], *, run_id: str | None = None
) -> list[Asked]:
    """Queue runs in one transaction. A request whose key has a run gives that.

    run_id: of the only one. Raises as `Runs.submit`, and then queues none.
    """
    configs = [_checked(request, settings) for request in requests]
    if run_id is not None and not is_run_id(run_id):
        raise InputError(f"“{run_id}” is not a run id.")
    for request in requests:
        _check_key(database, request.idempotency_key)
    digests = [digest_of(request) for request in requests]
    known = _known(database, requests, digests)
    for request in requests:
        if request.idempotency_key not in known and request.kind is RunKind.TRAIN and forks.PAYLOAD in request.payload:
            raise InputError("A fork is made of its parent's checkpoint: see `fork`.")
    while True:
        if all(request.idempotency_key in known for request in requests):
            return [Asked(known[request.idempotency_key or ""], made=False) for request in requests]
        asked: list[Asked] = []
        try:
            with database.write() as session:
                for request, config, digest in zip(requests, configs, digests, strict=True):
                    if (before := known.get(request.idempotency_key or "")) is not None:
                        asked.append(Asked(before, made=False))
                        continue
                    run = new_run(session, run_id or new_run_id(), config, request, digest)
                    asked.append(Asked(add_run(session, run, request), made=True))
            return asked
        except IntegrityError as error:
            found = _known(database, requests, digests)  # another was first with one of these keys
            if len(found) == len(known):
                raise ConflictError("A run with this id exists already, or what it refers to was deleted.") from error
            known = found


def _checked(request: SubmitRequest, settings: Settings) -> TrainConfig | None:
    """The config of a request, if it has one. Raises ConfigError."""
    config = TrainConfig.parse(request.config) if request.kind is RunKind.TRAIN or request.config else None
    output_folders.check(request.config, settings)
    return config


def _check_key(database: Database, key: str | None) -> None:
    """Raises InputError for the key of a sweep's trial: whoever had it first would be that trial."""
    if key is not None and key.startswith(TRIAL_KEY) and database.actor.way != "sweep":
        raise InputError(f"An idempotency key that begins with “{TRIAL_KEY}” is a sweep's; use another key.")


def _known(database: Database, requests: Sequence[SubmitRequest], digests: Sequence[str]) -> dict[str, str]:
    """The runs that were submitted under the keys of requests, by key. Raises ConflictError where one was another."""
    asked = {request.idempotency_key: digest for request, digest in zip(requests, digests, strict=True)}
    keys = [key for key in asked if key is not None]
    if not keys:
        return {}
    found: dict[str, str] = {}
    with database.read() as session:
        columns = select(Run.idempotency_key, Run.id, Run.body_digest, Run.owner)
        for key, run_id, digest, owner in session.exec(columns.where(col(Run.idempotency_key).in_(keys))):
            if owner != database.actor.user and not database.is_sqlite:
                raise ConflictError(f"This idempotency key was used by {owner or 'another user'}; use a new key.")
            if digest != asked[key]:
                raise ConflictError("This idempotency key was used for another run; use a new key.")
            found[key or ""] = run_id
    return found


def of_seeds(request: ReplicatesRequest) -> list[SubmitRequest]:
    """The requests of a training's replicates. Raises ConfigError; InputError where there are not so many seeds.

    Each has its seed in its name and in its key, and nothing of the others: more replicates begin with the same runs.
    """
    config, count = TrainConfig.parse(request.config), request.replicates
    if config.seed + count > SEEDS:
        text = f"{count} of them from seed {config.seed} on would pass the largest seed; take a smaller seed."
        raise InputError(f"replicates: {text}", [Problem("replicates", text)])
    name, key = request.name or default_name(request.kind, config), request.idempotency_key
    shared = {field: getattr(request, field) for field in SubmitRequest.model_fields}
    found = []
    for seed in range(config.seed, config.seed + count):
        end = f" seed={seed}"
        own = {
            "config": config.with_changes(seed=seed).model_dump(mode="json"),
            "name": name[: MAX_NAME - len(end)] + end,
            "idempotency_key": None if key is None else _key_of_seed(key, seed),
        }
        found.append(SubmitRequest(**{**shared, **own}))
    return found


def _key_of_seed(key: str, seed: int) -> str:
    """A key of its own for each seed; a long one is named by its hash, so that two do not become one."""
    whole = f"{key}:seed={seed}"
    return whole if len(whole) <= MAX_KEY else hashlib.sha256(whole.encode()).hexdigest()


def add_run(session: Session, run: Run, request: SubmitRequest) -> str:
    """Add the row of a new run that this home's user submits. Returns its id."""
    session.add(run)
    session.flush()
    for after in dict.fromkeys(find_run(session, text).id for text in request.after):
        session.add(Dependency(run_id=run.id, after_id=after))
    if not request.name:
        run.name = f"{run.name} #{run.number}"
    audit.record(session, "launched", run)
    touch(session, run.id)
    submitted.note(session, run.id)
    return run.id


def digest_of(request: SubmitRequest) -> str:
    """What tells two requests of one key apart. Without defaults: a field of a later version must not change it."""
    body = request.model_dump(mode="json", exclude={"idempotency_key"}, exclude_defaults=True)
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
