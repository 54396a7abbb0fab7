"""Link the built lab extension and the server's configuration into this environment, as the wheel would install them.

An editable install copies hatch's shared data once; links instead follow every new build.
"""

from __future__ import annotations

import sys
from pathlib import Path

root = Path(__file__).resolve().parents[1]
prefix = Path(sys.prefix)


def link(target: Path, name: Path) -> None:
    """Make `name` a link to `target`, whatever an earlier install left there."""
    name.parent.mkdir(parents=True, exist_ok=True)
    if name.is_symlink() or name.is_file():
        name.unlink()
    elif name.is_dir():
        for path in sorted(name.rglob("*"), reverse=True):
            path.unlink() if path.is_symlink() or path.is_file() else path.rmdir()
        name.rmdir()
    name.symlink_to(target)


# A repeated editable install writes it through the link of the first; `make wheel` would then add it twice, and fail.
(root / "imgcls_lab" / "labextension" / "install.json").unlink(missing_ok=True)
link(root / "imgcls_lab" / "labextension", prefix / "share" / "jupyter" / "labextensions" / "imgcls-lab")
for config in (root / "labextension" / "jupyter-config" / "server-config").glob("*.json"):
    link(config, prefix / "etc" / "jupyter" / "jupyter_server_config.d" / config.name)
