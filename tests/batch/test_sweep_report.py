"""A sweep's report: a notebook that stands alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from imgcls_lab.batch import sweep_plots
from imgcls_lab.batch.sweep_report import write_report
from imgcls_lab.schemas import Choices, SweepView

VIEW = SweepView(
    run_id="20260101-000000-aaaa", name="rates", strategy="grid", pruner="none", metric="accuracy",
    higher_is_better=True, notebook=None, space={"lr": Choices(values=[1e-3, 1e-2])}, planned=2, epochs_budget=None,
    epochs_done=2, trials=[], best=1, importance={"lr": 1.0}, holes=0, titles={"lr": "Learning rate"}, eta=None,
    brackets=[], replicates=1,
)  # fmt: skip


def test_plots_show_the_deviation_of_replicates() -> None:
    results = pd.DataFrame({"lr": [1e-3, 1e-2], "accuracy": [0.5, 0.75]}, index=pd.Index([0, 1], name="trial"))
    single = [sweep_plots.history(results, "accuracy", True), sweep_plots.slices(results, "accuracy", ["lr"], True)]
    assert not any("<line" in plot.text for plot in single)
    several = results.assign(**{"accuracy sd": [0.1, 0.02]})
    for plot in (
        sweep_plots.history(several, "accuracy", True), sweep_plots.slices(several, "accuracy", ["lr"], True)
    ):  # fmt: skip
        lengths = [float(low) - float(high) for low, high in re.findall(r'y1="([\d.]+)" y2="([\d.]+)"', plot.text)]
        assert len(lengths) == 2
        assert lengths[0] == pytest.approx(5 * lengths[1], abs=0.5)
        assert plot.text.count("<circle") == 2


def test_a_report_runs_again_with_nothing_but_pandas(tmp_path: Path) -> None:
    results = pd.DataFrame({"lr": [1e-3, 1e-2], "accuracy": [0.5, 0.75]}, index=pd.Index([0, 1], name="trial"))
    path = write_report(VIEW, results, tmp_path / "report.ipynb")
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    assert sum("image/svg+xml" in output.get("data", {}) for cell in cells for output in cell.outputs) == 2
    assert cells[0].metadata.jupyter.source_hidden
    alone = "import sys\nsys.modules['imgcls_lab'] = None\n" + "".join(
        f"exec({cell.source!r}, globals())\n" for cell in cells
    )
    done = subprocess.run([sys.executable, "-c", alone], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
