"""Sends the alerts of this host to the webhook, and adds the alert of a disk that is nearly full.

Called by the daemon every few seconds. Alerts about runs are written where the state of a run changes.
"""

from __future__ import annotations

import shutil
import time

from imgcls_lab.executor.webhook import Webhook
from imgcls_lab.settings import Settings
from imgcls_lab.store.executor_store import ExecutorStore


class AlertSender:
    """The alerts of one host. The database knows all that matters; this remembers nothing else."""

    def __init__(self, settings: Settings, host: str) -> None:
        self._settings = settings
        self._host = host
        self._disk_is_low = False
        self._results: list[tuple[str, str]] = []  # of the webhook; not in the database yet
        self._webhook = Webhook(settings.webhook) if settings.webhook else None

    def update(self, store: ExecutorStore) -> None:
        """Check the disk, and post what the database says is pending. Raises StoreError."""
        self._check_disk(store)
        if self._webhook is not None:
            self._send(store, self._webhook)

    def _check_disk(self, store: ExecutorStore) -> None:
        limit = self._settings.disk_alert * 1e9
        free = shutil.disk_usage(self._settings.home_path).free
        was_low, self._disk_is_low = self._disk_is_low, limit > 0 and free < limit
        if not self._disk_is_low or was_low:
            return
        text = (
            f"The disk of {self._settings.home_path} on {self._host} has {free / 1e9:.1f} GB left, less than the "
            f"{limit / 1e9:g} GB of IMGCLS_DISK_ALERT. Free some space; a run that finds the disk full ends."
        )
        store.add_alert(f"disk-{self._host}-{time.strftime('%Y%m%d')}", "disk", text)  # at most one a day

    def _send(self, store: ExecutorStore, webhook: Webhook) -> None:
        self._results += webhook.results()
        if self._results:
            store.mark_alerts(self._results)
            webhook.forget({alert_id for alert_id, _ in self._results})
            self._results.clear()
        webhook.take(store.pending_alerts())
