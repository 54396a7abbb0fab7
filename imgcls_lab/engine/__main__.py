"""`python -m imgcls_lab.engine FOLDER --attempt N`: train what FOLDER/config.json says. Started by the executor.

Exit code 0: finished or stopped; 1: failed. The last event in the folder says which. Output is the run's log.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

from imgcls_lab import run_layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.cache_locations import Shared
from imgcls_lab.errors import ImgclsError
from imgcls_lab.events import EventWriter, Failed, FailureKind
from imgcls_lab.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m imgcls_lab.engine", description="Train in a run's folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--attempt", type=int, default=None)
    parser.add_argument("--config", type=Path, default=None, help="another config than the folder's")
    parser.add_argument("--shared", default=None, help="what it shares with other runs, as JSON; by default the home's")
    given = parser.parse_args(arguments)
    try:
        config = TrainConfig.parse_saved((given.config or given.folder / run_layout.CONFIG).read_bytes())
    except (OSError, ImgclsError) as error:
        message = f"The run's config cannot be read. {error}"
        print(message, file=sys.stderr)
        if given.folder.is_dir():
            with EventWriter(given.folder, given.attempt or 1) as events:
                events.write(Failed(step=0, kind=FailureKind.APPLICATION, message=message))
        return 1

    from imgcls_lab.engine.distributed.process_group import launched
    from imgcls_lab.engine.reporting.console_log import Journal
    from imgcls_lab.engine.training.run import train  # torch: takes seconds

    journal = None if launched() else Journal()  # of several processes the one that started them tells
    shared = Shared.from_json(given.shared) if given.shared else Shared.of(Settings())
    try:
        outcome = train(config, given.folder, attempt=given.attempt, on_event=journal, shared=shared)
    except ImgclsError as error:
        traceback.print_exc()
        print(error, file=sys.stderr, flush=True)
        return 1
    if outcome.message and journal:
        print(outcome.message, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
