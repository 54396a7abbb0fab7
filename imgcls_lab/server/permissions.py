"""What Jupyter's authorizer is asked for each route: one table of (action, resource) pairs by path and verb.

`route` makes the routes of all modules, and refuses one that the table does not name or whose verbs it does not list.
`Guarded` and `permitted` ask. A route asks for all that it does: one that starts a kernel asks for kernels, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar, cast

from jupyter_core.utils import ensure_async
from jupyter_server.base.handlers import JupyterHandler
from tornado import web

PREFIX = "imgcls"
Route = tuple[str, type[web.RequestHandler], dict[str, Any]]
Verb = TypeVar("Verb", bound=Callable[..., Awaitable[None]])
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")  # OPTIONS answers nothing of ours


class Permission(NamedTuple):
    """What the authorizer is asked: whether the user may do `action` (read, write, execute) with `resource`."""

    action: str
    resource: str


class Needs(NamedTuple):
    """Permissions of a verb. depending: those that only some requests need; the handler asks for them."""

    always: tuple[Permission, ...]
    depending: tuple[Permission, ...] = ()


READ, WRITE = Permission("read", "imgcls"), Permission("write", "imgcls")
CONTENTS = Permission("read", "contents")
SESSIONS = Permission("read", "sessions")  # which notebook has which kernel
CODE = (Permission("write", "kernels"), Permission("execute", "kernels"))  # a kernel is started and executes code
_READS, _WRITES, _LAUNCHES = Needs((READ,)), Needs((WRITE,)), Needs((WRITE,), CODE)
_COLLECTION = {"GET": _READS, "POST": _WRITES}
_ENTRY = {"GET": _READS, "PATCH": _WRITES, "DELETE": _WRITES}

# Below `<base_url>imgcls/`. ID stands for one part of a path, PATH for the rest of it.
TABLE: dict[str, dict[str, Needs]] = {
    "api/info": {"GET": _READS},
    "api/demo": {"POST": _WRITES},
    "api/code": {"POST": Needs((READ,), (CONTENTS,))},  # of a request, in Python; nothing is changed
    "api/runs": {"GET": _READS, "POST": _LAUNCHES, "PATCH": _WRITES},  # a config may name plugins, which are code
    "api/runs/replicates": {"POST": _LAUNCHES},  # the same
    "api/runs/actions": {"POST": _LAUNCHES},  # as the resume of one
    "api/runs/delete": {"POST": _WRITES},
    "api/runs/columns": {"GET": _READS},
    "api/runs/groups": {"GET": _READS},
    "api/runs/ids": {"GET": _READS},
    "api/runs/ID": _ENTRY,
    "api/runs/ID/stop": {"POST": _WRITES},
    "api/runs/ID/kill": {"POST": _WRITES},
    "api/runs/ID/resume": {"POST": _LAUNCHES},  # the run may be a notebook, or its config may name plugins
    "api/runs/ID/retrain": {"POST": _LAUNCHES},  # the run's config, or the request's, may name plugins
    "api/runs/ID/fork": {"POST": _LAUNCHES},  # the same
    "api/runs/ID/fork/preview": {"POST": _READS},  # of a request for a fork, which comes with it; nothing is changed
    "api/runs/ID/lineage": {"GET": _READS},
    "api/runs/ID/verification": {"GET": _READS, "POST": _LAUNCHES},  # the run's config may name plugins
    "api/runs/ID/bisection": {"GET": _READS, "POST": _LAUNCHES},  # the config of either run may name plugins
    "api/runs/ID/changes": {"POST": _WRITES},  # of numbers alone: no field that names code or a path can be changed
    "api/runs/ID/claim": {"GET": _READS, "POST": _LAUNCHES},  # from then on what it holds can be executed
    "api/runs/ID/log": {"GET": _READS},
    "api/runs/ID/log/search": {"GET": _READS},
    "api/runs/ID/starts": {"GET": _READS},
    "api/runs/ID/manifest": {"GET": _READS},
    "api/runs/ID/code": {"GET": _READS},
    "api/runs/ID/checkpoints/ID": {"DELETE": _WRITES},
    "api/runs/ID/files": {"GET": _READS},
    "api/runs/ID/files/ID": {"GET": _READS},
    "api/runs/ID/report": {"GET": _READS},
    "api/runs/ID/cell": {"GET": _READS},
    "api/runs/ID/evaluation": {"GET": _READS},
    "api/runs/ID/images": {"GET": _READS},
    "api/runs/ID/images/ID": {"GET": _READS},
    "api/runs/ID/images/ID/cam": {"GET": _READS},
    "api/runs/ID/images/ID/input": {"GET": _READS},
    "api/runs/ID/predict": {"POST": _WRITES},  # the image comes with the request; nothing is kept of it on disk
    "api/tried/ID/cam": {"GET": _READS},
    "api/runs/ID/curves": {"GET": _READS},
    "api/runs/ID/flips": {"GET": _READS},
    "api/runs/ID/image-changes": {"GET": _READS},
    "api/runs/ID/corrections": {"GET": _READS},
    "api/inference": {"GET": _READS},
    "api/runs/ID/notebook": {"GET": Needs((READ, CONTENTS))},
    "api/series": {"GET": _READS},
    "api/comparison": {"GET": _READS},
    "api/notebooks": {"GET": Needs((READ, CONTENTS)), "POST": Needs((WRITE, CONTENTS, *CODE))},
    "api/sweeps": {"POST": Needs((WRITE,), (CONTENTS, *CODE))},  # its trials may be executions of a notebook
    "api/sweeps/check": {"POST": _WRITES},  # a mapping of values is looked at; nothing is queued
    "api/sweeps/ID": {"GET": _READS},
    **dict.fromkeys(("api/projects", "api/configs", "api/datasets", "api/models"), _COLLECTION),
    **dict.fromkeys(("api/projects/ID", "api/configs/ID", "api/datasets/ID", "api/models/ID"), _ENTRY),
    "api/models/cached": {"GET": _READS},
    "api/models/checkpoints": {"POST": _WRITES},
    "api/exports": {"POST": _WRITES},  # a new folder below the allowed roots
    "api/datasets/ID/rescan": {"POST": _WRITES},
    "api/datasets/ID/images/ID/thumbnail": {"GET": _READS},
    "api/runs/ID/images/ID/thumbnail": {"GET": _READS},
    "api/datasets/ID/revisions": _COLLECTION,
    "api/datasets/ID/revisions/ID": {"GET": _READS},
    "api/datasets/ID/revisions/ID/undo": {"POST": _WRITES},
    "api/datasets/ID/audit": {"GET": _READS, "POST": _WRITES, "DELETE": _WRITES},
    "api/datasets/ID/problems": {"GET": _READS},
    "api/datasets/ID/versions": {"POST": _READS},  # of a config, which comes with the request; nothing is changed
    "api/datasets/ID/detail": {"GET": _READS},
    "api/datasets/ID/images": {"GET": _READS},
    "api/datasets/ID/map": {"GET": _READS},
    "api/projects/ID/detail": {"GET": _READS},
    "api/projects/ID/delete": {"POST": _WRITES},
    "api/projects/ID/export": {"POST": _WRITES},  # a new file in the home
    "api/archives": _COLLECTION,
    "api/archives/import": {"POST": _WRITES},
    "api/archives/ID": {"GET": _READS, "DELETE": _WRITES},
    "api/jobs": {"GET": _READS},
    "api/jobs/ID": {"GET": _READS, "DELETE": _WRITES},
    "api/projects/ID/members": {"POST": _WRITES},
    "api/projects/ID/members/ID": {"DELETE": _WRITES},
    "api/configs/ID/versions": {"GET": _READS},
    "api/configs/ID/versions/ID/restore": {"POST": _WRITES},
    "api/configs/schema": {"GET": _READS},
    "api/configs/check": {"POST": _WRITES},
    "api/configs/trial": {"POST": _WRITES},  # a config that names plugins is refused
    "api/users": {"GET": _READS},
    "api/views": _COLLECTION,
    "api/views/counts": {"GET": _READS},
    "api/views/ID": {"PATCH": _WRITES, "DELETE": _WRITES},
    "api/folders": {"GET": _READS},
    "api/folders/at": {"GET": Needs((READ, CONTENTS))},  # by its path in the file browser
    "api/devices": {"GET": Needs((READ,), (SESSIONS,))},
    "api/devices/load": {"GET": _READS},
    "api/alerts": {"GET": _READS},
    "api/alerts/dismiss": {"POST": _WRITES},
    "api/alerts/restore": {"POST": _WRITES},
    "api/events": {"GET": _READS},
    "api/executor/start": {"POST": Needs((WRITE,), (SESSIONS,))},
    "api/executor/stop": {"POST": Needs((WRITE,), (SESSIONS,))},
    "api/storage": {"GET": _READS},
    "api/storage/free": {"POST": _WRITES},
    "api/stream": {"GET": Needs((READ,), (SESSIONS,))},
    "api/tensorboards": _COLLECTION,
    "api/tensorboards/ID": {"DELETE": _WRITES},
    "api/tensorboards/ID/stop": {"POST": _WRITES},
    "api/tensorboards/ID/restart": {"POST": _WRITES},
    "api/tensorboards/ID/runs": {"POST": _WRITES, "PUT": _WRITES},
    "tensorboard/ID/PATH": {"GET": _READS, "HEAD": _READS, "POST": _READS},  # TensorBoard reads with POST
}


class Guarded(JupyterHandler):
    """Base of all handlers: knows what each verb needs, and asks the authorizer."""

    def __init__(self, *args: Any, needs: dict[str, Needs], **kwargs: Any) -> None:
        self.needs = needs
        super().__init__(*args, **kwargs)

    @property
    def answered(self) -> bool:
        """Whether the request was refused before its verb is called."""
        return False

    async def require(self, *permissions: Permission) -> None:
        """Raises 403 for the first of these that the user does not have."""
        for permission in permissions:
            if not await self.may(permission):
                raise web.HTTPError(403, f"You may not {permission.action} {permission.resource} on this server.")

    async def may(self, permission: Permission) -> bool:
        """Whether the user has this permission, which the table must name for this verb."""
        needs = self.needs[self.request.method or ""]
        if permission not in (*needs.always, *needs.depending):
            raise RuntimeError(f"{permission} stands in no row of the table for {self.request.path}.")
        user = self.current_user
        if not user:
            raise web.HTTPError(403)
        return bool(await ensure_async(self.authorizer.is_authorized(self, user, *permission)))


def permitted(verb: Verb) -> Verb:
    """Decorates a verb of a Guarded handler: it is called for users who have what the table says it needs."""

    @wraps(verb)
    async def checked(self: Guarded, *args: Any, **kwargs: Any) -> None:
        if self.answered:
            return
        await self.require(*self.needs[self.request.method or ""].always)
        await verb(self, *args, **kwargs)

    setattr(checked, "__allow_unauthenticated", False)  # as Jupyter's own decorators tell its check of all routes
    setattr(checked, _MARK, True)
    return cast(Verb, checked)


def route(path: str, handler: type[Guarded], **arguments: Any) -> Route:
    """A route below `<base_url>imgcls/`. Raises TypeError unless table and handler have the same, decorated verbs."""
    needs = TABLE.get(path, {})
    own = {
        verb
        for verb in VERBS
        if verb in handler.SUPPORTED_METHODS
        and getattr(handler, verb.lower()) is not getattr(web.RequestHandler, verb.lower())
    }
    open_verbs = {verb for verb in own if not hasattr(getattr(handler, verb.lower()), _MARK)}
    if not needs or own != set(needs) or open_verbs:
        raise TypeError(
            f"{path}: the table of permissions names {sorted(needs)}, {handler.__name__} has {sorted(own)}, "
            f"of which {sorted(open_verbs)} are not decorated by `permitted`."
        )
    pattern = "/".join({"ID": "([^/]+)", "PATH": "(.*)"}.get(part, part) for part in path.split("/"))
    return f"{PREFIX}/{pattern}", handler, {**arguments, "needs": needs}


_MARK = "__imgcls_permitted"
