"""What the project costs, measured: each module is one benchmark, `python -m benchmarks` runs them.

A benchmark is a function `measure(folder, quick)` that gives lines of figure and target. It compares side by side in
one run, interleaved, best of several. Nothing here is part of the package, and no test asserts a time.
"""
