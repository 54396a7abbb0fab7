"""The settings of a process: where things lie and how long they wait. A process builds one `Settings` and hands it on.

The class body is the one table of them. Each row is a trait, whose default is read from its environment variable; so
`jupyter_server_config.py`, the environment, `imgcls-lab settings` and docs/settings.md name the same settings. A child
process gets them by `child_environment`, the secret ones in another way. Nothing else reads these variables.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from jupyter_core.paths import jupyter_data_dir
from traitlets import Bool, Float, Int, List, TraitType, Unicode
from traitlets.config import Configurable

from imgcls_lab import private_folder
from imgcls_lab.database_url import holds_password, with_password, without_secret
from imgcls_lab.errors import ForbiddenPathError, InputError, NotFoundError
from imgcls_lab.identity import host_name

G = TypeVar("G")  # what a trait gives
S = TypeVar("S")  # what it may be set to
LOCAL = "local"  # the backend of one machine
BACKENDS = (LOCAL, "ray", "slurm")
_FALSE = {"0", "false", "no", "off"}


class ListedSetting(NamedTuple):
    """One setting as it is shown, without secrets."""

    name: str
    variable: str
    value: str
    source: Literal["environment", "file", "default"]
    unit: str
    meaning: str


class Setting(TraitType[G, S]):
    """A trait whose default comes from an environment variable, else from the table. An empty variable counts as unset.

    fallback: the value without the variable; `{home}` in a text stands for the home. secret: the value may hold a
    password or a token. It is shown without it, and may come from a file that the variable with `_FILE` names.
    """

    def __init__(
        self, variable: str, fallback: Any, meaning: str, *, unit: str = "", secret: bool = False, **trait: Any
    ) -> None:
        self.variable, self.fallback, self.meaning, self.unit, self.secret = variable, fallback, meaning, unit, secret
        about = [meaning, *([f"Unit: {unit}."] if unit else []), f"Environment variable: {variable}."]
        self.file_variable = f"{variable}_FILE" if secret else None
        super().__init__(default_value=fallback, help=" ".join(about), **trait)
        self.tag(config=True)

    def default(self, obj: Any = None) -> Any:
        """Raises InputError for a variable that holds no such value."""
        text = os.environ.get(self.variable, "").strip() or self.from_file()
        return self.parse(text) if text else self.absent(obj)

    def from_file(self) -> str:
        """What the file of a secret holds; empty where no variable names one. Raises InputError."""
        path = os.environ.get(self.file_variable, "").strip() if self.file_variable else ""
        if not path:
            return ""
        try:
            return Path(path).expanduser().read_text().strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise InputError(f"The file {path} of {self.file_variable} cannot be read: {reason}.") from None

    @property
    def source(self) -> Literal["environment", "file", "default"]:
        """Where the value of this process comes from."""
        if os.environ.get(self.variable, "").strip():
            return "environment"
        return "file" if self.file_variable and os.environ.get(self.file_variable, "").strip() else "default"

    def absent(self, _settings: Any) -> Any:
        return self.fallback

    def parse(self, text: str) -> Any:
        return text

    def to_text(self, value: Any) -> str:
        """As `parse` reads it."""
        return str(value)


class Text(Setting[str, "str | bytes"], Unicode[str, "str | bytes"]):
    def absent(self, settings: Any) -> str:
        found: str = self.fallback
        if "{jupyter_data_dir}" in found:
            found = found.replace("{jupyter_data_dir}", jupyter_data_dir())
        return found.replace("{home}", str(settings.home_path)) if "{home}" in found else found


class Choice(Text):
    """One of a few words."""

    def __init__(self, variable: str, values: Sequence[str], meaning: str) -> None:
        self.values = tuple(values)
        super().__init__(variable, self.values[0], meaning)

    def validate(self, obj: Any, value: Any) -> str:  # noqa: ARG002
        """Raises InputError for another word, wherever it comes from."""
        if value not in self.values:
            words = f"{', '.join(self.values[:-1])} or {self.values[-1]}"
            raise InputError(f"{self.variable} is “{value}”. Set it to {words}.")
        return str(value)


class Number(Setting[float, "int | float"], Float[float, "int | float"]):
    def parse(self, text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise InputError(f"{self.variable} must be a number, not “{text}”.") from None


class Count(Setting[int, int], Int[int, int]):
    def parse(self, text: str) -> int:
        try:
            return int(float(text))
        except (ValueError, OverflowError):
            raise InputError(f"{self.variable} must be a number, not “{text}”.") from None


class Switch(Setting[bool, "bool | int"], Bool[bool, "bool | int"]):
    def parse(self, text: str) -> bool:
        return text.lower() not in _FALSE

    def to_text(self, value: bool) -> str:
        return str(int(value))


class Folders(Setting[list[str], list[str]], List[str]):
    def __init__(self, variable: str, meaning: str) -> None:
        super().__init__(variable, [], meaning, trait=Unicode())

    def absent(self, _settings: Any) -> list[str]:
        return []

    def parse(self, text: str) -> list[str]:
        return [folder for folder in text.split(os.pathsep) if folder]

    def to_text(self, value: list[str]) -> str:
        return os.pathsep.join(value)


@lru_cache(maxsize=16)
def _runs_of(home: str) -> Path:
    """The folder of the runs of a home with an absolute name; asked for thousands of runs in each round of a daemon."""
    return Path(home) / "runs"


class Settings(Configurable):
    """The settings of this process: name, environment variable, default, meaning, unit."""

    home = Text("IMGCLS_HOME", "{jupyter_data_dir}/imgcls_lab", "Folder of the database, runs, data sets and models.")
    db_url = Text(
        "IMGCLS_DB_URL", "sqlite:///{home}/imgcls.db", "SQLAlchemy URL of the run database. May hold a password.",
        secret=True,
    )  # fmt: skip
    datasets_dir = Text("DATASETS_DIR", "{home}/datasets", "Folder under which data sets lie.")
    allowed_roots = Folders(
        "IMGCLS_ALLOWED_ROOTS", "Further folders that requests over REST may name, separated by `os.pathsep`."
    )
    cpu_slots = Count(
        "IMGCLS_CPU_SLOTS", 1, "Runs at once on a machine without a GPU. The runs share the cores equally.", unit="runs"
    )
    backend = Choice(
        "IMGCLS_BACKEND",
        BACKENDS,
        "Where runs start: local (processes of this machine), ray or slurm (jobs of a cluster).",
    )
    node_python = Text(
        "IMGCLS_NODE_PYTHON", "",
        "Python of the cluster's nodes, which has this package. Empty: that of whoever submitted the run.",
    )  # fmt: skip
    ray_address = Text(
        "IMGCLS_RAY_ADDRESS", "http://127.0.0.1:8265", "Address of the Ray cluster's dashboard, which takes the jobs."
    )
    slurm_partition = Text("IMGCLS_SLURM_PARTITION", "", "Partition of Slurm that runs go to. Empty: its default one.")
    slurm_account = Text("IMGCLS_SLURM_ACCOUNT", "", "Account that Slurm charges. Empty: that of the user.")
    slurm_qos = Text("IMGCLS_SLURM_QOS", "", "Quality of service that runs ask Slurm for. Empty: that of the account.")
    slurm_time = Text(
        "IMGCLS_SLURM_TIME", "",
        "Time limit of a job, as sbatch takes it, such as 12:00:00. A run that needs longer saves a checkpoint and is "
        "queued again. Empty: that of the partition.",
    )  # fmt: skip
    slurm_options = Text(
        "IMGCLS_SLURM_OPTIONS",
        "",
        "Further options of sbatch for each job, such as --mem-per-cpu=4G --constraint=a100.",
    )
    autostart = Switch("IMGCLS_AUTOSTART", True, "Start the executor when a run is submitted.")
    stop_grace = Number(
        "IMGCLS_STOP_GRACE", 60.0, "Time that a stopped run has to write its checkpoint before it is killed.", unit="s"
    )
    lease = Number("IMGCLS_LEASE", 30.0, "Time without a heartbeat after which a run counts as lost.", unit="s")
    start_deadline = Number(
        "IMGCLS_START_DEADLINE", 120.0, "Time that a run has from its start to its first event.", unit="s"
    )
    poll_interval = Number("IMGCLS_POLL_INTERVAL", 0.3, "Time between two rounds of the executor.", unit="s")
    gpu_others = Number(
        "IMGCLS_GPU_OTHERS", 0.5,
        "Part of a GPU's memory that other programs may hold. Above it, runs wait for that GPU.", unit="0 to 1",
    )  # fmt: skip
    host_locks = Text(
        "IMGCLS_HOST_LOCKS", "",
        "Folder of the locks by which all users of a machine share its GPUs: root's, mode 1777. It must be the same "
        "for all users. Empty: /run/lock, or /tmp where users cannot write there.",
    )  # fmt: skip
    stall_minutes = Number(
        "IMGCLS_STALL_MINUTES", 30.0, "Time without progress after which a run gives an alert. 0: never.", unit="min"
    )
    disk_alert = Number(
        "IMGCLS_DISK_ALERT", 5.0, "Free space on the home's disk below which there is an alert. 0: never.", unit="GB"
    )
    webhook = Text("IMGCLS_WEBHOOK", "", "URL to which the executor posts each alert as JSON.", secret=True)
    cache_dir = Text(
        "IMGCLS_CACHE_DIR",
        "{home}/cache",
        "Folder of decoded images and features, which runs and audits share. Choose a local disk.",
    )
    cache_gb = Number("IMGCLS_CACHE_GB", 20.0, "Space that decoded images and features may take on disk.", unit="GB")
    thumbnails_mb = Number(
        "IMGCLS_THUMBNAILS_MB", 500.0, "Space that small pictures of images may take in the cache folder.", unit="MB"
    )
    warm_start = Switch(
        "IMGCLS_WARM_START",
        True,
        "Fork runs from a process that has the imports done. They share its 0.8 GB of memory.",
    )
    tb_idle_timeout = Number(
        "IMGCLS_TB_IDLE_TIMEOUT",
        1800.0,
        "Time after which a TensorBoard that nobody looks at ends. 0: never.",
        unit="s",
    )
    inference_idle_timeout = Number(
        "IMGCLS_INFERENCE_IDLE_TIMEOUT",
        600.0,
        "Time after which the process that applies models to single images ends without a request. 0: never.",
        unit="s",
    )
    audit_events = Count(
        "IMGCLS_AUDIT_EVENTS", 200_000, "Newest events that the record of who did what keeps.", unit="events"
    )
    allow_plugins = Switch(
        "IMGCLS_ALLOW_PLUGINS", False, "Whether configs over REST may name plugins. A plugin is code."
    )
    store_url = Text(
        "IMGCLS_STORE_URL", "",
        "URL of the object store by which the nodes of a cluster that share no disk get and send runs' folders, "
        "such as s3://bucket/folder. It holds no credentials. Empty: the home is shared.",
    )  # fmt: skip
    store_interval = Number(
        "IMGCLS_STORE_INTERVAL", 2.0, "Time between two requests for each live run to the object store.", unit="s"
    )
    node_home = Text(
        "IMGCLS_NODE_HOME", "{home}",
        "Home of a node that gets runs by an object store: a folder of its own disk. In the environment of a node, it "
        "comes before the head's.",
    )  # fmt: skip
    data_url = Text(
        "IMGCLS_DATA_URL", "",
        "URL or shared folder that holds the data sets of `DATASETS_DIR` under the same names. A run copies its data "
        "set from there to the local disk of its node. Empty: data sets are read where they are.",
    )  # fmt: skip
    staged_gb = Number(
        "IMGCLS_STAGED_GB", 100.0, "Space that copies of data sets may take in the cache folder of a node.", unit="GB"
    )
    open_proxy = Switch(
        "IMGCLS_OPEN_PROXY", False,
        "Whether jupyter-server-proxy serves ports of this machine at /proxy/PORT, to whoever may use the server.",
    )  # fmt: skip

    @classmethod
    def table(cls) -> dict[str, Setting[Any, Any]]:
        """All settings by name, in the order above."""
        return {name: trait for name, trait in vars(Settings).items() if isinstance(trait, Setting)}

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, without those that hold a secret (see `secrets`)."""
        hidden = self.secrets()
        return {
            item.variable: item.to_text(getattr(self, name))
            for name, item in self.table().items()
            if name not in hidden
        }

    def secrets(self) -> dict[str, str]:
        """The settings that hold a secret, by name: no environment, command line, log or folder may have them.

        libpq also takes the database's password from PGPASSWORD. It is then part of the URL here, since a child process
        does not get that variable.
        """
        found = {"db_url": with_password(self.db_url), "webhook": self.webhook}
        return {name: value for name, value in found.items() if value and (name != "db_url" or holds_password(value))}

    @property
    def connection_url(self) -> str:
        """The URL of the run database with all that a connection needs."""
        return self.secrets().get("db_url", self.db_url)

    def listed(self) -> list[ListedSetting]:
        """All settings as a person may read them, without secrets."""
        values = {name: item.to_text(getattr(self, name)) for name, item in self.table().items()}
        return [
            ListedSetting(
                name,
                item.variable,
                without_secret(values[name]) if item.secret else values[name],
                item.source,
                item.unit,
                item.meaning,
            )
            for name, item in self.table().items()
        ]

    @property
    def run_host(self) -> str:
        """The name under which the executor's devices and runs stand: this machine's, or its backend's."""
        return host_name() if self.backend == LOCAL else self.backend

    def with_backend(self, backend: str) -> Settings:
        """The same for runs that began under another `IMGCLS_BACKEND`."""
        found = Settings(**{name: getattr(self, name) for name in self.table()})
        found.backend = backend
        return found

    # ── the folders of a home ───────────────────────────────────────────────────────────────────────────────
    @property
    def home_path(self) -> Path:
        return Path(self.home).expanduser().absolute()

    @property
    def runs_dir(self) -> Path:
        return _runs_of(self.home) if os.path.isabs(self.home) else self.home_path / "runs"

    @property
    def backups_dir(self) -> Path:
        return self.home_path / "backups"

    @property
    def exports_dir(self) -> Path:
        """Files of projects: exported here, or uploaded."""
        return self.home_path / "exports"

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
    def compiled_dir(self) -> Path:
        """Compiled models, which are code; may be deleted."""
        return self.home_path / "compiled"

    @property
    def notebooks_dir(self) -> Path:
        """Texts of notebooks that were queued, by their hash."""
        return self.home_path / "notebooks"

    @property
    def executor_dir(self) -> Path:
        """Locks, log and process identity of this home's daemon."""
        return self.home_path / "executor"

    @property
    def executor_lock(self) -> Path:
        """The lock that this host's daemon holds while it lives."""
        return self.executor_dir / f"daemon-{host_name()}.lock"

    @property
    def executor_hold(self) -> Path:
        """A lock: while somebody holds it, this host's daemon starts no run."""
        return self.executor_dir / f"hold-{host_name()}.lock"

    @property
    def executor_info(self) -> Path:
        """Identity and version, as JSON, of this host's daemon: the one that lives, or lived last."""
        return self.executor_dir / f"daemon-{host_name()}.json"

    @property
    def executor_log(self) -> Path:
        return self.executor_dir / "daemon.log"

    @property
    def cluster_state(self) -> Path:
        """What the cluster's scheduler said last, as JSON: its nodes, the runs on each, and its queue."""
        return self.executor_dir / "cluster.json"

    def run_dir(self, run_id: str) -> Path:
        """The folder of a run. Raises NotFoundError for an id that is no folder's name: it would lead elsewhere."""
        if run_id in ("", ".", "..") or "/" in run_id or "\0" in run_id:
            raise NotFoundError(f"There is no run “{run_id[:60]}”.")
        return self.runs_dir / run_id

    def make_home(self) -> None:
        """Create the home and its folders, for this user alone (0700). Raises OSError.

        Raises UnsafeFolderError for a home that others can write to or replace.
        """
        private_folder.make(self.home_path)
        private_folder.require_home(self.home_path)
        for folder in (self.runs_dir, self.models_dir, self.executor_dir, Path(self.datasets_dir).expanduser()):
            private_folder.make(folder)

    # ── paths that requests over REST may name ──────────────────────────────────────────────────────────────
    @property
    def roots(self) -> list[Path]:
        """The folders, links resolved, that a request over REST may name."""
        names = [self.datasets_dir, str(self.models_dir), str(self.runs_dir), *self.allowed_roots]
        return [Path(name).expanduser().resolve() for name in names]

    def allowed(self, path: str | os.PathLike[str]) -> Path:
        """The path with links resolved, if it lies under an allowed root.

        Raises ForbiddenPathError otherwise. Whether the path exists is not said, so that nobody can probe the disk.
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
