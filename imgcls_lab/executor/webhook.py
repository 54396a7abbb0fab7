"""Posts alerts to the webhook of the settings, in a thread of its own: a slow or dead address delays no run.

Used by the alert sender, which gives it the pending alerts of the database and writes the results back. The next daemon
posts an alert again that was posted just before a daemon died: each alert is posted at least once.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import urllib.error
import urllib.request
from typing import Literal

from imgcls_lab.schemas import AlertView

log = logging.getLogger(__name__)

TIMEOUT = 10.0  # seconds for one try
PAUSES = (1.0, 10.0)  # seconds before the second and the third try


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
            except (OSError, ValueError) as error:  # ValueError: not a URL
                # not the address itself: such URLs hold secrets
                log.warning("The webhook did not take the alert %s: %s", alert.id, _reason(error))
            if pause is not None:
                time.sleep(pause)
        return False


def _post(url: str, body: bytes) -> None:
    if not url.startswith(("http://", "https://")):
        raise ValueError("its address must begin with https:// or http://")
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"}, method="POST")  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:  # noqa: S310 — its scheme was checked
        reply.read(65_536)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code}"
    return str(getattr(error, "reason", error))
