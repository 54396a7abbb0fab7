"""What a run's predictions say: images, mistakes, thresholds, curves, one image, two runs compared. Torch-free.

Called by `store.evaluations` (for server and Python) and for a run's folder by `api`. It reads what `predictions.py`
reads, in numpy alone: scikit-learn and pandas would take a third of the memory that a server may grow by. Each metric
is defined in docs/evaluation.md.
"""
