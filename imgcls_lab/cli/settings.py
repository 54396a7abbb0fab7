"""`imgcls-lab settings`: the settings of this machine, and where each comes from. Changes nothing."""

from __future__ import annotations

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, say


def settings(as_json: Json = False) -> None:
    """List the settings: environment variable, value, unit and source. docs/settings.md explains them."""
    from imgcls_lab.api import context

    found = context.settings().listed()
    if as_json:
        print_json([item._asdict() for item in found])
        return
    rows = [(item.variable, item.value or None, item.unit or None, item.source, item.meaning) for item in found]
    print_table(["variable", "value", "unit", "from", "meaning"], rows, "", spare=["meaning", "from", "unit"])
    say("\nThe server extension also takes c.Settings.NAME from jupyter_server_config.py. Those values are not shown.")


def add_to(app: typer.Typer) -> None:
    app.command()(settings)
