"""Ray as the outer scheduler, by the Jobs API of its dashboard over HTTP. Called by `JobWatch` and `doctor`.

Needs no Ray in this process, so the versions of Ray and Python here and there need not agree. A job's id is its
submission id; Ray refuses a second one. Ray ends a job with SIGTERM and waits as long as the job's own environment
says. A run of several nodes is one job, whose nodes are a placement group (`ray_nodes.py`).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shlex
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

from imgcls_lab.entry_points import RAY_NODES
from imgcls_lab.errors import ExecutorError, SchedulerAwayError
from imgcls_lab.executor.backends.job_scheduler import Finding, Job, JobState, JobStatus, Node
from imgcls_lab.plurals import counted
from imgcls_lab.settings import Settings

RAY = "ray"  # its name in IMGCLS_BACKEND
TIMEOUT = 10.0  # seconds of silence within one answer of the dashboard
SLOWEST, LARGEST = 60.0, 2**26  # seconds and bytes of one answer
STOP_MARGIN = 10  # seconds that Ray waits longer than our own grace
SMALL = 0.01  # CPUs of a task that needs no device: without resources, it would start on the head
MIN_VERSION = (2, 9)
_OLDEST = ".".join(map(str, MIN_VERSION))
_STATES = {"PENDING": JobState.WAITING, "RUNNING": JobState.RUNNING}
_KIND = "accelerator_type:"  # begins the name of a resource by which Ray tells the kind of a node's GPUs


class RayScheduler:
    """The Ray cluster of `IMGCLS_RAY_ADDRESS`."""

    title = "Ray"

    def __init__(self, settings: Settings) -> None:
        self._address = settings.ray_address.rstrip("/")
        self._grace = settings.stop_grace
        self._names: dict[str, str] = {}  # id of a node -> its name
        self._waiting = 0

    # ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────
    def submit(self, job: Job) -> None:
        request: dict[str, Any] = {
            "submission_id": job.id,
            "entrypoint": shlex.join(job.argv),
            "runtime_env": {"env_vars": dict(job.environment) | self._stop_wait()},
            "metadata": {"name": job.id},
            "entrypoint_num_cpus": job.cpus or SMALL,
            "entrypoint_num_gpus": job.gpus,
        }
        if job.kind:
            request["entrypoint_resources"] = {f"{_KIND}{job.kind}": 0.001}
        # The job itself takes the nodes, and starts on the head: what it held elsewhere, its nodes might wait for.
        if job.nodes > 1:
            shape = json.dumps({"nodes": job.nodes, "gpus": job.gpus, "cpus": job.cpus, "kind": job.kind})
            request |= {
                "entrypoint": shlex.join(RAY_NODES.argv(job.argv[0], shape, *job.argv)),
                "entrypoint_num_cpus": 0,
                "entrypoint_num_gpus": 0,
                "entrypoint_resources": {},
            }
        try:
            self._ask("/api/jobs/", request)
        except _AnswerError as error:
            if "already exists" in error.text:
                return
            if error.code == 400:
                raise ExecutorError(f"Ray refuses the job: {_without(error.text, job)[:300]}") from None
            raise self._away(_AnswerError(error.code, _without(error.text, job))) from None

    def _stop_wait(self) -> dict[str, str]:
        return {"RAY_JOB_STOP_WAIT_TIME_S": str(int(self._grace) + STOP_MARGIN)}

    def status(self, ids: Collection[str]) -> dict[str, JobStatus]:
        rows, missing = self._list(), JobStatus(JobState.MISSING)
        with self._understood():
            jobs = {row["submission_id"]: row for row in rows if row.get("submission_id")}
            self._waiting = sum(row["status"] == "PENDING" for row in jobs.values())
            return {name: self._status_of(jobs[name]) if name in jobs else missing for name in ids}

    def _list(self) -> list[dict[str, Any]]:
        found = self._get("/api/jobs/")
        if not isinstance(found, list):
            raise self._no_dashboard()
        return found

    def _status_of(self, row: dict[str, Any]) -> JobStatus:
        state = _STATES.get(row["status"], JobState.ENDED)
        node = self._names.get(row.get("driver_node_id") or "")
        message = _first_line(row.get("message")) if state is JobState.ENDED else ""  # else it says the state again
        return JobStatus(state, message, (node,) if node else (), row.get("driver_exit_code"))

    def cancel(self, job: str, grace: float) -> None:  # noqa: ARG002 - Ray waits as long as the job was given
        try:
            self._ask(f"/api/jobs/{quote(job)}/stop", {})
        except _AnswerError as error:
            if error.code != 404:
                raise self._away(error) from None

    def log(self, job: str) -> str:
        try:
            answer = self._ask(f"/api/jobs/{quote(job)}/logs")
            with self._understood():
                return str(answer.get("logs") or "")
        except _AnswerError as error:  # its node has died, or the job is unknown
            if error.code in (404, 500):
                return ""
            raise self._away(error) from None

    # ── nodes ───────────────────────────────────────────────────────────────────────────────────────────────
    def nodes(self) -> list[Node]:
        answer, used = self._get("/api/v0/nodes?detail=1&limit=10000"), self._used()
        with self._understood():
            rows = answer["data"]["result"]["result"]
            self._names = {row["node_id"]: str(row["node_name"] or row["node_ip"]) for row in rows}
            alive_names = {self._names[row["node_id"]] for row in rows if row["state"] == "ALIVE"}
            found = [_node(row, self._names[row["node_id"]], used.get(row["node_id"], {})) for row in rows]
            dead = {node.name: node for node in found if not node.alive and node.name not in alive_names}
            return [node for node in found if node.alive] + list(dead.values())

    def _used(self) -> dict[str, dict[str, float]]:
        """Of each node, how much of each resource is in use. A node that is missing here uses nothing that is known."""
        answer = self._get("/api/cluster_status")
        with self._understood():
            report = (answer["data"].get("clusterStatus") or {}).get("loadMetricsReport") or {}
            return {
                node: {name: float(use[0]) for name, use in resources.items()}
                for node, resources in (report.get("usageByNode") or {}).items()
            }

    def queue_length(self) -> int:
        return self._waiting

    def check(self) -> list[Finding]:
        try:
            version = self._version()
            if _numbers(version) < MIN_VERSION:
                old = f"The cluster has Ray {version}. Upgrade Ray on all of its nodes to {_OLDEST} or newer."
                return [Finding("ray", False, old)]
            nodes = self.nodes()
            self.status(())
        except SchedulerAwayError as error:
            return [Finding("ray", False, str(error))]
        waiting = "1 job waits" if self._waiting == 1 else f"{self._waiting} jobs wait"
        return [
            Finding("ray", True, f"Ray {version} answers at {self._address}."),
            *(
                Finding("nodes", False, f"The node {node.name} is down: {node.reason}")
                for node in nodes
                if not node.alive
            ),
            _nodes_finding(nodes),
            Finding("queue", True, f"{waiting} in Ray's own queue."),
        ]

    def _version(self) -> str:
        answer = self._get("/api/version")
        with self._understood():
            return str(answer["ray_version"])[:100]

    def close(self) -> None:
        """Every question has a connection of its own."""

    # ── HTTP ────────────────────────────────────────────────────────────────────────────────────────────────
    def _get(self, path: str) -> Any:
        """Raises SchedulerAwayError."""
        try:
            return self._ask(path)
        except _AnswerError as error:
            raise self._away(error) from None

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Raises SchedulerAwayError where nobody answers, and _AnswerError for an answer that is no success."""
        if urlsplit(self._address).scheme not in ("http", "https"):
            raise SchedulerAwayError(
                f"IMGCLS_RAY_ADDRESS is “{self._address}”. Give the address of Ray's dashboard, such as "
                "http://HEAD:8265, not that of its other ports."
            )
        headers = {"Content-Type": "application/json", **_authorization()}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._address}{path}", data, headers)  # noqa: S310 - checked above
        try:
            try:
                with _OPENER.open(request, timeout=TIMEOUT) as reply:
                    return json.loads(_content(reply, LARGEST))
            except urllib.error.HTTPError as error:
                raise _AnswerError(error.code, _content(error, 10_000).decode(errors="replace").strip()) from None
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError, http.client.BadStatusLine):
            raise self._no_dashboard() from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise SchedulerAwayError(
                f"Ray's dashboard at {self._address} does not answer ({reason}). Check IMGCLS_RAY_ADDRESS, that the "
                "head of the cluster runs, and that its dashboard is open to this host (`ray start --head "
                "--dashboard-host=0.0.0.0`)."
            ) from None

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        """Around the reading of an answer. Raises SchedulerAwayError where it is not built as Ray's are."""
        try:
            yield
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise self._no_dashboard(type(error).__name__) from None

    def _no_dashboard(self, detail: str = "") -> SchedulerAwayError:
        about = f" ({detail})" if detail else ""
        return SchedulerAwayError(
            f"At {self._address} answers something that is no dashboard of Ray {_OLDEST} or newer{about}: another "
            "program, or another of Ray's ports. Give the dashboard's address in IMGCLS_RAY_ADDRESS, such as "
            "http://HEAD:8265."
        )

    def _away(self, error: _AnswerError) -> SchedulerAwayError:
        if error.code in (401, 403):
            return SchedulerAwayError(
                f"Ray's dashboard at {self._address} asks for a token. Set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH for "
                "the executor and restart it."
            )
        if error.code in (404, 405, 501):
            return self._no_dashboard()
        if 300 <= error.code < 400:
            return SchedulerAwayError(
                f"{self._address} sends elsewhere. Set IMGCLS_RAY_ADDRESS to the address of the dashboard itself: a "
                "token is given to no other."
            )
        return SchedulerAwayError(f"Ray's dashboard at {self._address} fails ({error.code}): {error.text[-300:]}")


class _AnswerError(Exception):
    """An answer of the dashboard that is no success."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Jobs and token are for one address. By default, urllib sends both to wherever an answer points."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _content(reply: Any, most: int) -> bytes:
    """The bytes of an answer. Raises OSError for one that is too large or takes too long."""
    until, found = time.monotonic() + SLOWEST, bytearray()
    while block := reply.read1(2**16):
        found += block
        if len(found) > most:
            raise OSError("its answer is too large")
        if time.monotonic() > until:
            raise OSError("its answer does not end")
    return bytes(found)


def _without(text: str, job: Job) -> str:
    """An answer without what came with the job: it becomes the message of a run."""
    for value in job.environment.values():
        text = text.replace(value, "…")
    return text


def _authorization() -> dict[str, str]:
    """The header of a cluster that asks for a token, which stands where Ray itself looks for it.

    Raises SchedulerAwayError for a token that is none: the library's own message would show it.
    """
    token = os.environ.get("RAY_AUTH_TOKEN", "").strip()
    if not token:
        path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
        try:
            token = path.read_text().strip() if path.is_file() else ""
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise SchedulerAwayError(f"The file {path} with Ray's token cannot be read: {reason}.") from None
    if not (token.isascii() and token.isprintable()):
        raise SchedulerAwayError("Ray's token holds a line break or another odd character. Correct RAY_AUTH_TOKEN.")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _first_line(message: str | None) -> str:
    lines = (message or "").strip().splitlines()
    return lines[0][:300] if lines else ""


def _node(row: dict[str, Any], name: str, used: dict[str, float]) -> Node:
    total = cast(dict[str, float], row.get("resources_total") or {})
    gpus, alive = int(total.get("GPU", 0)), row["state"] == "ALIVE"
    kind = next((key.removeprefix(_KIND) for key in sorted(total) if key.startswith(_KIND)), "")
    free = int(total.get("GPU", 0) - used.get("GPU", 0)) if alive else 0
    reason = "" if alive else _first_line(row.get("state_message")) or "Ray has lost it."
    return Node(name, gpus, free, kind, alive, int(total.get("CPU", 0)), reason)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _nodes_finding(nodes: list[Node]) -> Finding:
    alive = [node for node in nodes if node.alive]
    gpus, free = sum(node.gpus for node in alive), sum(node.free_gpus for node in alive)
    kinds = sorted({node.kind for node in alive if node.kind})
    if not alive:
        return Finding("nodes", False, "No node of the cluster lives. Start some with `ray start --address=HEAD:6379`.")
    of_kind = f" ({', '.join(kinds)})" if kinds else ""
    if not gpus:
        text = f"{counted(len(alive), 'node')} without a GPU, so runs train on the CPU. A node joins with its GPUs by "
        return Finding("nodes", True, f"{text}`ray start --address=HEAD:6379`, or with `--num-gpus=N`.", note=True)
    text = f"{counted(len(alive), 'node')} with {counted(gpus, 'GPU')}{of_kind}, {free} of them free."
    return Finding("nodes", True, text)
