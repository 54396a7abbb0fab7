"""Alerts: a run finished, failed, was lost or stands still; a disk nearly full; each told once, and posted."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from stub_lab import StubLab

from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.executor import alert_sender
from imgcls_lab.schemas import AlertView
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch


class Receiver:
    """A web server of the loopback that keeps what it is sent, and answers as it is told."""

    def __init__(self) -> None:
        self.bodies: list[dict] = []
        self.answers: list[int] = []
        self.asked, self.answering = threading.Event(), threading.Event()
        self.answering.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.asked.set()
                receiver.answering.wait(300)
                code = receiver.answers.pop(0) if receiver.answers else 200
                if code == 200:
                    receiver.bodies.append(body)
                self.send_response(code)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret-path"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def kinds(lab: StubLab, run_id: str) -> list[str]:
    return [alert.kind for alert in reversed(lab.store.alerts.list()) if alert.run_id == run_id]


def test_ends_are_told_once_a_run_and_attempt_and_a_stop_is_not(lab: StubLab):
    lab.start_daemon()
    good, bad = lab.submit("good", steps=5), lab.submit("bad", fail_at=2)
    lost = lab.submit("lost", steps=20, signal_at=8, signal=int(signal.SIGKILL), first_attempt_only=True)
    stopped = lab.submit("stopped", steps=10_000)
    for run_id in (good, bad, lost):
        lab.wait(run_id)
    lab.trainer(stopped)
    lab.store.runs.set_desired_state(stopped, DesiredState.STOP)
    lab.wait(stopped)
    assert kinds(lab, good) == ["finished"]
    assert kinds(lab, bad) == ["failed"]
    assert kinds(lab, lost) == ["lost", "finished"]
    assert kinds(lab, stopped) == []
    texts = {alert.id: alert.text for alert in lab.store.alerts.list()}
    assert texts[f"{good}-1-end"] == "“good” has finished, best accuracy 100.0 %."
    assert texts[f"{bad}-1-end"] == "“bad” failed: The stub failed as it was told."
    assert "step 5" in texts[f"{lost}-1-end"]
    lab.kill_daemon()
    lab.start_daemon()
    time.sleep(1)
    assert len(lab.store.alerts.list()) == len(texts)


def test_a_reader_of_the_stream_gets_what_comes_after_it_came(lab: StubLab):
    lab.start_daemon()
    lab.wait(lab.submit(steps=3))
    batch, since = lab.store.alerts.since(None)
    assert batch.alerts == []
    second = lab.submit(steps=3)
    lab.wait(second)
    batch, since = lab.store.alerts.since(since)
    assert [alert.run_id for alert in batch.alerts] == [second]
    assert lab.store.alerts.since(since)[0].alerts == []


def test_a_run_that_writes_nothing_more_is_told_and_left_alone(home: Path):
    lab = StubLab(home, stall_minutes=1 / 60)
    try:
        lab.start_daemon()
        run_id = lab.submit("hangs", steps=50, hang_at=5)
        lab.until(lambda: lab.run(run_id).step == 4 and "stalled" in kinds(lab, run_id))
        time.sleep(2)
        told = kinds(lab, run_id)  # a busy machine may be silent for a second before the fourth step, too
        assert {*told} == {"stalled"}
        time.sleep(2)
        assert kinds(lab, run_id) == told
        assert lab.state(run_id) is RunState.RUNNING
    finally:
        lab.close()


def test_a_disk_nearly_full_is_told_once(lab: StubLab, monkeypatch: pytest.MonkeyPatch):
    free = [4e9]
    usage = type("usage", (), {"free": property(lambda _: free[0])})
    monkeypatch.setattr(alert_sender.shutil, "disk_usage", lambda _: usage())
    own = ExecutorStore(lab.store.database, lab.settings, "here", "here-1", HeartbeatWatch(30))
    sender = alert_sender.AlertSender(lab.settings, "here")
    for left in (4e9, 4e9, 9e9, 3e9):
        free[0] = left
        sender.update(own)
    (alert,) = lab.store.alerts.list()
    assert (alert.kind, alert.host) == ("disk", "here")
    assert "has 4.0 GB left" in alert.text


def test_the_webhook_gets_each_alert_also_after_a_refusal_and_an_outage_of_the_daemon(home: Path, receiver: Receiver):
    lab = StubLab(home, webhook=receiver.url)
    try:
        receiver.answers = [500]
        lab.start_daemon()
        first = lab.submit("first", steps=3)
        lab.wait(first)
        lab.until(lambda: receiver.bodies)
        assert AlertView.model_validate(receiver.bodies[0]).run_id == first
        assert receiver.bodies[0]["text"].startswith("“first” has finished")
        lab.until(lambda: pending(lab) == 0)
        lab.kill_daemon()
        lab.start_daemon()
        time.sleep(3)
        assert len(receiver.bodies) == 1
        assert "secret-path" not in lab.daemon_log()
    finally:
        lab.close()


def pending(lab: StubLab) -> int:
    from imgcls_lab.identity import host_name
    from imgcls_lab.store import alerts

    with lab.store.database.read() as session:
        return len(alerts.pending(session, host_name()))


def test_a_webhook_that_does_not_answer_delays_no_run(home: Path, receiver: Receiver):
    lab = StubLab(home, webhook=receiver.url)
    try:
        receiver.answering.clear()
        lab.start_daemon()
        lab.wait(lab.submit(steps=3, step_seconds=0.01))
        assert receiver.asked.wait(60)
        for run_id in [lab.submit(steps=3, step_seconds=0.01) for _ in range(2)]:  # the first post still waits
            lab.wait(run_id)
        assert receiver.bodies == []
    finally:
        receiver.answering.set()
        lab.close()


def test_what_a_webhook_never_takes_is_given_up_with_a_word(monkeypatch: pytest.MonkeyPatch, caplog):
    monkeypatch.setattr(alert_sender, "PAUSES", (0.01, 0.01))
    hook = alert_sender.Webhook("ftp://nowhere")
    hook.take([AlertView(id="a", kind="disk", text="x", run_id=None, host="h", created_at=1)] * 2)
    end = time.monotonic() + 10
    results: list = []
    while not results and time.monotonic() < end:
        results += hook.results()
        time.sleep(0.01)
    assert results == [("a", "failed")]
    assert "must begin with https" in caplog.text
