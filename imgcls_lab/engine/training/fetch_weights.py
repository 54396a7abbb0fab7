"""The download of a hub's model before a run's first attempt: it says how much it is, and a stop ends it at once.

Called by `resolve`. A run that is stopped meanwhile begins the file anew when it is resumed.
"""

from __future__ import annotations

from imgcls_lab.engine.model import hub_files
from imgcls_lab.engine.model.classifier import Flavour
from imgcls_lab.engine.model.loading import ModelFiles, refused
from imgcls_lab.engine.training import interrupts
from imgcls_lab.engine.training.state import Attempt
from imgcls_lab.model_folder import ModelFileError
from imgcls_lab.plurals import size_text


def fetch_weights(attempt: Attempt, flavour: Flavour | None) -> bool:
    """Have the weights with which a model starts on this machine; False if stopped. Raises ModelError."""
    if flavour is None or flavour.files.local or not attempt.config.load_pretrained:
        return True
    stopped = False
    for _turn in attempt.group.main_first():
        try:
            with interrupts.ended_by(attempt.stop):
                _download(attempt, flavour.files)
        except interrupts.StoppedError:
            stopped = True
    return not attempt.group.any(stopped)[0]


def _download(attempt: Attempt, files: ModelFiles) -> None:
    try:
        missing = hub_files.missing_bytes(files.name, files.commit, files.folder)
        if missing == 0:
            return
        attempt.recorder.phase(f"downloading the model, {size_text(missing)}")
        hub_files.fetch_weights(files.name, files.commit, files.folder)
    except ModelFileError as error:
        raise refused(files.name, error) from error
    attempt.recorder.phase("loading the model")
