"""The constants that Python and TypeScript share."""

from __future__ import annotations

from typing import get_args

from imgcls_lab.config.evaluation import FRACTION_METRICS, METRIC_TITLES, MonitorMetric
from imgcls_lab.events import RunState
from imgcls_lab.schemas.constants import CONSTANTS


def test_each_metric_has_a_title_and_all_but_the_loss_are_fractions() -> None:
    assert list(METRIC_TITLES) == list(get_args(MonitorMetric))
    assert set(METRIC_TITLES) - set(FRACTION_METRICS) == {"loss"}


def test_a_run_is_active_until_it_has_ended_and_live_while_it_holds_a_process() -> None:
    sets = {name: {RunState(state) for state in CONSTANTS[name]} for name in CONSTANTS if name.endswith("_STATES")}
    assert sets["ACTIVE_STATES"].isdisjoint(sets["ENDED_STATES"])
    assert sets["ACTIVE_STATES"] | sets["ENDED_STATES"] == sets["RUN_STATES"]
    assert sets["ACTIVE_STATES"] - sets["LIVE_STATES"] == {RunState.QUEUED, RunState.LOST}
