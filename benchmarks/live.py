"""From a step to the screen: four runs live, a real daemon, a real server, a real WebSocket client.

Stub trainers write with the engine's own event writer; each point carries the time of its writing, and the client
takes the difference when the message arrives. Machine and clock are one, so the two times can be compared.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from tornado.websocket import websocket_connect

from benchmarks import labs
from benchmarks.frame import Line, reported
from benchmarks.timing import percentile
from imgcls_lab.events import RunState, Started, read_events
from imgcls_lab.run_layout import events_name
from imgcls_lab.settings import Settings
from tests.executor.stub_lab import StubLab
from tests.server.server_process import Server

RUNS = 4
STEP_SECONDS = 0.05  # between two steps of a run


def measure(folder: Path, quick: bool) -> list[Line]:
    seconds = 8 if quick else 40
    lab = StubLab(folder / "home", cpu_slots=RUNS, poll_interval=Settings().poll_interval)
    try:
        lab.start_daemon()
        ids = start_runs(lab, seconds + 30)
        with labs.serving(folder / "server", lab.settings.home_path) as (server, _):
            delays = asyncio.run(_listen(server, begun(lab, ids), seconds))
    finally:
        lab.close()
    steps = seconds / STEP_SECONDS * RUNS
    assert len(delays) > 0.5 * steps, f"{len(delays)} points of about {steps:.0f} arrived"
    return [
        Line(f"from a step's event to the page, {RUNS} runs live, p95", 300, percentile(delays, 0.95) * 1e3, "ms"),
        reported("the same, p50", percentile(delays, 0.5) * 1e3, "ms"),
        reported("points that arrived", len(delays), ""),
    ]


def start_runs(lab: StubLab, seconds: float) -> list[str]:
    """RUNS stub trainings that live for so long."""
    steps = int(seconds / STEP_SECONDS)
    ids = [lab.submit(steps=steps, step_seconds=STEP_SECONDS, save_every=200) for _ in range(RUNS)]
    for run_id in ids:
        lab.wait(run_id, RunState.RUNNING)
    return ids


def begun(lab: StubLab, ids: list[str]) -> dict[str, float]:
    """When each run began to train, in Unix seconds: a point's time is counted from there."""
    events = {run_id: read_events(lab.settings.run_dir(run_id) / events_name(1))[0] for run_id in ids}
    return {run_id: next(e.t for e in found if isinstance(e, Started)) for run_id, found in events.items()}


async def _listen(server: Server, zeros: dict[str, float], seconds: float) -> list[float]:
    """Seconds from writing to arrival of each point of the loss, after a moment to settle."""
    address = server.url.replace("http", "ws", 1) + f"imgcls/api/stream?token={server.token}"
    socket = await websocket_connect(address)
    topics: list[dict[str, Any]] = [{"kind": "runs"}, {"kind": "devices"}, {"kind": "metrics", "run_ids": [*zeros]}]
    for number, topic in enumerate(topics):
        await socket.write_message(json.dumps({"op": "subscribe", "id": number, "topic": topic}))
    begin = time.time() + 2
    delays: list[float] = []
    while time.time() < begin + seconds:
        message = await socket.read_message()
        now = time.time()
        if message is None:
            raise RuntimeError("the server closed the stream")
        batch = json.loads(message)["batch"] or {}
        if batch.get("kind") == "metrics":
            losses = [series for series in batch["series"] if series["tag"] == "loss/train"]
            stamps = [zeros[series["run_id"]] + since for series in losses for since in series["time"]]
            delays += [now - stamp for stamp in stamps if stamp > begin]
    socket.close()
    return delays
