"""Routes of a project's page: all that it shows, its members, its deletion with what is in it."""

from __future__ import annotations

from imgcls_lab.errors import NotFoundError
from imgcls_lab.schemas import MemberRequest, ProjectDeleteRequest
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, number_of
from imgcls_lab.server.permissions import Route, permitted, route
from imgcls_lab.store.registry import Projects


class DetailHandler(ApiHandler):
    """All that the page shows."""

    @permitted
    async def get(self, text: str) -> None:
        number = number_of(text, Projects.noun)
        await self.answer(lambda store: store.project_pages.detail(number))


class DeletionHandler(ApiHandler):
    """Delete a project with its runs and configs, or say what that would be."""

    @permitted
    async def post(self, text: str) -> None:
        number, request = number_of(text, Projects.noun), self.optional_body(ProjectDeleteRequest)
        await self.answer(lambda store: store.project_pages.delete(number, dry_run=request.dry_run), work="slow")


class MembersHandler(ApiHandler):
    """Add a member to a project; the answer is the project."""

    @permitted
    async def post(self, text: str) -> None:
        number, request = number_of(text, Projects.noun), self.body(MemberRequest)
        await self.answer(lambda store: store.projects.add_member(number, request.user))


class MemberHandler(ApiHandler):
    """Remove a member from a project; the answer is the project."""

    @permitted
    async def delete(self, text: str, user: str) -> None:
        number = number_of(text, Projects.noun)
        if "\0" in user:  # which no database takes
            raise NotFoundError("There is no member of that name.")
        await self.answer(lambda store: store.projects.remove_member(number, user))


def routes(backend: Backend) -> list[Route]:
    return [
        route("api/projects/ID/detail", DetailHandler, backend=backend),
        route("api/projects/ID/delete", DeletionHandler, backend=backend),
        route("api/projects/ID/members", MembersHandler, backend=backend),
        route("api/projects/ID/members/ID", MemberHandler, backend=backend),
    ]
