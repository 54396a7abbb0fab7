"""Named tables: losses, optimizers, schedules and recipes are looked up here by the name that the config gives.

A package of the engine makes a `Registry` and fills it; a user's plugin file adds to it. Noentry here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from imgcls_lab.errors import ConfigError, Problem, unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """Entries by name. kind: what an error calls them ("loss"); field: the config field that names one."""

    def __init__(self, kind: str, field: str | None = None) -> None:
        self.kind = kind
        self.field = field or kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that registers an entry under a name. Raises ConfigError if the name is taken."""

        def add(entry: T) -> T:
            if name in self._entries:
                text = f"There is a {self.kind} “{name}” already; give yours another name."
                raise ConfigError(text, [Problem(self.field, text)])
            self._entries[name] = entry
            return entry

        return add

    def get(self, name: str) -> T:
        """The entry of that name. Raises ConfigError, which suggests similar names."""
        if name in self._entries:
            return self._entries[name]
        text = unknown(self.kind, name, self.names())
        raise ConfigError(text, [Problem(self.field, text)])

    def names(self) -> list[str]:
        """All names, in the order they were registered."""
        return list(self._entries)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """What is registered inside is forgotten at the end, so that one run's plugins are not another's."""
        before = dict(self._entries)
        try:
            yield
        finally:
            self._entries = before

    def __contains__(self, name: object) -> bool:
        return name in self._entries
