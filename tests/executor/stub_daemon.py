"""A daemon in a process of its own whose trainer is the stub. Beside the backend it is the product's daemon."""

import sys
from pathlib import Path

from imgcls_lab.executor import backends
from imgcls_lab.executor.daemon import Daemon, main, settings_of_process


def argv(kind: str, python: str, folder: Path, attempt: int) -> list[str]:
    stub = Path(__file__).with_name("stub_trainer.py")
    return [sys.executable, str(stub), str(folder), "--attempt", str(attempt)]


if __name__ == "__main__":
    settings = settings_of_process()
    sys.exit(main(Daemon(settings, backend=backends.of(settings, argv))))
