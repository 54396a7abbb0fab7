"""What every handler works with: the settings, the store, and threads for all that may block.

Built once by `app.py` and given to each handler as an argument. The event loop only waits here. The store is opened for
the first request, in a thread: an unreachable database does not delay JupyterLab, and each request gets a sentence.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from logging import Logger, LoggerAdapter
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from imgcls_lab.errors import ExecutorError, ImgclsError, StoreError
from imgcls_lab.schemas import DevicesReply
from imgcls_lab.server.jobs import Jobs
from imgcls_lab.server.kernel_lookup import KernelLookup
from imgcls_lab.server.pools import SIZES, Pool, Work
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store

T = TypeVar("T")
AnyLogger = Logger | LoggerAdapter[Any]

RETRY = 2.0  # seconds for which a failed opening of the store is not tried again
CLOSING = 5.0  # seconds that running queries have when the server stops


class Backend:
    """Settings, store and threads of one server process."""

    def __init__(self, settings: Settings, log: AnyLogger) -> None:
        self.settings = settings
        self.kernels = KernelLookup()
        self.log = log
        self._pools = {work: Pool(work, size) for work, size in SIZES.items()}
        self._starts = ThreadPoolExecutor(1, thread_name_prefix="imgcls-executor")
        self._opening = threading.Lock()
        self._store: Store | None = None
        self._failure: tuple[float, ImgclsError] | None = None
        self._waking = False
        self._secrets = _secrets(settings.db_url)
        self.jobs = Jobs(self.ask, self.scrub, log)

    async def run(self, call: Callable[[], T], work: Work = "query") -> T:
        """What `call` returns, run in a thread for this kind of work. Raises BusyError where too many calls wait."""
        return await self._pools[work].run(call)

    async def ask(self, query: Callable[[Store], T], work: Work = "query") -> T:
        """What `query` returns, run in a thread with the store. Raises BusyError; StoreError if it cannot be opened."""
        return await self.run(lambda: query(self.store()), work)

    def store(self) -> Store:
        """The open store; blocks while it is opened, so only for threads. Raises StoreError."""
        with self._opening:
            if self._store is not None:
                return self._store
            if self._failure and time.monotonic() - self._failure[0] < RETRY:
                raise self._failure[1]
            try:
                self.settings.make_home()
                self._store = Store.open(self.settings, migrate=True, way="panel")
            except ImgclsError as error:
                self._failure = (time.monotonic(), error)
                raise
            except OSError as error:
                failure = StoreError(
                    f"The folder {self.settings.home_path} cannot be used ({error.strerror}). "
                    "Make it writable, or set IMGCLS_HOME to another folder."
                )
                self._failure = (time.monotonic(), failure)
                raise failure from error
            return self._store

    # ── executor ────────────────────────────────────────────────────────────────────────────────────────────
    def wake_executor(self) -> None:
        """Start a daemon if none lives, without waiting. A failure is logged; the devices' reply shows it to users."""
        if self._waking:
            return
        self._waking = True
        self._starts.submit(self._ensure)

    async def start_executor(self) -> DevicesReply:
        """Start the daemon now, and the devices it reports. Raises ExecutorError."""
        from imgcls_lab.executor import client

        await self.run(self.store)  # the server migrates before the daemon looks
        await asyncio.get_running_loop().run_in_executor(self._starts, client.start, self.settings)
        return await self.ask(self.kernels.devices)

    async def stop_executor(self) -> DevicesReply:
        """End the daemon of this host, whose runs go on, and the devices as they stand then. Raises ExecutorError."""
        from imgcls_lab.executor import client

        await asyncio.get_running_loop().run_in_executor(self._starts, client.stop, self.settings)
        return await self.ask(self.kernels.devices)

    def _ensure(self) -> None:
        from imgcls_lab.executor import client

        self._waking = False  # a later submit starts it again
        try:
            self.store()  # the server migrates before the daemon looks
            client.ensure(self.settings)
        except (ExecutorError, StoreError) as error:
            self.log.warning("%s", self.scrub(str(error)))
        except Exception as error:
            self.log.error("The executor could not be started.\n%s", self.describe(error))

    # ── secrets ─────────────────────────────────────────────────────────────────────────────────────────────
    def scrub(self, text: str) -> str:
        """The text without the database's password."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def describe(self, error: BaseException) -> str:
        """The error's traceback for the log, without the database's password."""
        return self.scrub("".join(traceback.format_exception(error)))

    async def close(self) -> None:
        """Wait a few seconds for running queries, and close the store."""

        self.jobs.close()

        def finish() -> None:
            for pool in self._pools.values():
                pool.close()
            self._starts.shutdown(wait=True, cancel_futures=True)
            with self._opening:
                if self._store is not None:
                    self._store.close()
                    self._store = None

        closer = threading.Thread(target=finish, name="imgcls-close", daemon=True)
        closer.start()
        deadline = time.monotonic() + CLOSING
        while closer.is_alive() and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if closer.is_alive():
            self.log.warning("A query of the run database is still running; the server stops without its result.")


def _secrets(url: str) -> tuple[str, ...]:
    """The password in a database URL, as it is and as URLs spell it."""
    try:
        password = make_url(url).password
    except ArgumentError:
        return (url,)  # not a URL: any part may be the secret
    if not password:
        return ()
    text = str(password)
    return tuple({text, quote(text), quote(text, safe="")})
