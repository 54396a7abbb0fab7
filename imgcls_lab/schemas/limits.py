"""How much a request may hold. Each number is written here once: the models refuse more, and docs/rest.md states it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

MAX_WHOLE = 2**53  # of a whole number: above it JSON is read as other numbers
MAX_ID = 64  # characters of an id
MAX_KEY = 200  # of an idempotency key, and of a name in a mapping
MAX_NAME = 200  # of a name that a person gives
MAX_DEVICE, MAX_HOST = 100, 255
MAX_PATH = 4096
MAX_NOTE = 20_000
MAX_TEXT = 20_000  # of a text inside a config, or of a parameter
MAX_FIELDS = 200  # names of a config, or parameters of a notebook
MAX_ITEMS = 20_000  # values inside one of these, those of lists and mappings included
MAX_AFTER = 100  # runs that a run waits for
MAX_RUNS = 200  # runs that are drawn, followed or shown together
MAX_COMPARED = 100  # runs whose differences are looked for
MAX_NODES = 999  # the number of a run's further node
MAX_SPACE = 50  # parameters of a sweep
MAX_CHOICES = 2000  # values of one parameter
MAX_ALL_CHOICES = 10_000  # values of all parameters of a sweep
MAX_TRIALS = 10_000
MAX_EPOCHS = 1_000_000_000  # that all trials of a sweep may train together
MAX_REPLICATES = 100  # runs of one trial, or of one launch, that differ by their seed
MAX_ARGUMENTS = 1000  # behind an address
MAX_SERIES = 200  # that are asked for by name
MAX_TAGS, MAX_TAG = 20, 40  # of a run, and characters of one
MAX_COLUMNS = 40  # that a list of runs is asked for
MAX_CURVE = 30  # points of the small curve of a run in a list
SHOWN_TAGS = 500  # of all that runs have, the most used
MAX_QUERY = 1000  # characters of a query
MAX_VIEWS = 100  # that a user saves
MAX_VERSIONS = 200  # of a saved config
MAX_IDS = 10_000  # of the runs of a list
MAX_CHANGED = 1000  # runs that one request changes
MAX_VARIABLE = 15  # characters of the variable that holds a run of a recorded notebook, such as runs_1[0]
MAX_JSON_VALUES = 50_000  # of a whole request
MAX_ALERTS = 1000  # that one request puts away
NEWEST_ALERTS = 50  # that a page gets at first, and after a broken connection
MAX_ALERT = 300  # characters of the id of an alert, which holds a host's name
SHOWN_DEVICES = 500  # that the devices page lists; the others are counted
LOAD_POINTS = 240  # of the load of a device: an hour
SHOWN_HOSTS = 50  # whose load is shown
SHOWN_NODES = 50  # of a cluster, the same
SHOWN_NODE_RUNS = 8  # of a node, the same
MAX_UPLOAD = 200_000_000_000  # bytes of a project's file that a page sends
MAX_ARCHIVE = 200  # characters of its name
MAX_TRIED = 20_000_000  # bytes of an image that is dropped on a model


def _bounded(values: dict[str, Any]) -> dict[str, Any]:
    """Refuses a mapping with more values, or longer texts, than any config or notebook has."""
    left = MAX_ITEMS
    waiting: list[Any] = [values]
    while waiting:
        item = waiting.pop()
        left -= 1
        if isinstance(item, dict):
            waiting += item.values()
            if any(len(str(name)) > MAX_KEY for name in item):
                raise PydanticCustomError(
                    "long_name", "Must have names of at most {most} characters.", {"most": MAX_KEY}
                )
        elif isinstance(item, list | tuple):
            waiting += item
        elif isinstance(item, str) and len(item) > MAX_TEXT:
            raise PydanticCustomError("long_text", "Must have texts of at most {most} characters.", {"most": MAX_TEXT})
        if len(waiting) > left:
            raise PydanticCustomError("too_many_values", "Must hold at most {most} values.", {"most": MAX_ITEMS})
    return values


# the id of a row, the number of a revision, a place in a file; a row that nobody has is a 404
Whole = Annotated[int, Field(ge=0, le=MAX_WHOLE)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID)]
AlertId = Annotated[str, Field(min_length=1, max_length=MAX_ALERT)]
Key = Annotated[str, Field(min_length=8, max_length=MAX_KEY)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
Note = Annotated[str, Field(max_length=MAX_NOTE)]
PathText = Annotated[str, Field(min_length=1, max_length=MAX_PATH)]
Device = Annotated[str, Field(min_length=1, max_length=MAX_DEVICE)]
Host = Annotated[str, Field(min_length=1, max_length=MAX_HOST)]
Tag = Annotated[str, Field(min_length=1, max_length=MAX_TAG, pattern=r"^\w[\w.+/-]*$")]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS)]
# of a config or of a notebook's parameters: any JSON, so much of it
Values = Annotated[dict[str, Any], Field(max_length=MAX_FIELDS), AfterValidator(_bounded)]
