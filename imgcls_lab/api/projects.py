"""The members of a project: `lab.project`. Called by users and by the command line."""

from __future__ import annotations

from collections.abc import Iterable

from imgcls_lab.api import context
from imgcls_lab.api.validation import request
from imgcls_lab.schemas import MemberRequest, ProjectView


def project(name: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> ProjectView:
    """A project by its name or number. add, remove: users who become its members, or are so no longer.

    Members change the runs and configs of a project as its owner does. Raises NotFoundError, and ForbiddenError for a
    project of somebody else.
    """
    projects = context.store().projects
    found = projects.find(name)
    for user in add:
        found = projects.add_member(found.id, request(MemberRequest, user=user).user)
    for user in remove:
        found = projects.remove_member(found.id, user)
    return found
