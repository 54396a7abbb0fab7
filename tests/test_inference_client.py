"""The inference process survives what it is asked, ends when nobody asks, and comes back."""

from __future__ import annotations

import io
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from PIL import Image

from imgcls_lab import inference_client as client_module
from imgcls_lab import patience, private_sockets
from imgcls_lab.errors import InferenceError, InputError
from imgcls_lab.framed_messages import Message, receive, send
from imgcls_lab.inference_client import GivenUpError, InferenceClient
from imgcls_lab.schemas import InferencePhase
from tests.engine.pets import png, train_pets
from tests.waiting import until


def huge_png() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (40_000, 40_000)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def best(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The best checkpoint of a run."""
    folder = tmp_path_factory.mktemp("trained")
    train_pets(folder / "pets", folder / "run")
    return folder / "run/checkpoints/best"


def test_it_survives_odd_requests_and_comes_back(inference_client: InferenceClient, best: Path) -> None:
    def predict(data: bytes) -> Message:
        return inference_client.ask(Message({"do": "predict", "model": str(best), "name": "odd"}, data))

    seen = phases_of(inference_client, lambda: predict(png()))
    assert seen == ["starting", "answering", "loading", "answering"]
    assert inference_client.standing().phase == "idle"
    with pytest.raises(GivenUpError):
        inference_client.ask(Message({"do": "predict", "model": "nowhere", "name": "odd"}, png()), lambda: True)
    pid = inference_client.pid
    for data in (b"no image", b"\x89PNG\r\n\x1a\n" + bytes(100), png()[:2000], huge_png(), b"<svg/>", b"%!PS\n"):
        answer = predict(data).header
        assert "odd" in answer["error"]
        assert answer["top"] == []
    odd_messages_are_refused(inference_client)
    assert predict(png()).header["error"] is None
    assert inference_client.pid == pid, "none of this has ended it"
    print(f"\nmemory of the process: {psutil.Process(pid).memory_info().rss / 2**20:.0f} MB")

    started = time.monotonic()
    assert predict(png()).header["error"] is None
    print(f"an answer of the warm process: {1000 * (time.monotonic() - started):.0f} ms")

    inference_client._settings.inference_idle_timeout = 1.0
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert predict(png()).header["error"] is None, "the next request starts it anew"
    process = psutil.Process(inference_client.pid)
    until(lambda: inference_client.pid is None)
    assert not process.is_running()
    assert not list(Path(process_folder(inference_client)).glob("infer"))


def test_an_answer_is_waited_for_by_its_computing_and_not_by_the_clock(
    inference_client: InferenceClient, best: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = Message({"do": "predict", "model": str(best), "name": "pet"}, png())
    assert inference_client.ask(question).header["error"] is None
    pid = inference_client.pid
    process = psutil.Process(pid)
    monkeypatch.setattr(client_module, "ANSWER_COMPUTING", 0.5)
    process.suspend()  # as where a loaded machine runs others
    late = threading.Timer(2.5, process.resume)
    late.start()
    assert inference_client.ask(question).header["error"] is None
    assert inference_client.pid == pid, "the process that waited has answered"
    late.join()
    process.suspend()
    with monkeypatch.context() as short:
        short.setattr(client_module, "ANSWER_SECONDS", 1.0)
        with pytest.raises(InferenceError, match="1 seconds on a very busy machine"):
            inference_client.ask(question)
    monkeypatch.setattr(patience, "_LOOK", 0.01)
    monkeypatch.setattr(client_module, "ANSWER_COMPUTING", 0.001)
    with pytest.raises(InferenceError, match="0 seconds of computing") as refused:
        inference_client.ask(question)  # a new process has to load the model, which takes longer
    assert (refused.value.reason, inference_client.pid) == ("timeout", None)


def phases_of(client: InferenceClient, ask: Callable[[], Message]) -> list[str]:
    """What the process did one after the other while it answered a question."""
    seen: list[str] = []
    enter = client._enter

    def note(phase: InferencePhase) -> None:
        seen.append(phase)
        enter(phase)

    client._enter = note  # type: ignore[method-assign]
    assert ask().header["error"] is None
    client._enter = enter  # type: ignore[method-assign]
    return [phase for phase, before in zip(seen, ["", *seen], strict=False) if phase != before][:-1]


def process_folder(client: InferenceClient) -> Path:
    return client._sockets.ready()


def odd_messages_are_refused(client: InferenceClient) -> None:
    path = process_folder(client) / "infer"
    assert path.stat().st_mode & 0o777 == 0o600
    too_long = b"\x02\x00\x00\x00\xff\xff\xff\x7f{}"
    for data in (b"", b"x", b"\xff" * 8, b"\x04\x00\x00\x00\x00\x00\x00\x00null", too_long):
        with socket.socket(socket.AF_UNIX) as connection:
            private_sockets.connect(connection, path)
            connection.sendall(data)
    with socket.socket(socket.AF_UNIX) as connection:
        private_sockets.connect(connection, path)
        send(connection, Message({"do": "delete"}))
        assert receive(connection, 100).header["kind"] == "InputError"
    with pytest.raises(InputError):
        client.ask(Message({"do": "rm"}))
