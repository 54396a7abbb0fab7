"""With how many processes an attempt at a run may start, and how they are spread over nodes.

Called by the engine when it starts them, and by the store, which asks for as many devices.
"""

from __future__ import annotations

from imgcls_lab.config import TrainConfig
from imgcls_lab.config.hardware import MAX_PROCESSES
from imgcls_lab.errors import ConfigError, Problem
from imgcls_lab.plurals import counted


def allowed_processes(config: TrainConfig) -> list[int]:
    """The numbers of processes with which an attempt may start, the largest first."""
    return allowed_numbers(config.num_processes, config.min_processes, config.num_nodes)


def allowed_numbers(most: int, least: int | None, nodes: int) -> list[int]:
    """The same without a config. least: None for exactly `most`. Of several nodes each has as many processes.

    Numbers that no config allows come from rows that another user of the database wrote, and make no long list.
    """
    if not 0 < most <= MAX_PROCESSES:
        return [max(most, 1)]
    return list(range(most, max(1, min(least or most, most)) - 1, -_step(most, nodes)))


def nodes_for(number: int, most: int, nodes: int) -> int:
    """On how many nodes so many processes run, where a full attempt has `most` of them on `nodes`."""
    return number // _step(most, nodes) if nodes > 1 else 1


def _step(most: int, nodes: int) -> int:
    return max(1, most // nodes) if nodes > 1 else 1


def check_started(config: TrainConfig, started: int, planned: int) -> None:
    """Raises ConfigError if an attempt may not have as many processes as were started.

    planned: of a full attempt; another number than the config's where `torchrun` starts several for a config of one.
    """
    allowed = allowed_processes(config) if planned == config.num_processes else [planned]
    if started in allowed:
        return
    remedy, could_be = f"Start {' or '.join(map(str, allowed))}", allowed_numbers(planned, 1, config.num_nodes)
    if planned == config.num_processes and started in could_be:
        remedy += f", or set min_processes to {started}, also at a resume, to let the run go on with fewer"
    text = f"This run trains with {counted(planned, 'process', 'processes')}, and {started} were started. {remedy}."
    raise ConfigError(text, [Problem("min_processes", text)])
