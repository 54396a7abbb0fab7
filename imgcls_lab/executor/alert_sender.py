"""What a host itself has to tell: a disk that is nearly full; and the way of all its alerts to the webhook.

Called by the daemon on its rounds. Alerts about runs are written where their states move.
"""

from __future__ import annotations

import shutil
import time

from imgcls_lab.executor.webhook import Webhook
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, alerts


class Alarms:
    """One host's. Remembers nothing that the database does not know."""

    def __init__(self, settings: Settings, host: str) -> None:
        self._settings = settings
        self._host = host
        self._low = False
        self._results: list[tuple[str, str]] = []  # of the webhook, not written down yet
        self._webhook = Webhook(settings.webhook) if settings.webhook else None

    def look(self, store: Store) -> None:
        """Raises StoreError."""
        self._check_disk(store)
        if self._webhook is not None:
            self._send(store, self._webhook)

    def _check_disk(self, store: Store) -> None:
        limit = self._settings.disk_alert * 1e9
        free = shutil.disk_usage(self._settings.home_path).free
        low, self._low = self._low, limit > 0 and free < limit
        if not self._low or low:
            return
        text = (
            f"The disk of {self._settings.home_path} on {self._host} has {free / 1e9:.1f} GB left, less than the "
            f"{limit / 1e9:g} GB of IMGCLS_DISK_ALERT. Free some space; a run that finds the disk full ends."
        )
        with store.write() as session:  # at most once a day, however often it comes and goes
            alerts.add(session, f"disk-{self._host}-{time.strftime('%Y%m%d')}", "disk", text, host=self._host)

    def _send(self, store: Store, webhook: Webhook) -> None:
        self._results += webhook.results()
        if self._results:
            with store.write() as session:
                for alert_id, hook in self._results:
                    alerts.mark(session, alert_id, hook)
            webhook.forget({alert_id for alert_id, _ in self._results})
            self._results.clear()
        with store.read() as session:
            webhook.take(alerts.pending(session, self._host))
