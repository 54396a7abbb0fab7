"""Who may change what, decided in one place: everybody sees; the owner, and the members of its project, change.

Called by every method of the store that changes something for a user, and by the views that say what would be refused.
What a daemon does for a run is no user's act and is not checked. Who can open a SQLite file owns it (mode 0600), so
there is nobody to be refused. Whoever has the password of a server's database can write past this module.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import or_
from sqlmodel import Session, col, select

from imgcls_lab.errors import ForbiddenError, InputError
from imgcls_lab.schemas.limits import MAX_NAME
from imgcls_lab.store.audit import NOUNS, Act, Subject, actor_of
from imgcls_lab.store.tables import Project, ProjectMember


class Rights(NamedTuple):
    """What a user may change.

    everything: the database is this user's alone; projects: ids of those that the user owns or is a member of.
    """

    user: str
    everything: bool
    projects: frozenset[int]

    def may_change(self, owner: str, project_id: int | None = None) -> bool:
        """owner: of an entry, empty where nobody owns it; project_id: where it belongs, if it belongs to one."""
        return self.everything or owner in ("", self.user) or project_id in self.projects

    def may_manage(self, owner: str) -> bool:
        """Whether the user may delete a project, and say who its members are. Members may not."""
        return self.everything or owner in ("", self.user)


def rights_of(session: Session) -> Rights:
    """Of the user who acts in this session."""
    user = actor_of(session).user
    if session.get_bind().dialect.name == "sqlite":
        return Rights(user, True, frozenset())
    member = select(ProjectMember.project_id).where(ProjectMember.user == user)
    # a project of nobody has no members: whoever took it would have a say in everybody's runs
    joined = (col(Project.owner) != "") & col(Project.id).in_(member)
    found = session.exec(select(Project.id).where(or_(col(Project.owner) == user, joined))).all()
    return Rights(user, False, frozenset(number for number in found if number is not None))


def check(session: Session, action: str, subject: Subject) -> None:
    """Raises ForbiddenError unless the user who acts may do this. `action`: a key of `audit.ACTIONS`."""
    act, rights = Act.on(action, subject), rights_of(session)
    if not rights.may_change(subject.owner, act.project_id):
        raise _refused(session, act, subject.owner, rights.user)


def check_managed(session: Session, action: str, project: Project) -> None:
    """Raises ForbiddenError unless the project is the acting user's own."""
    rights = rights_of(session)
    if not rights.may_manage(project.owner):
        raise ForbiddenError(
            f"The project “{project.name}” belongs to {project.owner}, who alone deletes it and names its members. "
            f"Ask {project.owner}.",
            reason="not_yours",
            owner=project.owner,
            act=Act.on(action, project),
        )


def may_add(session: Session, project_id: int) -> bool:
    """Whether the acting user may put something into a project."""
    return rights_of(session).may_change(session.get_one(Project, project_id).owner, project_id)


def check_into(session: Session, project: Project, action: str = "edited") -> None:
    """Raises ForbiddenError unless the acting user may put something into a project."""
    rights = rights_of(session)
    if not rights.may_change(project.owner, project.id):
        raise _refused(session, Act.on(action, project), project.owner, rights.user)


def check_user_name(name: str) -> None:
    """Raises InputError for what can be no user's name: it is shown, and written into records."""
    if not name.isprintable() or len(name) > MAX_NAME or not name or name != name.strip():
        raise InputError(f"{name!r} is no name of a user: 1 to {MAX_NAME} printable characters, with no space around.")


def _refused(session: Session, act: Act, owner: str, user: str) -> ForbiddenError:
    project = None if act.project_id is None else session.get(Project, act.project_id)
    remedy = f"Ask {owner}."
    if project is not None and project.owner:
        command = f"imgcls-lab projects members {project.name!r} --add {user}"
        remedy = f"Ask {owner}, or let {project.owner} add you to the project “{project.name}”: `{command}`."
    elif act.kind in ("run", "config"):
        remedy = f"Ask {owner}, who can also move it to a project with you as a member."
    return ForbiddenError(
        f"The {NOUNS[act.kind]} “{act.subject_name}” belongs to {owner}, not to {user}. {remedy}",
        reason="not_yours",
        owner=owner,
        act=act,
    )
