"""`imgcls-lab users`: the parts of the devices that users are due, and their limits."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from imgcls_lab.cli.output import Json, print_json, print_table
from imgcls_lab.plurals import percent

NONE = "none"  # takes a limit away


def users(  # noqa: PLR0917
    name: Annotated[str | None, typer.Argument(help="A user; by default all.")] = None,
    weight: Annotated[float | None, typer.Option(help="Weight of the user's part where several users wait.")] = None,
    max_devices: Annotated[str | None, typer.Option(help="Devices at once, or “none” for no limit.")] = None,
    max_disk: Annotated[str | None, typer.Option(help="GB that the runs may take, or “none” for no limit.")] = None,
    admin: Annotated[bool | None, typer.Option("--admin/--no-admin", help="Whether the user may set these.")] = None,
    as_json: Json = False,
) -> None:
    """List users, their parts of the devices and their limits; with options, set them. Administrators may do that."""
    from imgcls_lab.api import context
    from imgcls_lab.api.validation import request
    from imgcls_lab.errors import InputError
    from imgcls_lab.schemas import UserEdit

    changes: dict[str, Any] = {"weight": weight, "max_devices": max_devices, "max_disk_gb": max_disk, "admin": admin}
    given = {field: None if value == NONE else value for field, value in changes.items() if value is not None}
    store = context.store()
    if given and name is None:
        raise InputError("Name the user whose weight or limits you set: `imgcls-lab users NAME --weight 2`.")
    if name is None:
        found = store.users.list()
    elif given:
        found = [store.users.edit(name, request(UserEdit, **given))]
    else:
        found = [store.users.get(name)]
    if as_json:
        print_json(found)
        return
    rows = [
        (
            f"{user.name} (admin)" if user.admin else user.name,
            f"{user.weight:g}",
            percent(user.used),
            "" if user.due is None else percent(user.due),
            f"{user.devices}{'' if user.max_devices is None else f' of {user.max_devices}'}",
            user.queued,
            ("" if user.disk_gb is None else f"{user.disk_gb:.1f} GB")
            + ("" if user.max_disk_gb is None else f" of {user.max_disk_gb:g} GB"),
        )
        for user in found
    ]
    print_table(["user", "weight", "used", "due", "devices", "waiting", "disk"], rows, "No user has runs or limits.")


def add_to(app: typer.Typer) -> None:
    app.command()(users)
