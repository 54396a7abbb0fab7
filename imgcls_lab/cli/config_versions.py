"""`imgcls-lab configs versions | diff | restore`: the versions of a saved config."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, say
from imgcls_lab.plurals import counted

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the config, or its number.")]


def _saved(name: str) -> Any:
    from imgcls_lab.api.saved_configs import configs

    return configs()[name]


def versions(name: Name, as_json: Json = False) -> None:
    """List the versions of a config, the newest first. Saving a config again makes one."""
    found = _saved(name).versions()
    if as_json:
        print_json(found)
        return
    rows = [
        (
            version.number,
            time.strftime("%Y-%m-%d %H:%M", time.localtime(version.created_at)),
            version.author or None,
            ", ".join(version.changed) or ("first" if version.number == 1 else ""),
        )
        for version in found
    ]
    print_table(["version", "saved", "by", "changed"], rows, "No versions.")


def diff(
    name: Name,
    version: Annotated[int | None, typer.Argument(help="A version; by default the newest.")] = None,
    against: Annotated[int | None, typer.Argument(help="Another version; by default the defaults.")] = None,
    as_json: Json = False,
) -> None:
    """Show in which settings a version of a config differs from another one, or from the defaults."""
    saved = _saved(name)
    found = saved.difference(version, against)
    if as_json:
        print_json(found)
        return
    of = f"version {version or saved.number}"
    other = "default" if against is None else f"version {against}"
    rows = [(field.name, field.title, _shown(field.values[0]), _shown(field.values[1])) for field in found]
    print_table(["setting", "meaning", other, of], rows, f"No setting of {of} differs from the {other}.")
    if rows:
        say(f"{counted(len(rows), 'setting')} of “{saved.name}” {'differs' if len(rows) == 1 else 'differ'}.")


def restore(
    name: Name,
    version: Annotated[int, typer.Argument(help="The version to have again.")],
) -> None:
    """Make an older version of a config the newest. Those in between stay."""
    done = _saved(name).restore(version)
    say(f"The config {done.name} is again as in version {version}; that is its version {done.number} now.")


def _shown(value: object) -> str:
    return "–" if value is None or value == "" else str(value).lower() if isinstance(value, bool) else str(value)


def add_to(app: typer.Typer) -> None:
    for command in (versions, diff, restore):
        app.command()(command)
