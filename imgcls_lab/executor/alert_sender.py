"""Sends the alerts of this host to the webhook of the settings, and adds the alert of a disk that is nearly full.

Called by the daemon every few seconds; the posts run in a thread of their own, so that a slow or dead address delays
no run. The next daemon posts an alert again that was posted just before a daemon died: each is posted at least once.
Alerts about runs are written where the state of a run changes.
"""

from __future__ import annotations

import http.client
import logging
import queue
import shutil
import threading
import time
import urllib.error
import urllib.request
from typing import Literal

from imgcls_lab.schemas import AlertView
from imgcls_lab.settings import Settings
from imgcls_lab.store.executor_store import ExecutorStore

log = logging.getLogger(__name__)

TIMEOUT = 10.0  # seconds for one try
PAUSES = (1.0, 10.0)  # seconds before the second and the third try


class NoAddressError(ValueError):
    """What the settings name is no address of the web."""


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


class Webhook:
    """Takes alerts, posts each as the JSON of AlertView. `text` is what chat programs show."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: queue.SimpleQueue[AlertView] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[str, Literal["sent", "failed"]]] = queue.SimpleQueue()
        self._taken: set[str] = set()
        threading.Thread(target=self._work, name="imgcls-webhook", daemon=True).start()

    def take(self, alerts: list[AlertView]) -> None:
        """Post these, each once until `forget` is called for it."""
        for alert in alerts:
            if alert.id not in self._taken:
                self._taken.add(alert.id)
                self._waiting.put(alert)

    def results(self) -> list[tuple[str, Literal["sent", "failed"]]]:
        """The results since the last call, by alert id."""
        found = []
        while not self._results.empty():
            found.append(self._results.get())
        return found

    def forget(self, alert_ids: set[str]) -> None:
        """The results of these are in the database."""
        self._taken -= alert_ids

    def _work(self) -> None:
        while True:
            alert = self._waiting.get()
            self._results.put((alert.id, "sent" if self._deliver(alert) else "failed"))

    def _deliver(self, alert: AlertView) -> bool:
        for pause in (*PAUSES, None):
            try:
                _post(self._url, alert.model_dump_json().encode())
                return True
            except (OSError, ValueError, http.client.HTTPException) as error:  # the last two: not a URL, no answer
                # not the address itself: such URLs hold secrets
                log.warning("The webhook did not take the alert %s: %s", alert.id, _reason(error))
            if pause is not None:
                time.sleep(pause)
        return False


def _post(url: str, body: bytes) -> None:
    if not url.startswith(("http://", "https://")):
        raise NoAddressError("its address must begin with https:// or http://")
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"}, method="POST")  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:  # noqa: S310 — its scheme was checked
        reply.read(65_536)


def _reason(error: Exception) -> str:
    """A reason without any part of the URL, which http.client and others write into their messages."""
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code}"
    cause = getattr(error, "reason", error)
    if isinstance(cause, NoAddressError):
        return str(cause)
    return (isinstance(cause, OSError) and cause.strerror) or type(cause).__name__
