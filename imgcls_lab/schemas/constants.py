"""Values that Python and TypeScript share. `python -m imgcls_lab.schemas` prints them beside the JSON Schema."""

from __future__ import annotations

from typing import get_args

from imgcls_lab.config.evaluation import FRACTION_METRICS, METRIC_TITLES
from imgcls_lab.events import ACTIVE, ENDED, LIVE, RunState
from imgcls_lab.run_changes import FIELDS, text_of, title_of
from imgcls_lab.run_query import COLUMNS, CURVE, GROUPS
from imgcls_lab.schemas.images import ThumbnailSize
from imgcls_lab.schemas.limits import MAX_CHANGED, MAX_REPLICATES, MAX_TAG, MAX_TAGS, NEWEST_ALERTS
from imgcls_lab.schemas.revisions import MAX_CHANGES

CELL_SMOOTHING = 0.6  # of a training curve in a cell, live and in the picture that the notebook keeps
SMOOTHED_FROM = 20  # a curve with more points than that is smoothed


def _ordered(states: frozenset[RunState]) -> list[RunState]:
    """A set of states in the order in which a run goes through them."""
    return [state for state in RunState if state in states]


CONSTANTS = {
    "RUN_STATES": list(RunState),
    "ACTIVE_STATES": _ordered(ACTIVE),
    "LIVE_STATES": _ordered(LIVE),
    "ENDED_STATES": _ordered(ENDED),
    "METRIC_TITLES": METRIC_TITLES,
    "FRACTION_METRICS": FRACTION_METRICS,
    "THUMBNAIL_SIZES": get_args(ThumbnailSize),
    "MAX_CHANGES": MAX_CHANGES,
    "MAX_CHANGED": MAX_CHANGED,
    "CELL_SMOOTHING": CELL_SMOOTHING,
    "SMOOTHED_FROM": SMOOTHED_FROM,
    "CHANGEABLE_FIELDS": {name: {"title": title_of(name), "empty": text_of(name, None)} for name in FIELDS},
    "MAX_TAG": MAX_TAG,
    "MAX_TAGS": MAX_TAGS,
    "MAX_REPLICATES": MAX_REPLICATES,
    "NEWEST_ALERTS": NEWEST_ALERTS,
    "CURVE": CURVE,
    "QUERY_COLUMNS": COLUMNS,  # what each holds
    "STATE_GROUPS": list(GROUPS),
}
