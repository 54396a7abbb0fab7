"""What the panel did, as Python: one request of the panel, and the code that does the same again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.limits import MAX_FIELDS, MAX_IDS, MAX_PATH, MAX_VARIABLE, Id

# a run, all of several, or one of these
Variable = Annotated[
    str, Field(max_length=MAX_VARIABLE, pattern=r"^((run|runs|sweep)_[1-9]\d{0,5}|runs_[1-9]\d{0,5}\[\d{1,2}\])$")
]


class CodeRequest(Wire):
    """A request that the panel is about to send: its verb, its path below `api/`, its body.

    variables: the runs that the notebook has launched so far, with the variable that holds each; taken: variables of
    launches that are under way; ended: the runs whose end it waits for already.
    """

    verb: Literal["POST", "PUT", "PATCH", "DELETE"]
    path: str = Field(min_length=1, max_length=MAX_PATH)
    # what is in it is bounded by the model of its own route, into which it is read, and by what any request may hold
    body: Annotated[dict[str, Any], Field(max_length=MAX_FIELDS)] | None = None
    variables: dict[Id, Variable] = Field({}, max_length=MAX_IDS)
    taken: list[Variable] = Field([], max_length=MAX_IDS)
    ended: list[Id] = Field([], max_length=MAX_IDS)


class PythonCode(Wire):
    """The code of a cell.

    variable: which holds the run, or the list of runs, that the request makes; ended: as in the request, by now.
    """

    code: str  # empty: the request leaves nothing that could be done again
    variable: str
    ended: list[str]
