"""A daemon whose trainings are the stub; sweeps and notebooks are driven and executed by the product's modules."""

import sys
from pathlib import Path

from imgcls_lab.events import RunKind
from imgcls_lab.executor.backends.launch import module_argv
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.executor.daemon import Daemon, main, settings_of_process


def argv(kind: RunKind, python: str, folder: Path, attempt: int) -> list[str]:
    if kind is not RunKind.TRAIN:
        return module_argv(kind, sys.executable, folder, attempt)
    return [sys.executable, str(Path(__file__).with_name("stub_trial.py")), str(folder), str(attempt)]


if __name__ == "__main__":
    settings = settings_of_process()
    sys.exit(main(Daemon(settings, backend=LocalBackend(settings, argv))))
