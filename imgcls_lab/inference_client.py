"""Asks the inference process, which applies models to single images: starts it, waits for it, ends it. Torch-free.

Used by the Jupyter server, from threads. One process serves one server. It is started by the first request, answers one
at a time, and ends by itself without requests. A request that takes too long ends it, and the next starts it anew.
`standing` says what it does now: the start and the loading of a model take seconds.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from imgcls_lab import cpu, errors, private_sockets
from imgcls_lab.entry_points import INFERENCE
from imgcls_lab.errors import ImgclsError, InferenceError, UnsafeFolderError
from imgcls_lab.framed_messages import Message, receive, send
from imgcls_lab.patience import Patience, TooSlowError
from imgcls_lab.private_folder import RuntimeFolder
from imgcls_lab.schemas import InferencePhase, InferenceView
from imgcls_lab.settings import Settings
from imgcls_lab.socket_process import SocketProcess

ANSWER_COMPUTING = 60.0  # seconds of all cores from the request to the answer, the loading of a model included
ANSWER_SECONDS = 600.0  # in all: by then it is stopped, or its disk gives nothing
_PASS = 60.0  # seconds to pass a message that is ready
MAX_ANSWER = 16 * 2**20  # bytes of a picture
_OFFLINE = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}


class GivenUpError(InferenceError):
    """Whoever asked does not want the answer any more, and nothing was done for it."""


class InferenceClient:
    """The inference process of one Jupyter server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sockets = RuntimeFolder(settings.home_path, "cam")
        self._process = SocketProcess(self._sockets, "infer", "The inference process", InferenceError)
        self._phase: tuple[InferencePhase, float] = ("idle", time.monotonic())  # and since when

    def standing(self) -> InferenceView:
        """What the process does now; waits for nothing."""
        phase, since = self._phase
        return InferenceView(phase=phase, seconds=time.monotonic() - since)

    def ask(self, request: Message, given_up: Callable[[], bool] = lambda: False) -> Message:
        """The answer to a request; blocks. Raises the error that the process found, InferenceError if it fails.

        given_up: asked before the process gets the request. Raises GivenUpError.
        """
        with self._process.lock:  # the process answers one at a time; who waits here waits in the server's own queue
            try:
                answer = self._ask_twice(request, given_up)
            finally:
                self._enter("idle")
        if "refusal" in answer.header:
            raise _error_of(answer)
        return answer

    def _ask_twice(self, request: Message, given_up: Callable[[], bool]) -> Message:
        """Once more where the process has ended meanwhile, since it was idle or was killed."""
        for is_last in (False, True):
            if given_up():
                raise GivenUpError("The request was given up.", reason="given_up")
            try:
                serving = self._start()
                if given_up():  # the process that has started serves the next one
                    raise GivenUpError("The request was given up.", reason="given_up")
                return self._ask(serving, request)
            except (TimeoutError, TooSlowError) as error:
                self._process.end()
                of = "of computing" if isinstance(error, TooSlowError) else "on a very busy machine"
                seconds = ANSWER_COMPUTING if isinstance(error, TooSlowError) else ANSWER_SECONDS
                text = f"The model gave no answer within {seconds:.0f} seconds {of}."
                raise InferenceError(text, reason="timeout") from error
            except (OSError, EOFError, ValueError, UnsafeFolderError) as error:
                self._process.end()
                if is_last:
                    text = "The inference process ended while it was answering, most likely because memory was short."
                    raise InferenceError(f"{text} Try a smaller image.", reason="ended") from error
        raise AssertionError

    def _start(self) -> Path:
        """The socket of the process, which is started if it does not run. Raises InferenceError."""
        if (serving := self._process.serving) is not None:
            return serving
        self._process.end()
        self._enter("starting")
        idle, log = str(self._settings.inference_idle_timeout), self._settings.home_path / "inference.log"
        return self._process.start(lambda path: INFERENCE.argv(sys.executable, str(path), idle), log, _OFFLINE)

    def _enter(self, phase: InferencePhase) -> None:
        self._phase = (phase, time.monotonic())

    def _ask(self, path: Path, request: Message) -> Message:
        self._enter("answering")
        pid = self.pid
        if pid is None:
            raise EOFError
        patience = Patience(pid, computing=ANSWER_COMPUTING * cpu.cores(), clock=ANSWER_SECONDS)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_PASS)
            private_sockets.connect(connection, path)
            send(connection, request)
            while True:
                patience.wait(connection.fileno())
                answer = receive(connection, MAX_ANSWER)
                if answer.header.get("phase") not in get_args(InferencePhase):
                    return answer
                self._enter(answer.header["phase"])

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return self._process.popen.pid if self._process.alive and self._process.popen else None

    def close(self) -> None:
        """End the process and remove its socket; at the end of the Jupyter server."""
        with self._process.lock:
            self._process.end()
        self._sockets.remove()


def _error_of(answer: Message) -> ImgclsError:
    kind = getattr(errors, str(answer.header.get("kind")), None)
    known = kind if isinstance(kind, type) and issubclass(kind, ImgclsError) else InferenceError
    return known(str(answer.header["refusal"]), reason=str(answer.header.get("reason", "")))
