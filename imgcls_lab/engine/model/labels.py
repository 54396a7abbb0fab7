"""The names of a model's outputs, as the id2label of its config.json gives them.

Called where a model is read and built, and where images are matched with classes by name. A training that makes a new
head needs none of it; a prediction does, and says what is wrong and what to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedConfig

from imgcls_lab.class_names import likeness
from imgcls_lab.engine.model.load_errors import first_sentence, unloadable
from imgcls_lab.engine.model.loading import ModelFiles, make_config
from imgcls_lab.errors import DataError, ModelError

_FIELDS = ("id2label", "label2id", "num_labels", "problem_type")
SHOWN = 5  # outputs that a sentence names


@dataclass(frozen=True)
class Labels:
    """What a model's outputs are called.

    model: its name; given: a name an output, in their order, as the config has them; problem: why an output has no
    name, as a sentence: `given` is empty then; outputs: how many the config names; conflict: a sentence where it
    gives the names twice, and differently.
    """

    model: str
    given: tuple[str, ...] = ()
    problem: str | None = None
    outputs: int = 0
    conflict: str | None = None

    @property
    def names(self) -> list[str]:
        """A name an output, each once: of outputs of one name the number tells which."""
        times = Counter(self.given)
        return [name if times[name] == 1 else f"{name} (output {i})" for i, name in enumerate(self.given)]

    @property
    def duplicate(self) -> str | None:
        """A name that two outputs have, if there is one."""
        return next((name for name, times in Counter(self.given).items() if times > 1), None)

    def check_named(self) -> None:
        """Raises ModelError, with the remedy, unless each output has a name."""
        if self.problem is not None:
            raise ModelError(f"{self.problem} {_remedy(self.outputs)}")

    def check(self, classes: Iterable[str]) -> None:
        """Raises DataError if a class of images is the name of two outputs: its images would be of neither."""
        alike: dict[str, list[int]] = {}
        for number, name in enumerate(self.given):
            alike.setdefault(likeness(name), []).append(number)
        for name in classes:
            same = alike.get(likeness(name), [])
            if len(same) > 1:
                called = " and ".join(f"output {i} “{self.given[i]}”" for i in same[:SHOWN])
                raise DataError(
                    f"The class “{name}” is the name of two outputs of the model “{self.model}”: {called}. Give each "
                    "a name of its own in id2label of its config.json, and the class folders the same names."
                )

    def differ_from(self, found: int) -> ModelError:
        """The error about a head that has `found` outputs, and not as many as the config says."""
        return ModelError(
            f"The model “{self.model}” has {found} outputs, and its config.json names {self.outputs} (id2label, "
            f"num_labels). {_remedy(found)}"
        )


def read_config(files: ModelFiles) -> tuple[PreTrainedConfig, Labels]:
    """A model's config and the names of its outputs. Raises ModelError if it cannot be loaded.

    A config whose labels alone cannot be read is read without them.
    """
    name = files.name
    try:
        config = make_config(files)
    except Exception as error:  # transformers raises OSError, ValueError, KeyError and its own
        bare = _without_labels(files)
        if bare is None:
            raise unloadable(name, error) from error
        why = first_sentence(str(error)).rstrip(".")
        return bare, Labels(name, problem=f"id2label in the config.json of the model “{name}” cannot be read: {why}.")
    return config, _labels(name, config)


def _labels(name: str, config: Any) -> Labels:
    """The names by output, whatever id2label holds."""
    known: dict[int, Any] = config.id2label or {}
    unnamed = next((i for i in range(max(1, len(known))) if not _is_name(known.get(i))), None)
    if unnamed is None:
        given = tuple(str(known[i]) for i in range(len(known)))
        return Labels(name, given, outputs=len(known), conflict=_conflict(name, given, config.label2id))
    there = ", ".join(map(str, sorted(known)[:SHOWN])) + (", ..." if len(known) > SHOWN else "")
    keys = f"; its keys are {there}" if there else ""
    text = f"id2label in the config.json of the model “{name}” has no name for output {unnamed}{keys}."
    return Labels(name, problem=text, outputs=len(known))


def _conflict(name: str, given: tuple[str, ...], label2id: object) -> str | None:
    if not isinstance(label2id, dict) or len(set(given)) < len(given):
        return None
    if all(str(label2id.get(label, number)) == str(number) for number, label in enumerate(given)):
        return None
    return f"label2id in the config.json of the model “{name}” has another order than id2label, whose order is used."


def _is_name(value: object) -> bool:
    return isinstance(value, str | int | float) and bool(str(value).strip())


def _remedy(outputs: int) -> str:
    last = f" to {outputs - 1}" if outputs > 1 else " on"
    return f"Give each output a name there, under the numbers from 0{last}, or train the model: it gets a new head."


def _without_labels(files: ModelFiles) -> PreTrainedConfig | None:
    """The config as if it said nothing of labels; None if that helps nothing."""
    if not any(files.config.get(key) is not None for key in _FIELDS):
        return None
    try:
        return make_config(files, leave_out=_FIELDS)
    except Exception:  # then the labels were not the reason: the caller has that
        return None
