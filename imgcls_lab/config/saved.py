"""Configs that an earlier version saved: the former names of fields, and what they are called now.

Called by all that read a saved config: a run's folder, a record of the store, a sweep's trials. Never used for what a
user gives: there a former name is refused, and the refusal names the field of today.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# former name -> name. No field of today has a former name, so that a config tells by its names how old it is.
FORMER_FIELDS = {
    "accumulate": "gradient_accumulation_steps",
    "board_evaluation": "tensorboard_evaluation",
    "board_graph": "tensorboard_graph",
    "board_histograms": "tensorboard_histograms",
    "decay_share": "decay_fraction",
    "early_stopping": "early_stopping_patience",
    "erase": "random_erasing",
    "processes": "num_processes",
    "workers": "num_workers",
}


def upgraded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by field, under the names of today, in the same order."""
    return {FORMER_FIELDS.get(name, name): value for name, value in values.items()}


def upgraded_sweep(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a sweep was asked to do. The parameters of a notebook are the notebook's own, and stay."""
    if request.get("notebook"):
        return dict(request)
    parts = {part: upgraded(request[part]) for part in ("base", "space") if isinstance(request.get(part), Mapping)}
    return {**request, **parts}
