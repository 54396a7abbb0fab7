"""`python -m imgcls_lab.engine FOLDER --attempt N`: train the config in FOLDER/config.json. Started by the executor.

On node K of M of a cluster: `--node K --nodes M --rendezvous HOST:PORT`, an address of node 0, the same on all nodes.
Node 0 writes what happens; the others end with it. `--processes` says how many train on all nodes together.
`--until-epoch E` pauses it after epoch E, as a stop does.

Exit code 0: finished or stopped; 1: failed. The last event in the folder tells them apart. Output is the run's log.
"""

from __future__ import annotations

import argparse
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from imgcls_lab import run_layout, run_paths
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.errors import ImgclsError
from imgcls_lab.events import Event, EventWriter, Failed, FailureKind
from imgcls_lab.pausing import PauseAfter
from imgcls_lab.settings import Settings

if TYPE_CHECKING:
    from imgcls_lab.engine.distributed.nodes import Node


def main(arguments: list[str] | None = None) -> int:
    given = _parse(arguments)
    try:
        file: Path = given.config or given.folder / run_layout.CONFIG
        config = TrainConfig.parse_saved(run_paths.read_plain(file.parent, file.name))
    except (OSError, ImgclsError) as error:
        message = f"The run's config cannot be read. {error}"
        print(message, file=sys.stderr)
        if given.folder.is_dir() and given.node == 0:
            with EventWriter(given.folder, given.attempt or 1) as events:
                events.write(Failed(step=0, kind=FailureKind.APPLICATION, message=message))
        return 1
    text = given.cache_locations
    locations = CacheLocations.from_json(text) if text else CacheLocations.of_home(Settings())
    try:
        if given.node:
            _help(config, given, locations)
        else:
            _train(config, given, locations)
    except ImgclsError as error:
        traceback.print_exc()
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m imgcls_lab.engine", description="Train in a run's folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--attempt", type=int, default=None)
    parser.add_argument("--config", type=Path, default=None, help="another config than the folder's")
    parser.add_argument("--cache-locations", default=None, help="where the caches lie, as JSON; by default the home's")
    parser.add_argument("--node", type=int, default=0, help="number of this machine, from 0")
    parser.add_argument("--nodes", type=int, default=1, help="how many machines train together")
    parser.add_argument("--rendezvous", default=None, help="HOST:PORT, an address of node 0")
    parser.add_argument("--processes", type=int, default=None, help="how many train on all nodes")
    parser.add_argument("--until-epoch", type=int, default=None, help="pause after this epoch")
    given = parser.parse_args(arguments)
    if not 0 <= given.node < given.nodes:
        parser.error("--node is a number from 0 to less than --nodes.")
    if given.nodes > 1 and (given.rendezvous is None or given.attempt is None):
        parser.error("Several nodes need --rendezvous and --attempt, the same on all of them.")
    return given


def _node(given: argparse.Namespace) -> Node:
    from imgcls_lab.engine.distributed.nodes import Node, Rendezvous  # torch: takes seconds

    meeting = Rendezvous.parse(given.rendezvous) if given.nodes > 1 else None
    return Node(given.node, given.nodes, meeting, given.processes)


def _train(config: TrainConfig, given: argparse.Namespace, locations: CacheLocations) -> None:
    """Train, and write what happens."""
    from imgcls_lab.engine.distributed.join import started_by_launcher
    from imgcls_lab.engine.reporting.console_log import ConsoleLog
    from imgcls_lab.engine.training.run import train

    log = None if started_by_launcher() else ConsoleLog()  # of several processes the launcher writes the log
    stop = threading.Event()
    pause = PauseAfter(given.until_epoch, stop) if given.until_epoch is not None else None

    def on_event(event: Event) -> None:
        for listener in (log, pause):
            if listener is not None:
                listener(event)

    outcome = train(
        config, given.folder, attempt=given.attempt, on_event=on_event, stop=stop, cache_locations=locations,
        node=_node(given),
    )  # fmt: skip
    if outcome.message and log:
        print(outcome.message, flush=True)


def _help(config: TrainConfig, given: argparse.Namespace, locations: CacheLocations) -> None:
    """Run the processes of this node, whose run node 0 reports."""
    from imgcls_lab.engine.distributed.launcher import help_train
    from imgcls_lab.engine.training import interrupts

    stop = threading.Event()
    with interrupts.signals(stop):
        help_train(config, given.folder.absolute(), given.attempt, node=_node(given), stop=stop, locations=locations)


if __name__ == "__main__":
    sys.exit(main())
