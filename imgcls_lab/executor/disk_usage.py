"""How much of the disk the runs of this home take: counted in a thread now and then, where somebody asks for it.

Called by the daemon. A user's limit of disk holds for what is counted here. Links are not followed, but for the folders
of checkpoints and event files that a run has elsewhere.
"""

from __future__ import annotations

import logging
import threading
import time

from imgcls_lab.settings import Settings
from imgcls_lab.store import run_folders, run_sizes
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.folder_rows import saved_config

log = logging.getLogger(__name__)

ASK_EVERY = 30.0  # seconds between two questions whether it must be counted
COUNT_EVERY = 600.0  # seconds between two counts
COUNT_OVER = 60.0  # likewise while runs wait because the others take too much: some may be deleted
REST = 20.0  # and at least so many times what a count takes
FOLDERS_AT_ONCE = 50  # of runs, before the other threads get the processor


class DiskUsage:
    """Counts for one home."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread: threading.Thread | None = None
        self._found: int | None = None
        self._ended = -COUNT_EVERY
        self._took = 0.0
        self._asked = -ASK_EVERY

    def update(self, store: ExecutorStore) -> None:
        """Save what was counted, and begin to count if it is time. Raises StoreError."""
        if self._found is not None:
            store.save_disk(self._found)
            self._found = None
        now = time.monotonic()
        if now - self._asked < ASK_EVERY or (self._thread and self._thread.is_alive()):
            return
        self._asked = now
        pause = max(COUNT_OVER if store.is_over_disk() else COUNT_EVERY, REST * self._took)
        if now >= self._ended + pause and store.counts_disk():
            self._thread = threading.Thread(target=self._count, name="imgcls-disk", daemon=True)
            self._thread.start()

    def _count(self) -> None:
        began = time.monotonic()
        try:
            self._found = run_bytes(self._settings)
        except OSError as error:
            log.warning("The disk that runs take could not be counted: %s", error)
        self._ended = time.monotonic()
        self._took = self._ended - began


def run_bytes(settings: Settings) -> int:
    """Bytes of the files in the folders of this home's runs, and of checkpoints and event files elsewhere."""
    total = 0
    for count, run_id in enumerate(run_folders.all_folders(settings)):
        if count % FOLDERS_AT_ONCE == 0:
            time.sleep(0.01)
        folder = settings.run_dir(run_id)
        total += run_sizes.of_folder(folder, saved_config(folder))
    return total
