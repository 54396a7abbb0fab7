"""`python -m benchmarks [--quick] [--gpu] [NAME ...]`: run benchmarks and say which figures fall short.

Each one runs in a process of its own with a home of its own, so that none feels what another left behind. Exit code
1 when a figure is short of its target or a benchmark failed.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import frame
from imgcls_lab.cpu import bf16_unit

NO_BF16 = "-no-bf16"


@dataclass(frozen=True)
class Benchmark:
    """A module of this folder. quick: it has a short form, for `make bench-quick`; gpu: it needs an NVIDIA GPU.

    trains: its figures depend on whether the processor has bf16, and those of both kinds are kept.
    """

    name: str
    title: str
    quick: bool = False
    gpu: bool = False
    trains: bool = False

    @property
    def files(self) -> list[str]:
        """Where in results/ its figures may be, without their ending."""
        return [self.name, *([self.name + NO_BF16] if self.trains else [])]


BENCHMARKS = (
    Benchmark("small", "Training on small images", quick=True, trains=True),
    Benchmark("smallmaps", "Steps of a ResNet on small images", trains=True),
    Benchmark("photos", "Training on photographs", trains=True),
    Benchmark("frozen", "Training under a frozen backbone", trains=True),
    Benchmark("loader", "Decoding, and batches out of the cache", quick=True),
    Benchmark("footprint", "Memory of a training", trains=True),
    Benchmark("gpu", "Training on a GPU", gpu=True),
    Benchmark("ingest", "Events into the database", quick=True),
    Benchmark("series", "A long curve from the server", quick=True),
    Benchmark("paint", "A long curve in the browser"),
    Benchmark("lists", "Long lists of runs", quick=True),
    Benchmark("thumbnails", "Pictures of images", quick=True),
    Benchmark("live", "From a step to the screen", quick=True),
    Benchmark("launch", "From the submit to the first step", quick=True),
    Benchmark("notebooks", "A notebook in the queue, beside papermill alone"),
    Benchmark("events", "What a run's records cost it"),
    Benchmark("proofs", "What a run pays to be verified and changed", quick=True),
    Benchmark("memory", "Memory of daemon and server"),
    Benchmark("audit", "The audit of 100,000 images, after the features", quick=True),
    Benchmark("scale", "100,000 images in 1,000 classes"),
    Benchmark("search", "A search, in epochs: random, TPE, ASHA, halving", quick=True),
    Benchmark("lives", "Start, first event and end of a run", quick=True),
    Benchmark("cluster", "1,000 nodes and 100,000 waiting runs", quick=True),
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    known = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what imgcls-lab costs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(known)}; by default all")
    parser.add_argument("--quick", action="store_true", help="the short forms, together less than five minutes")
    parser.add_argument("--gpu", action="store_true", help="those that need a GPU, and only those")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # in this process: how the others are run
    given = parser.parse_args(arguments)
    if given.one:
        return _run(known[given.one], quick=given.quick)
    wrong = [name for name in given.names if name not in known]
    if wrong:
        parser.error(f"there is no benchmark {wrong[0]!r}; there are {', '.join(known)}")
    chosen = [known[name] for name in given.names] or [
        benchmark for benchmark in BENCHMARKS if benchmark.gpu == given.gpu and (benchmark.quick or not given.quick)
    ]
    os.environ[frame.ARITHMETIC] = frame.arithmetic()
    failed = []
    for place, benchmark in enumerate(chosen, start=1):
        print(f"[{place} of {len(chosen)}] {benchmark.title} ({benchmark.name}) ...", flush=True)
        if not _spawn(benchmark, quick=given.quick):
            failed.append(benchmark.name)
    if failed:
        print(f"\nShort of a target, or failed: {', '.join(failed)}.")
    return 1 if failed else 0


def _spawn(benchmark: Benchmark, *, quick: bool) -> bool:
    command = [sys.executable, "-m", "benchmarks", "--one", benchmark.name, *(["--quick"] if quick else [])]
    root = str(Path(__file__).parents[1])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IMGCLS_")}
    environment.pop("DATASETS_DIR", None)
    # the checkout that is measured is the one that this file lies in
    environment["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryDirectory(prefix="imgcls-bench-", ignore_cleanup_errors=True) as folder:
        environment |= {"IMGCLS_HOME": f"{folder}/home", "BENCHMARK_FOLDER": folder}
        return subprocess.run(command, cwd=root, env=environment, check=False).returncode == 0


def _run(benchmark: Benchmark, *, quick: bool) -> int:
    module = importlib.import_module(f"benchmarks.{benchmark.name}")
    busy = psutil.cpu_percent(interval=1.0)
    begin = time.perf_counter()
    lines: list[frame.Line] = module.measure(Path(os.environ["BENCHMARK_FOLDER"]), quick)
    took = time.perf_counter() - begin
    frame.show(f"{benchmark.title} ({benchmark.name}, {took:.0f} s{', quick' if quick else ''})", lines)
    kind, title = _kind(benchmark)
    frame.save(benchmark.name, title, lines, quick=quick, seconds=took, busy=busy, kind=kind)
    return 1 if any(line.verdict == "short" for line in lines) else 0


def _kind(benchmark: Benchmark) -> tuple[str, str]:
    """The kind of processor, as a part of the file's name, and the title with it."""
    if benchmark.trains and bf16_unit() is None:
        return NO_BF16, f"{benchmark.title}, on a processor without bf16"
    return "", benchmark.title


if __name__ == "__main__":
    sys.exit(main())
