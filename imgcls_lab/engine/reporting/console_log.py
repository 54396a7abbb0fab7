"""The run's log as text: one line for the start, each epoch and the end. Used by the engine's own process."""

from __future__ import annotations

import time

from imgcls_lab import run_changes
from imgcls_lab.events import Changed, EpochEnded, Event, Finished, Metrics, Phase, Started
from imgcls_lab.plurals import counted, percent

_SHOWN = {"metric/accuracy": "accuracy", "metric/macro_f1": "macro f1"}


class ConsoleLog:
    """Prints a line for the events that matter in a log; the recorder prints notices itself."""

    def __init__(self) -> None:
        self._epochs = 0
        self._train_loss: float | None = None

    def __call__(self, event: Event) -> None:
        line = self._line(event)
        if line:
            print(time.strftime("%Y-%m-%d %H:%M:%S"), line, flush=True)

    def _line(self, event: Event) -> str | None:
        match event:
            case Phase(name=name, done=None):
                return f"{name} …"
            case Started():
                self._epochs = event.epochs
                begin = f"continues at step {event.resume_step:,}" if event.resume_step else "begins"
                return (
                    f"training {begin}: {counted(event.train_images, 'image')} "
                    f"to train on, {event.val_images:,} to validate, "
                    f"{counted(event.classes, 'class', 'classes')}, {counted(event.steps_per_epoch, 'step')} an epoch; "
                    f"{event.device}, {event.precision}, {counted(event.threads, 'thread')}"
                )
            case Metrics(values=values):
                self._train_loss = values.get("loss/train", self._train_loss)
            case EpochEnded(values=values):
                parts = [] if self._train_loss is None else [f"train loss {self._train_loss:.4f}"]
                parts += [f"val loss {values['loss/val']:.4f}"] if "loss/val" in values else []
                parts += [f"{name} {percent(values[tag], 2)}" for tag, name in _SHOWN.items() if tag in values]
                best = ", the best so far" if event.best else ""
                return f"epoch {event.epoch} of {self._epochs}: {', '.join(parts)}{best}; {event.seconds:.1f} s"
            case Changed():
                self._epochs = event.epochs
                return f"{run_changes.sentence(event.field, event.old, event.new)} from step {event.step + 1:,} on"
            case Finished():
                tested = event.test_values.get("test/accuracy")
                test = "" if tested is None else f"; its accuracy on test/ is {percent(tested, 2)}"
                return f"finished at step {event.step:,}; the best epoch is {event.best_epoch}{test}"
        return None
