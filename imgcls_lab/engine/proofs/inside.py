"""`python -m imgcls_lab.engine.proofs.inside FOLDER`: verify a run with this Python and print its certificate as JSON.

Started by `reproduce` inside the environment that it has made. Exit code 0: a certificate is printed; 1: the reason is
on stderr.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from imgcls_lab.engine.proofs.verify import verify
from imgcls_lab.errors import ImgclsError
from imgcls_lab.schemas import VerifyRequest


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m imgcls_lab.engine.proofs.inside", description="Verify a run.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--at", default="")
    given = parser.parse_args(arguments)
    try:
        found = verify(given.folder, VerifyRequest(steps=given.steps, at=given.at))
    except ImgclsError as error:
        print(error, file=sys.stderr)
        return 1
    print(found.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
