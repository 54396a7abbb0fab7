"""What people use today, as its own documentation recommends it: transformers' Trainer, and timm's loader and loop.

Each trains the same model on the same ImageFolder with random crop and flip, and says how long its epochs took.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import timm.data
import timm.optim
import torch
from torch import nn
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
from transformers import AutoConfig, AutoModelForImageClassification, Trainer, TrainerCallback, TrainingArguments

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WORKERS = (0, 1, 2)


def model_of(flavour: Path, classes: int, pretrained: bool = False) -> nn.Module:
    if pretrained:
        model: nn.Module = AutoModelForImageClassification.from_pretrained(
            flavour, num_labels=classes, ignore_mismatched_sizes=True
        )
        return model
    config = AutoConfig.from_pretrained(flavour)
    config.num_labels = classes
    auto: Any = AutoModelForImageClassification
    fresh: nn.Module = auto.from_config(config)
    return fresh


def training_transform(size: int) -> Any:
    """As transformers' image classification example: random crop and flip of large images, a padded one of small."""
    crop = v2.RandomResizedCrop(size) if size > 64 else v2.RandomCrop(size, padding=2, padding_mode="reflect")
    values = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    return v2.Compose([crop, v2.RandomHorizontalFlip(), *values])


def _accuracy(found: Any) -> dict[str, float]:
    return {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())}


class Dicts(torch.utils.data.Dataset[dict[str, Any]]):
    """An ImageFolder as the Trainer wants it."""

    def __init__(self, root: Path, transform: Any) -> None:
        self.images = ImageFolder(str(root), transform)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        pixels, label = self.images[index]
        return {"pixel_values": pixels, "labels": label}


class _Clock(TrainerCallback):
    """Seconds of each epoch, from its first to its last step."""

    def __init__(self) -> None:
        self.epochs: list[float] = []
        self._began = 0.0

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        self.epochs.append(time.perf_counter() - self._began)


def trainer_epochs(
    model: nn.Module,
    train: torch.utils.data.Dataset[Any],
    folder: Path,
    *,
    batch: int,
    epochs: int,
    workers: int = 0,
    bf16: bool = False,
    lr: float = 1e-3,
    val: torch.utils.data.Dataset[Any] | None = None,
) -> tuple[list[float], float]:
    """transformers' Trainer: seconds of each epoch, and accuracy on `val` after the last, where there is one."""
    clock = _Clock()
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=batch,
            per_device_eval_batch_size=2 * batch,
            num_train_epochs=epochs,
            learning_rate=lr,
            dataloader_num_workers=workers,
            dataloader_persistent_workers=workers > 0,
            bf16=bf16,
            use_cpu=not torch.cuda.is_available(),
            remove_unused_columns=False,
            save_strategy="no",
            eval_strategy="epoch" if val else "no",
            report_to="none",
            disable_tqdm=True,
            logging_steps=50,
        ),
        train_dataset=train,
        eval_dataset=val,
        compute_metrics=_accuracy,
        callbacks=[clock],
    )
    trainer.log = lambda *_, **__: None  # type: ignore[method-assign]
    trainer.train()
    accuracy = trainer.evaluate()["eval_accuracy"] if val else 0.0
    return clock.epochs, float(accuracy)


def timm_epochs(
    model: nn.Module, root: Path, *, size: int, batch: int, epochs: int, workers: int, bf16: bool
) -> list[float]:
    """timm's loader and the loop of its train.py: seconds of each epoch."""
    data: Any = timm.data
    loader = data.create_loader(
        data.create_dataset("", root=str(root)),
        input_size=(3, size, size),
        batch_size=batch,
        is_training=True,
        hflip=0.5,
        scale=(0.8, 1.0) if size <= 64 else (0.35, 1.0),
        interpolation="bilinear",
        num_workers=workers,
        use_prefetcher=False,
        persistent_workers=workers > 0,
        device=torch.device("cpu"),
    )
    optimizers: Any = timm.optim
    optimizer, took = optimizers.create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.05), []
    model = model.to(memory_format=torch.channels_last).train()
    for _ in range(epochs):
        began = time.perf_counter()
        for values, labels in loader:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = model(pixel_values=values.contiguous(memory_format=torch.channels_last)).logits
            nn.functional.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
        took.append(time.perf_counter() - began)
    return took
