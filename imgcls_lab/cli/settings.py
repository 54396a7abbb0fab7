"""`imgcls-lab settings`: what this machine's settings are, and where each comes from. Changes nothing."""

from __future__ import annotations

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, say


def settings(as_json: Json = False) -> None:
    """List the settings: environment variable, value and source. docs/settings.md says more."""
    from imgcls_lab.api import context

    found = context.settings().listed()
    if as_json:
        print_json([item._asdict() for item in found])
        return
    rows = [(item.variable, item.value or "–", item.source, item.meaning) for item in found]
    print_table(["variable", "value", "from", "meaning"], rows, "", spare=["meaning", "from"])
    say(
        "\nThe server extension takes them as c.Settings.NAME in jupyter_server_config.py, too; that is not shown here."
    )


def add_to(app: typer.Typer) -> None:
    app.command()(settings)
