"""What the launchers of several nodes tell each other: that they live, how their processes ended, and when all is over.

Each launcher has one, over the store that the launcher of node 0 serves. A thread asks and answers twice a second, so
that a node is noticed that died or was cut off, though a process of the run could wait for it for a day.
"""

from __future__ import annotations

import json
import threading
import time

from torch._C._distributed_c10d import Store, TCPStore

from imgcls_lab._version import __version__
from imgcls_lab.engine.distributed.nodes import Node
from imgcls_lab.errors import ConfigError, ImgclsError, ProcessLostError, of_kind
from imgcls_lab.events import Failed, FailureKind

MEET = 300.0  # seconds within which all nodes must come
SILENCE = 15.0  # seconds without an answer after which a node is lost
_SOON = 3.0  # seconds for a node's last words after the run has failed here
_BEAT = 0.5  # seconds between two answers
_MAX_STEP = 5.0  # seconds that one look adds at most: while this process itself was suspended, it saw nothing


class NodeWatch:
    """The other launchers, seen from this one: node 0 watches all, the others watch node 0."""

    def __init__(self, node: Node, attempt: int, config_digest: str) -> None:
        assert node.rendezvous is not None  # noqa: S101 - there are several nodes
        self._node, self._rendezvous, self._attempt = node, node.rendezvous, str(attempt)
        self._hello = json.dumps({"version": __version__, "config": config_digest, "processes": node.processes})
        self._watched = [0] if node.number else list(range(1, node.count))
        self._answers: dict[int, bytes] = {}  # the newest of each watched node
        self._words: dict[int, Failed | None] = {}  # of nodes whose processes have ended: why one failed; None: well
        self._gone: set[int] = set()  # nodes on which nothing of the run lives any more
        self._timers = {number: _Unchanged() for number in self._watched}
        self._broken = False
        self._closing = threading.Event()
        self._server: TCPStore | None = None
        self._store: Store | None = None
        self._to_say: dict[str, str] = {}  # what the thread is to write: each key once
        self._said: set[str] = set()

    # ── meeting ─────────────────────────────────────────────────────────────────────────────────────────────
    def meet(self, stop: threading.Event) -> bool:
        """Until all nodes are there; False if stopped. Raises ProcessLostError if one does not come, ConfigError."""
        until = time.monotonic() + MEET
        if self._node.number == 0:
            self._server = self._rendezvous.serve()
        while not self._rendezvous.answers():
            if stop.wait(_BEAT):
                return False
            self._check_time(until, [0])
        self._store = self._rendezvous.connect(self._attempt)
        self._store.set(f"hello/{self._node.number}", self._hello)
        threading.Thread(target=self._exchange, args=(self._store,), daemon=True).start()
        while missing := [number for number in self._watched if number not in self._answers]:
            if self._broken:
                raise ProcessLostError(f"The {Node(0, self._node.count).shown} ended before the run began.")
            self._check_time(until, missing)
            if stop.wait(_BEAT / 5):
                return False
        for number in self._watched:
            self._check_hello(number, self._store.get(f"hello/{number}"))
        return True

    def _check_time(self, until: float, missing: list[int]) -> None:
        if time.monotonic() > until:
            names = ", ".join(map(str, missing))
            raise ProcessLostError(f"Node {names} of {self._node.count} did not come to {self._rendezvous} in time.")

    def _check_hello(self, number: int, hello: bytes) -> None:
        """Raises ConfigError if another node has another version or config: its steps would not be the same.

        ProcessLostError where somebody else has written there: the store asks no user.
        """
        own = json.loads(self._hello)
        try:
            theirs = {what: json.loads(hello)[what] for what in own}
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ProcessLostError(
                f"What node {number} says at {self._rendezvous} is nothing that a node of this run says."
            ) from None
        remedies = {"version": "Install one version", "config": "Share one home", "processes": "Give one number"}
        for what, remedy in remedies.items():
            if theirs[what] != own[what]:
                raise ConfigError(
                    f"Node {number} has the {what} {theirs[what]}, and node {self._node.number} has {own[what]}. "
                    f"{remedy} on all nodes."
                )

    # ── while the run lives ─────────────────────────────────────────────────────────────────────────────────
    def problem(self) -> ImgclsError | None:
        """Why the run cannot go on here, if another node is lost or failed."""
        for number in self._watched:
            words = self._words.get(number)
            if words is not None:
                return of_kind(words.kind, words.message)
        return self._lost(SILENCE)

    def _lost(self, seconds: float) -> ProcessLostError | None:
        if self._broken:
            return ProcessLostError(f"The {Node(0, self._node.count).shown} ended.")
        for number in self._silent(seconds) - self._words.keys():
            return ProcessLostError(f"Node {number} of {self._node.count} does not answer any more.")
        return None

    def _silent(self, seconds: float) -> set[int]:
        """Nodes that have not answered for so long."""
        return {number for number, timer in self._timers.items() if timer.update(self._answers.get(number)) > seconds}

    def explain(self) -> ImgclsError | None:
        """Why the run failed here, where no process of this node knows: what another says or does not say any more."""
        until = time.monotonic() + _SOON
        while (found := self.problem() or self._lost(_SOON / 2)) is None and time.monotonic() < until:
            time.sleep(_BEAT / 5)
        return found

    def is_over(self) -> bool:
        """Whether node 0 says that the run has ended."""
        return 0 in self._words

    def say(self, failed: ImgclsError | None) -> None:
        """The processes of this node have ended, or one has failed."""
        words = Failed(step=0, kind=FailureKind(failed.kind), message=str(failed)).model_dump_json() if failed else ""
        self._to_say.setdefault(f"end/{self._node.number}", words)

    def close(self) -> None:
        """Nothing of the run lives here any more. Node 0 waits a few seconds until the others say the same."""
        self._to_say[f"gone/{self._node.number}"] = ""
        until = time.monotonic() + _SOON
        while not self._broken and time.monotonic() < until and self._store is not None:
            waits_for = set(self._watched) - self._gone - self._silent(_SOON / 2) if self._node.number == 0 else set()
            if self._said >= self._to_say.keys() and not waits_for:
                break
            time.sleep(_BEAT / 10)
        self._closing.set()

    # ── the thread ──────────────────────────────────────────────────────────────────────────────────────────
    def _exchange(self, store: Store) -> None:
        beat = 0
        try:
            while not self._closing.is_set():
                beat += 1
                store.set(f"beat/{self._node.number}", str(beat))
                self._write_said(store)
                for number in self._watched:
                    self._read(store, number)
                self._closing.wait(_BEAT / 10 if self._to_say else _BEAT)
        except (RuntimeError, ValueError):  # the connection or the server is gone, or somebody else has written there
            self._broken = True

    def _write_said(self, store: Store) -> None:
        for key, words in [*self._to_say.items()]:
            if key not in self._said:
                store.set(key, words)
                self._said.add(key)

    def _read(self, store: Store, number: int) -> None:
        if store.check([f"beat/{number}"]):
            self._answers[number] = store.get(f"beat/{number}")
        if number not in self._words and store.check([f"end/{number}"]):
            words = store.get(f"end/{number}")
            self._words[number] = Failed.model_validate_json(words) if words else None
        if store.check([f"gone/{number}"]):
            self._gone.add(number)


class _Unchanged:
    """How long a value has not changed, as far as this process was awake to see it."""

    def __init__(self) -> None:
        self._value: bytes | None = None
        self._last: float | None = None
        self._seconds = 0.0

    def update(self, value: bytes | None) -> float:
        """Seconds for which the value has been the same."""
        now = time.monotonic()
        if self._last is None or value != self._value:
            self._value, self._seconds = value, 0.0
        else:
            self._seconds += min(now - self._last, _MAX_STEP)
        self._last = now
        return self._seconds
