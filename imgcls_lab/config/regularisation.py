"""The group “regularisation” of TrainConfig: what keeps the model from overfitting."""

from __future__ import annotations

from imgcls_lab.config.applies import When
from imgcls_lab.config.fields import FieldGroup, field
from imgcls_lab.config.names import LOSSES


class RegularisationFields(FieldGroup):
    """Regularisation."""

    loss: str = field(
        "cross_entropy",
        "regularisation",
        "Loss",
        "cross_entropy; focal: hard images weigh more; bce: each class separately; asl: asymmetric; or a plugin's.",
        suggestions=LOSSES,
        min_length=1,
        labels={"cross_entropy": "cross entropy", "focal": "focal", "bce": "binary cross entropy", "asl": "asymmetric"},
    )
    focal_gamma: float = field(
        2.0,
        "regularisation",
        "Focal gamma",
        "How much the focal loss lowers the weight of images that are already learnt; 0: not at all.",
        ge=0,
        le=10,
        applies=(When("loss", ("focal",)),),
    )
    label_smoothing: float = field(
        0.0, "regularisation", "Label smoothing", "Part of the target that is spread over all classes.", ge=0, lt=1
    )
    mixup: float = field(0.0, "regularisation", "MixUp", "Alpha of MixUp; 0: off.", ge=0, le=10)
    cutmix: float = field(0.0, "regularisation", "CutMix", "Alpha of CutMix; 0: off.", ge=0, le=10)
    ema_decay: float | None = field(
        None,
        "regularisation",
        "EMA decay",
        "Keep an exponential moving average of the weights with this decay, and evaluate and export it; empty: off.",
        gt=0,
        lt=1,
        labels={"": "off"},
    )
