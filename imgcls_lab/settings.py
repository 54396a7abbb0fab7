"""Where things live and how long things wait. Read from traitlets config and from environment variables.

Every process builds one `Settings` at its start and hands it on; nobody reads the environment elsewhere.
The server extension's traits and the variables below are the same settings under two names; a child process
gets them by `Settings.environment()`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

from jupyter_core.paths import jupyter_data_dir
from traitlets import Bool, Float, Int, List, Unicode, default
from traitlets.config import Configurable

from imgcls_lab.errors import ForbiddenPathError, InputError

_FALSE = {"", "0", "false", "no", "off"}


class Listed(NamedTuple):
    """One setting as it is shown. source: environment or default."""

    name: str
    variable: str
    value: str
    source: str
    meaning: str


class Settings(Configurable):
    """The settings of this process. Each trait names the environment variable that gives its default."""

    home = Unicode(help="Folder of the database, runs, data sets and models (IMGCLS_HOME).").tag(config=True)
    db_url = Unicode(
        help="SQLAlchemy URL of the run database (IMGCLS_DB_URL); by default SQLite in `home`. May hold a password."
    ).tag(config=True)
    datasets_dir = Unicode(help="Folder under which data sets lie (DATASETS_DIR).").tag(config=True)
    allowed_roots = List(
        Unicode(),
        help="Further folders that requests over REST may name (IMGCLS_ALLOWED_ROOTS, separated by os.pathsep).",
    ).tag(config=True)
    cpu_slots = Int(
        help="Runs at once on a machine without a GPU; each run has its share of the cores (IMGCLS_CPU_SLOTS)."
    ).tag(config=True)
    autostart = Bool(help="Start the executor when a run is submitted (IMGCLS_AUTOSTART).").tag(config=True)
    stop_grace = Float(
        help="Seconds a stopped run has to write its checkpoint before it is killed (IMGCLS_STOP_GRACE)."
    ).tag(config=True)
    lease = Float(help="Seconds without a heartbeat after which a run counts as lost (IMGCLS_LEASE).").tag(config=True)
    start_deadline = Float(help="Seconds a run has from its start to its first event (IMGCLS_START_DEADLINE).").tag(
        config=True
    )
    poll_interval = Float(help="Seconds between two rounds of the daemon (IMGCLS_POLL_INTERVAL).").tag(config=True)
    gpu_others = Float(
        help="Share (0 to 1) of a GPU's memory that other programs may hold before runs wait (IMGCLS_GPU_OTHERS)."
    ).tag(config=True)
    stall_minutes = Float(
        help="Minutes without progress after which a run gives an alert; 0: never (IMGCLS_STALL_MINUTES)."
    ).tag(config=True)
    disk_alert = Float(
        help="Free gigabytes on the home's disk below which there is an alert; 0: never (IMGCLS_DISK_ALERT)."
    ).tag(config=True)
    webhook = Unicode(help="URL to which the executor posts each alert as JSON (IMGCLS_WEBHOOK).").tag(config=True)
    cache_dir = Unicode(
        help="Folder of decoded images, which runs share; a local disk, by default in `home` (IMGCLS_CACHE_DIR)."
    ).tag(config=True)
    cache_gb = Float(help="Gigabytes that decoded images may take on disk (IMGCLS_CACHE_GB).").tag(config=True)
    warm_start = Bool(
        help="Fork runs from a process that has the imports done, about 0.8 GB that they share (IMGCLS_WARM_START)."
    ).tag(config=True)
    tb_idle_timeout = Float(
        help="Seconds after which a TensorBoard that nobody looks at ends; 0: never (IMGCLS_TB_IDLE_TIMEOUT)."
    ).tag(config=True)

    allow_plugins = Bool(
        help="Whether configs over REST may name plugins, which are code; off by default (IMGCLS_ALLOW_PLUGINS)."
    ).tag(config=True)

    # trait name -> environment variable. The one place where they are paired.
    VARIABLES: ClassVar[dict[str, str]] = {
        "home": "IMGCLS_HOME",
        "db_url": "IMGCLS_DB_URL",
        "datasets_dir": "DATASETS_DIR",
        "allowed_roots": "IMGCLS_ALLOWED_ROOTS",
        "cpu_slots": "IMGCLS_CPU_SLOTS",
        "autostart": "IMGCLS_AUTOSTART",
        "stop_grace": "IMGCLS_STOP_GRACE",
        "lease": "IMGCLS_LEASE",
        "start_deadline": "IMGCLS_START_DEADLINE",
        "poll_interval": "IMGCLS_POLL_INTERVAL",
        "gpu_others": "IMGCLS_GPU_OTHERS",
        "stall_minutes": "IMGCLS_STALL_MINUTES",
        "disk_alert": "IMGCLS_DISK_ALERT",
        "webhook": "IMGCLS_WEBHOOK",
        "cache_dir": "IMGCLS_CACHE_DIR",
        "cache_gb": "IMGCLS_CACHE_GB",
        "warm_start": "IMGCLS_WARM_START",
        "tb_idle_timeout": "IMGCLS_TB_IDLE_TIMEOUT",
        "allow_plugins": "IMGCLS_ALLOW_PLUGINS",
    }

    # what may hold a password or a token is shown without it
    SECRETS: ClassVar[frozenset[str]] = frozenset({"db_url", "webhook"})

    @default("home")
    def _home(self) -> str:
        return _variable("IMGCLS_HOME") or str(Path(jupyter_data_dir()) / "imgcls_lab")

    @default("db_url")
    def _db_url(self) -> str:
        return _variable("IMGCLS_DB_URL") or f"sqlite:///{self.home_path / 'imgcls.db'}"

    @default("datasets_dir")
    def _datasets_dir(self) -> str:
        return _variable("DATASETS_DIR") or str(self.home_path / "datasets")

    @default("allowed_roots")
    def _allowed_roots(self) -> list[str]:
        return [root for root in _variable("IMGCLS_ALLOWED_ROOTS").split(os.pathsep) if root]

    @default("cpu_slots")
    def _cpu_slots(self) -> int:
        return int(_number("IMGCLS_CPU_SLOTS", 1))

    @default("autostart")
    def _autostart(self) -> bool:
        return _variable("IMGCLS_AUTOSTART", "1").lower() not in _FALSE

    @default("stop_grace")
    def _stop_grace(self) -> float:
        return _number("IMGCLS_STOP_GRACE", 60)

    @default("lease")
    def _lease(self) -> float:
        return _number("IMGCLS_LEASE", 30)

    @default("start_deadline")
    def _start_deadline(self) -> float:
        return _number("IMGCLS_START_DEADLINE", 120)

    @default("poll_interval")
    def _poll_interval(self) -> float:
        return _number("IMGCLS_POLL_INTERVAL", 0.3)

    @default("gpu_others")
    def _gpu_others(self) -> float:
        return _number("IMGCLS_GPU_OTHERS", 0.5)

    @default("stall_minutes")
    def _stall_minutes(self) -> float:
        return _number("IMGCLS_STALL_MINUTES", 30)

    @default("disk_alert")
    def _disk_alert(self) -> float:
        return _number("IMGCLS_DISK_ALERT", 5)

    @default("webhook")
    def _webhook(self) -> str:
        return _variable("IMGCLS_WEBHOOK")

    @default("cache_dir")
    def _cache_dir(self) -> str:
        return _variable("IMGCLS_CACHE_DIR") or str(self.home_path / "cache")

    @default("cache_gb")
    def _cache_gb(self) -> float:
        return _number("IMGCLS_CACHE_GB", 20)

    @default("warm_start")
    def _warm_start(self) -> bool:
        return _variable("IMGCLS_WARM_START", "1").lower() not in _FALSE

    @default("tb_idle_timeout")
    def _tb_idle_timeout(self) -> float:
        return _number("IMGCLS_TB_IDLE_TIMEOUT", 1800)

    @default("allow_plugins")
    def _allow_plugins(self) -> bool:
        return _variable("IMGCLS_ALLOW_PLUGINS").lower() not in _FALSE

    @property
    def home_path(self) -> Path:
        return Path(self.home).expanduser().absolute()

    @property
    def runs_dir(self) -> Path:
        return self.home_path / "runs"

    @property
    def backups_dir(self) -> Path:
        return self.home_path / "backups"

    @property
    def models_dir(self) -> Path:
        return self.home_path / "models"

    @property
    def scans_dir(self) -> Path:
        """What scans learned of data sets; may be deleted."""
        return self.home_path / "scans"

    @property
    def cache_path(self) -> Path:
        """Decoded images; may be deleted."""
        return Path(self.cache_dir).expanduser().absolute()

    @property
    def notebooks_dir(self) -> Path:
        """Texts of notebooks that were queued, by their hash."""
        return self.home_path / "notebooks"

    @property
    def executor_dir(self) -> Path:
        """Locks, log and process identity of this home's daemon."""
        return self.home_path / "executor"

    def run_dir(self, run_id: str) -> Path:
        return self.runs_dir / run_id

    @property
    def roots(self) -> list[Path]:
        """The folders, links resolved, that a request over REST may name."""
        names = [self.datasets_dir, str(self.models_dir), str(self.runs_dir), *self.allowed_roots]
        return [Path(name).expanduser().resolve() for name in names]

    def allowed(self, path: str | os.PathLike[str]) -> Path:
        """The path with links resolved, if it lies under an allowed root.

        Raises ForbiddenPathError otherwise; whether it exists is not said, so that nobody can probe the disk.
        """
        text = os.fspath(path)
        if "\0" in text:
            raise ForbiddenPathError("A path cannot hold a NUL character.")
        resolved = Path(text).expanduser().resolve()
        if any(resolved.is_relative_to(root) for root in self.roots):
            return resolved
        raise ForbiddenPathError(
            f"“{text}” lies outside the folders this server may read. Put the data under {self.datasets_dir} "
            "or name its folder in IMGCLS_ALLOWED_ROOTS before the server starts."
        )

    def make_home(self) -> None:
        """Create the home and its rooms, for this user alone (0700)."""
        for folder in (self.home_path, self.runs_dir, self.models_dir, self.executor_dir, Path(self.datasets_dir)):
            folder.expanduser().mkdir(mode=0o700, parents=True, exist_ok=True)

    def listed(self) -> list[Listed]:
        """All settings as a person may read them, without secrets."""
        return [
            Listed(
                name=trait,
                variable=variable,
                value=_without_secret(value) if trait in self.SECRETS else value,
                source="environment" if os.environ.get(variable, "").strip() else "default",
                meaning=str(self.traits()[trait].help).replace(f" ({variable})", "").replace(f"{variable}, ", ""),
            )
            for (trait, variable), value in zip(self.VARIABLES.items(), self.environment().values(), strict=True)
        ]

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, for a child process. May hold the database's password."""
        return {variable: self._as_text(getattr(self, trait)) for trait, variable in self.VARIABLES.items()}

    @staticmethod
    def _as_text(value: Any) -> str:
        if isinstance(value, list):
            return os.pathsep.join(value)
        return str(int(value)) if isinstance(value, bool) else str(value)


def _without_secret(url: str) -> str:
    """A URL without password and query; of a web address also without its path, which is often a token."""
    if not url or url.startswith("sqlite:"):
        return url
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "***"
    place = f"{parts.username}:***@" if parts.password else f"{parts.username}@" if parts.username else ""
    path = "/…" if parts.scheme in ("http", "https") and len(parts.path) > 1 else parts.path
    return f"{parts.scheme}://{place}{parts.hostname or ''}{port}{path}"


def _variable(name: str, fallback: str = "") -> str:
    return os.environ.get(name, fallback).strip()


def _number(name: str, fallback: float) -> float:
    text = _variable(name) or str(fallback)
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{name} must be a number, not “{text}”.") from None
