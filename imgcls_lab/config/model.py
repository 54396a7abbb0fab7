"""The group “model” of TrainConfig: which model, and what of it learns."""

from __future__ import annotations

from imgcls_lab.config.fields import FieldGroup, field


class ModelFields(FieldGroup):
    """Model."""

    model_flavour: str = field(
        "google/vit-base-patch16-224",
        "model",
        "Model",
        "Model of the Hugging Face hub, or a local folder with a config.json.",
        first=True,
        min_length=1,
    )
    load_pretrained: bool = field(
        True, "model", "Pretrained weights", "Start from the model's weights; off: start from random ones.", first=True
    )
    freeze_backbone: bool = field(
        False, "model", "Freeze the backbone", "Train the classification head alone.", first=True
    )
    revision: str | None = field(
        None, "model", "Revision", "Branch, tag or commit of the hub model; pin a commit to reproduce."
    )
