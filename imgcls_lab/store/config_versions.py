"""The versions of saved configs: a save that changes one adds a version, and older ones stay as they were.

Called by `store.configs`, and by a rebuild.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from imgcls_lab.config.saved import upgraded
from imgcls_lab.errors import InputError, NotFoundError
from imgcls_lab.schemas import ComparedField, ConfigVersionView
from imgcls_lab.schemas.limits import MAX_VERSIONS
from imgcls_lab.store import audit
from imgcls_lab.store.compared_settings import default_settings, settings_beside, settings_differ
from imgcls_lab.store.tables import Config, ConfigVersion


def newest_numbers(session: Session) -> dict[int, int]:
    """By config: the number of its newest version."""
    asked = select(ConfigVersion.config_id, func.max(ConfigVersion.number)).group_by(col(ConfigVersion.config_id))
    return dict(session.exec(asked).all())


def note(session: Session, row: Config) -> None:
    """Add a version where the config is another one than that of its newest. Raises InputError for too many."""
    newest = _newest(session, row.id or 0)
    if newest is not None and upgraded(newest.config) == row.config:
        return
    number = 1 if newest is None else newest.number + 1
    if number > MAX_VERSIONS:
        raise InputError(
            f"The config “{row.name}” has {MAX_VERSIONS} versions, which is the limit. Save it under another name.",
            reason="many_versions",
        )
    version = ConfigVersion(
        config_id=row.id or 0, number=number, author=audit.actor_of(session).user, created_at=time.time(),
        config=row.config,
    )  # fmt: skip
    session.add(version)
    session.flush()
    session.info["registry"] = True


def views(session: Session, row: Config) -> list[ConfigVersionView]:
    """All versions of a config, the newest first."""
    mine = select(ConfigVersion).where(ConfigVersion.config_id == row.id)
    rows = session.exec(mine.order_by(col(ConfigVersion.number))).all()
    befores: list[Mapping[str, Any] | None] = [None, *(upgraded(version.config) for version in rows)]
    found = []
    for version, (before, config) in zip(rows, pairwise(befores), strict=True):
        fields = difference(before, config or {}) if before is not None else []
        found.append(
            ConfigVersionView(
                **version.model_dump(exclude={"config"}), config=dict(config or {}),
                changed=[field.name for field in fields],
            )
        )  # fmt: skip
    return found[::-1]


def config_of(session: Session, row: Config, number: int | None) -> dict[str, Any]:
    """The config of a version; number None: of the newest. Raises NotFoundError."""
    if number is None:
        return dict(row.config)
    version = session.get(ConfigVersion, (row.id, number))
    if version is None:
        newest = _newest(session, row.id or 0)
        raise NotFoundError(
            f"The config “{row.name}” has no version {number}; its versions are 1 to {newest.number if newest else 0}."
        )
    return upgraded(version.config)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[ComparedField]:
    """The settings in which two configs differ, with the values of both."""
    both = [{**default_settings(), **before}, {**default_settings(), **after}]
    return [field for field in settings_beside(both) if settings_differ(field, both)]


def _newest(session: Session, config_id: int) -> ConfigVersion | None:
    mine = select(ConfigVersion).where(ConfigVersion.config_id == config_id)
    return session.exec(mine.order_by(col(ConfigVersion.number).desc()).limit(1)).first()
