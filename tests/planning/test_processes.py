"""With how many processes an attempt may start, and on how many nodes."""

from __future__ import annotations

from typing import Any

import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError
from imgcls_lab.planning.processes import allowed_processes, check_started, nodes_for


def make(**changes: Any) -> TrainConfig:
    return TrainConfig.parse({"root": "/data", "batch_size": 64, **changes})


@pytest.mark.parametrize(
    ("changes", "allowed", "nodes"),
    [
        ({}, [1], [1]),
        ({"num_processes": 4}, [4], [1]),
        ({"num_processes": 4, "min_processes": 2}, [4, 3, 2], [1, 1, 1]),
        ({"num_processes": 8, "num_nodes": 4, "min_processes": 3}, [8, 6, 4], [4, 3, 2]),
        ({"num_processes": 2, "num_nodes": 2}, [2], [2]),
    ],
)
def test_several_nodes_start_whole_nodes(changes: dict[str, Any], allowed: list[int], nodes: list[int]) -> None:
    config = make(**changes)
    assert allowed_processes(config) == allowed
    assert [nodes_for(number, config.num_processes, config.num_nodes) for number in allowed] == nodes
    for number in allowed:
        check_started(config, number, config.num_processes)


def test_another_number_is_refused_with_the_setting_that_allows_it() -> None:
    with pytest.raises(ConfigError, match="min_processes to 2") as refused:
        check_started(make(num_processes=4), 2, 4)
    assert [problem.field for problem in refused.value.problems] == ["min_processes"]
    with pytest.raises(ConfigError) as refused:
        check_started(make(num_processes=4, num_nodes=2), 3, 4)
    assert "min_processes to" not in str(refused.value), "three processes are no whole number of nodes"


@pytest.mark.parametrize("changes", [{"num_processes": 2, "min_processes": 3}, {"num_processes": 3, "num_nodes": 2}])
def test_a_config_that_no_attempt_can_follow_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make(**changes)
