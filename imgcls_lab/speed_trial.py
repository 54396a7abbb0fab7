"""What a speed trial is asked to do: the part of its run's payload that its process reads.

Written by the store, read by the engine. A trial is a run of the kind `task` that trains some seconds on images made of
noise and keeps nothing but its speed and memory, so that a form can say how long a run would take.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import InputError

TRIAL = "speed_trial"  # under this key of a run's payload: the config
SECONDS = 20.0


def to_payload(config: TrainConfig) -> dict[str, Any]:
    """Raises InputError for a config with plugins: a trial executes no code of the user's."""
    if config.plugins:
        raise InputError("A trial executes no plugins. Launch the run, or name no plugins.", reason="plugins")
    return {TRIAL: config.model_dump(mode="json")}


def config_of(payload: Mapping[str, Any]) -> TrainConfig | None:
    """The config of a trial; None for another task. Raises ConfigError."""
    found = payload.get(TRIAL)
    return TrainConfig.parse_saved(found) if isinstance(found, Mapping) else None
