"""The slow imports of a notebook run. The fork server imports this module before it forks one; nothing else does."""

from imgcls_lab.batch import event_forwarder, notebook_source, papermill_engine

__all__ = ["event_forwarder", "notebook_source", "papermill_engine"]
