"""A folder for PYTHONPATH: programs find this pynvml instead of NVIDIA's."""
