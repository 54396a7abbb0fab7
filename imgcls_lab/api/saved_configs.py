"""`lab.configs()`: saved configs with their versions. Called by users and by the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from imgcls_lab.api import context
from imgcls_lab.api.validation import project_id, request
from imgcls_lab.config import TrainConfig
from imgcls_lab.schemas import ComparedField, ConfigEdit, ConfigVersionView, ConfigView
from imgcls_lab.store import Store


def configs() -> SavedConfigs:
    """The saved configs: `lab.configs()["small"].config` is one that `lab.launch` takes.

    Saving under a name that is there makes a new version; older ones stay and can be restored.

    >>> saved = lab.configs().save("two epochs", config)
    >>> lab.configs()["two epochs"].config.epochs
    2
    """
    return SavedConfigs(context.store())


class SavedConfigs(Mapping[str, "SavedConfig"]):
    """The saved configs by their names."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getitem__(self, name: str) -> SavedConfig:
        """One of a name, else of a number. Raises NotFoundError."""
        return SavedConfig(self._store, self._store.configs.find(name))

    def __iter__(self) -> Iterator[str]:
        return iter([view.name for view in self._store.configs.list()])

    def __len__(self) -> int:
        return len(self._store.configs.list())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._store.configs.named(name) is not None

    def __repr__(self) -> str:
        return f"<saved configs: {', '.join(f'“{name}”' for name in self) or 'none'}>"

    def _repr_html_(self) -> str:
        """A row for each, with the settings that differ from the defaults."""
        rows = "".join(
            f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in _cells(SavedConfig(self._store, view)))}</tr>"
            for view in self._store.configs.list()
        )
        head = "".join(f"<th>{title}</th>" for title in ("name", "version", "project", "config"))
        return f"<table><tr>{head}</tr>{rows}</table>" if rows else "<em>No saved configs yet.</em>"

    def save(
        self,
        name: str,
        config: TrainConfig | Mapping[str, Any],
        *,
        project: str | None = None,
        description: str | None = None,
    ) -> SavedConfig:
        """Save a config under a name; where the name is there, as its new version.

        What is not given of a config that is there stays. Raises ConfigError, ForbiddenError.

        >>> lab.configs().save("slow", config, description="a low rate").number
        1
        """
        values = (config if isinstance(config, TrainConfig) else TrainConfig.parse(config)).model_dump(mode="json")
        known = self._store.configs.named(name)
        given: dict[str, Any] = {"name": name, "config": values}
        if description is not None or known is not None:
            given["description"] = known.description if description is None and known is not None else description
        if project is not None:
            given["project_id"] = project_id(self._store, project, make=True)
        edit = request(ConfigEdit, **given)
        collection = self._store.configs
        return SavedConfig(self._store, collection.add(edit) if known is None else collection.edit(known.id, edit))


def _cells(saved: SavedConfig) -> tuple[object, ...]:
    return saved.name, saved.number, saved.project, saved.config


class SavedConfig:
    """A saved config. name: in the registry; number: of its newest version; config: what that holds."""

    def __init__(self, store: Store, view: ConfigView) -> None:
        self._store = store
        self._view = view

    @property
    def name(self) -> str:
        return self._view.name

    @property
    def number(self) -> int:
        return self._view.version

    @property
    def config(self) -> TrainConfig:
        return TrainConfig.parse_saved(self._view.config)

    @property
    def project(self) -> str:
        return self._view.project

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self)[1:-1])}</p>{self.config._repr_html_()}"

    def __repr__(self) -> str:
        return f"<config “{self.name}”, version {self.number}, of the project “{self._view.project}”>"

    def versions(self) -> list[ConfigVersionView]:
        """All versions, the newest first.

        >>> lab.configs().save("older", config).versions()[-1].number
        1
        """
        return [*self._store.configs.versions(self._view.id)]

    def version(self, number: int) -> TrainConfig:
        """What an older version holds. Raises NotFoundError.

        >>> lab.configs().save("older", config).version(1) == config
        True
        """
        return TrainConfig.parse_saved(self._store.configs.config_of(self._view.id, number))

    def difference(self, number: int | None = None, against: int | None = None) -> list[ComparedField]:
        """The settings in which a version (by default the newest) differs from another one, or from the defaults.

        >>> saved = lab.configs().save("rates", config)
        >>> saved = lab.configs().save("rates", config.with_changes(lr=0.5))
        >>> [field.name for field in saved.difference(against=saved.number - 1)]
        ['lr']
        """
        return self._store.configs.difference(self._view.id, number, against)

    def restore(self, number: int) -> SavedConfig:
        """Make an older version the newest. Raises NotFoundError, ForbiddenError.

        >>> saved = lab.configs().save("older", config)
        >>> saved.restore(1).config == config
        True
        """
        return SavedConfig(self._store, self._store.configs.restore(self._view.id, number))

    def edit(
        self, *, name: str | None = None, project: str | None = None, description: str | None = None
    ) -> SavedConfig:
        """Change what is given; what it holds stays, and is its newest version. Raises ForbiddenError, ConflictError.

        >>> lab.configs().save("sizes", config).edit(description="of images").name
        'sizes'
        """
        given: dict[str, Any] = {"name": name or self.name, "config": self._view.config}
        given["description"] = self._view.description if description is None else description
        if project is not None:
            given["project_id"] = project_id(self._store, project, make=True)
        return SavedConfig(self._store, self._store.configs.edit(self._view.id, request(ConfigEdit, **given)))

    def delete(self) -> None:
        """Delete it with its versions; runs hold copies of their own. Raises ForbiddenError.

        >>> lab.configs().save("gone", config).delete()
        >>> "gone" in lab.configs()
        False
        """
        self._store.configs.delete(self._view.id)
