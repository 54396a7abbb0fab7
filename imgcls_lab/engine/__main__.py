"""`python -m imgcls_lab.engine FOLDER --attempt N`: train the config in FOLDER/config.json. Started by the executor.

Exit code 0: finished or stopped; 1: failed. The last event in the folder tells them apart. Output is the run's log.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

from imgcls_lab import run_layout, run_paths
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.errors import ImgclsError
from imgcls_lab.events import EventWriter, Failed, FailureKind
from imgcls_lab.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m imgcls_lab.engine", description="Train in a run's folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--attempt", type=int, default=None)
    parser.add_argument("--config", type=Path, default=None, help="another config than the folder's")
    parser.add_argument("--cache-locations", default=None, help="where the caches lie, as JSON; by default the home's")
    given = parser.parse_args(arguments)
    try:
        file: Path = given.config or given.folder / run_layout.CONFIG
        config = TrainConfig.parse_saved(run_paths.read_plain(file.parent, file.name))
    except (OSError, ImgclsError) as error:
        message = f"The run's config cannot be read. {error}"
        print(message, file=sys.stderr)
        if given.folder.is_dir():
            with EventWriter(given.folder, given.attempt or 1) as events:
                events.write(Failed(step=0, kind=FailureKind.APPLICATION, message=message))
        return 1

    from imgcls_lab.engine.distributed.process_group import started_by_launcher
    from imgcls_lab.engine.reporting.console_log import ConsoleLog
    from imgcls_lab.engine.training.run import train  # torch: takes seconds

    log = None if started_by_launcher() else ConsoleLog()  # of several processes the launcher writes the log
    text = given.cache_locations
    locations = CacheLocations.from_json(text) if text else CacheLocations.of_home(Settings())
    try:
        outcome = train(config, given.folder, attempt=given.attempt, on_event=log, cache_locations=locations)
    except ImgclsError as error:
        traceback.print_exc()
        print(error, file=sys.stderr, flush=True)
        return 1
    if outcome.message and log:
        print(outcome.message, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
