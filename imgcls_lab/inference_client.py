"""Asks the inference process, which applies models to single images: starts it, waits for it, ends it. Torch-free.

Used by the Jupyter server, from threads. One process serves one server. It is started by the first request, answers one
at a time, and ends by itself without requests. A request that takes too long ends it, and the next starts it anew.
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

from imgcls_lab import errors, private_sockets
from imgcls_lab.entry_points import INFERENCE
from imgcls_lab.errors import ImgclsError, InferenceError, UnsafeFolderError
from imgcls_lab.framed_messages import Message, receive, send
from imgcls_lab.private_folder import RuntimeFolder
from imgcls_lab.settings import Settings
from imgcls_lab.socket_process import SocketProcess

ANSWER_SECONDS = 60.0  # from the request to the whole answer, the loading of a model included
MAX_ANSWER = 16 * 2**20  # bytes of a picture
_OFFLINE = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}


class InferenceClient:
    """The inference process of one Jupyter server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sockets = RuntimeFolder(settings.home_path, "cam")
        self._process = SocketProcess(self._sockets, "infer", "The inference process", InferenceError)

    def ask(self, request: Message) -> Message:
        """The answer to a request; blocks. Raises the error that the process found, InferenceError if it fails."""
        with self._process.lock:  # the process answers one at a time; who waits here waits in the server's own queue
            answer = self._ask_twice(request)
        if "refusal" in answer.header:
            raise _error_of(answer)
        return answer

    def _ask_twice(self, request: Message) -> Message:
        """Once more where the process has ended meanwhile, since it was idle or was killed."""
        for is_last in (False, True):
            try:
                return self._ask(self._start(), request)
            except TimeoutError as error:
                self._process.end()
                text = f"The model gave no answer within {ANSWER_SECONDS:.0f} seconds."
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
        idle, log = str(self._settings.inference_idle_timeout), self._settings.home_path / "inference.log"
        return self._process.start(lambda path: INFERENCE.argv(sys.executable, str(path), idle), log, _OFFLINE)

    @staticmethod
    def _ask(path: Path, request: Message) -> Message:
        deadline = time.monotonic() + ANSWER_SECONDS
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            private_sockets.connect(connection, path)
            send(connection, request)
            connection.settimeout(max(0.1, deadline - time.monotonic()))
            return receive(connection, MAX_ANSWER)

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
