"""Named tables: losses, optimizers, schedules and recipes are looked up here by the name that the config gives.

A room of the engine makes a `Registry` and fills it; a user's plugin file adds to it. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from imgcls_lab.errors import ConfigError, Problem, unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """Things by name. `kind` is what an error calls them ("loss"); `field` the config field that names one."""

    def __init__(self, kind: str, field: str | None = None) -> None:
        self.kind = kind
        self.field = field or kind
        self._things: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that gives what it decorates a name. Raises ConfigError if another has it."""

        def add(thing: T) -> T:
            if name in self._things:
                text = f"There is a {self.kind} “{name}” already; give yours another name."
                raise ConfigError(text, [Problem(self.field, text)])
            self._things[name] = thing
            return thing

        return add

    def get(self, name: str) -> T:
        """What has that name. Raises ConfigError, which names those that come close."""
        if name in self._things:
            return self._things[name]
        text = unknown(self.kind, name, self.names())
        raise ConfigError(text, [Problem(self.field, text)])

    def names(self) -> list[str]:
        """All names, in the order they were registered."""
        return list(self._things)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """What is registered inside is forgotten at the end, so that one run's plugins are not another's."""
        before = dict(self._things)
        try:
            yield
        finally:
            self._things = before

    def __contains__(self, name: object) -> bool:
        return name in self._things
