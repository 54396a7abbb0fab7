"""The model of a run: loading, its head, which parts learn, its precision and memory layout."""
