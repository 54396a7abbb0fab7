"""`python -m imgcls_lab.engine.proofs FOLDER --until N`: compute the steps of a run again, up to that one. By `rerun`.

Trains the config in FOLDER/config.json and ends behind the step. Exit code 0: it came so far; 1: it failed, and the
last event says why.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

from imgcls_lab import run_layout, run_paths
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.proofs.watch import WatchedStep
from imgcls_lab.engine.training.run import train, train_watched
from imgcls_lab.engine.training.weights_hash import HASH_EVERY
from imgcls_lab.errors import ImgclsError
from imgcls_lab.events import EpochEnded, Event, Metrics, WeightsHashed
from imgcls_lab.settings import Settings


class _ReachedError(BaseException):
    """The last step is written: no error, but the way out of a training."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m imgcls_lab.engine.proofs", description="Compute steps again.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--until", type=int, required=True)
    parser.add_argument("--every", type=int, default=HASH_EVERY)
    parser.add_argument("--watch", type=int, default=0, help="a step of which everything is hashed")
    given = parser.parse_args(arguments)
    folder: Path = given.folder
    config = TrainConfig.parse_saved(run_paths.read_plain(folder, run_layout.CONFIG))

    def on_event(event: Event) -> None:
        if _is_last(event, given.until):
            raise _ReachedError

    home = CacheLocations.of_home(Settings())
    # decoded images lie under the hash of their file; which file has which hash is found out anew
    locations = CacheLocations(folder / ".scans", home.cache, home.compiled, home.cache_bytes, alone=True)
    try:
        if config.num_processes > 1:
            train(config, folder, attempt=1, on_event=on_event, cache_locations=locations)
        else:
            watch = WatchedStep(folder, given.watch, every=given.every, last=given.until)
            train_watched(config, folder, watch, on_event=on_event, cache_locations=locations)
    except _ReachedError:
        return 0
    except ImgclsError:
        traceback.print_exc()
        return 1
    return 0


def _is_last(event: Event, until: int) -> bool:
    """Whether all that can be compared up to a step is written."""
    if isinstance(event, Metrics):
        return event.step > until
    return isinstance(event, WeightsHashed | EpochEnded) and event.step >= until


if __name__ == "__main__":
    sys.exit(main())
