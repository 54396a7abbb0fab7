"""A daemon in a process of its own whose trainer is the stub. Beside the backend it is the product's daemon.

With the word `kinds`, only trainings are the stub: sweeps, notebooks and tasks are the product's.
"""

import sys
from pathlib import Path

from imgcls_lab.events import RunKind
from imgcls_lab.executor import backends
from imgcls_lab.executor.backends.launch import module_argv
from imgcls_lab.executor.daemon import Daemon, main, settings_of_process


def argv(kind: RunKind, python: str, folder: Path, attempt: int) -> list[str]:
    if "kinds" in sys.argv[1:] and kind is not RunKind.TRAIN:
        return module_argv(kind, sys.executable, folder, attempt)
    stub = Path(__file__).with_name("stub_trainer.py")
    return [sys.executable, str(stub), str(folder), "--attempt", str(attempt)]


if __name__ == "__main__":
    settings = settings_of_process()
    sys.exit(main(Daemon(settings, backend=backends.of(settings, argv))))
