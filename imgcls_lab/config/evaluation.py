"""The group “evaluation” of TrainConfig: what is measured, and what decides which checkpoint is best."""

from __future__ import annotations

from typing import Literal

from imgcls_lab.config.fields import FieldGroup, field

TTA = Literal["none", "hflip", "five_crop"]
MonitorMetric = Literal[
    "accuracy", "top_k", "macro_f1", "weighted_f1", "balanced_accuracy", "auroc", "calibration_error", "loss"
]
METRIC_TITLES: dict[str, str] = {
    "accuracy": "accuracy",
    "top_k": "top-k accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "balanced_accuracy": "balanced accuracy",
    "auroc": "AUROC",
    "calibration_error": "calibration error",
    "loss": "loss",
}
LOWER_IS_BETTER = ("loss", "calibration_error")
FRACTION_METRICS = tuple(name for name in METRIC_TITLES if name != "loss")  # 0..1, shown in per cent


class EvaluationFields(FieldGroup):
    """Evaluation."""

    monitor_metric: MonitorMetric = field(
        "accuracy",
        "evaluation",
        "Keep the best by",
        "Validation metric that decides which checkpoint is the best.",
        first=True,
        labels={name: f"validation {title}" for name, title in METRIC_TITLES.items()},
    )
    monitor_mode: Literal["auto", "max", "min"] = field(
        "auto",
        "evaluation",
        "Better is",
        "auto: lower for loss and calibration error, higher for the others.",
        labels={"auto": "automatic", "max": "higher", "min": "lower"},
    )
    top_k: int = field(
        5,
        "evaluation",
        "Top k",
        "Top-k accuracy counts an image as correct if its class is among the k most probable classes.",
        gt=0,
        le=100,
    )
    abstain_error: float | None = field(
        None,
        "evaluation",
        "Promised error",
        "Largest fraction of the answers that may be wrong. Below a threshold the model gives none; the threshold is "
        "chosen on the validation images so that the promise holds with 95 % confidence. Empty: it halves the error.",
        affects_result=False,
        gt=0,
        lt=1,
        labels={"": "half of the error"},
    )
    tta: TTA = field(
        "none",
        "evaluation",
        "Test-time views",
        "Views whose probabilities are averaged on test/ at the end of the run. hflip: the image and its mirror image; "
        "five_crop: centre and corners. Validation uses the image itself.",
        labels={"none": "the image", "hflip": "the image and its mirror image", "five_crop": "centre and corners"},
    )
    eval_batch_size: int | None = field(
        None,
        "evaluation",
        "Evaluation batch",
        "Batch size of the evaluation; empty: twice the batch size of the training.",
        affects_result=False,
        gt=0,
        le=65_536,
        labels={"": "twice the batch size"},
    )
    log_every: int = field(
        1,
        "evaluation",
        "Log every",
        "Steps between two points of the training curves.",
        unit="steps",
        affects_result=False,
        gt=0,
    )
    tensorboard_evaluation: bool = field(
        True,
        "evaluation",
        "Pictures in TensorBoard",
        "Confusion matrix, example predictions and PR curves in TensorBoard, once an epoch.",
        affects_result=False,
    )
    tensorboard_histograms: bool = field(
        False,
        "evaluation",
        "Histograms in TensorBoard",
        "Histograms of weights and gradients in TensorBoard, once an epoch.",
        affects_result=False,
    )
    tensorboard_graph: bool = field(
        False,
        "evaluation",
        "Graph in TensorBoard",
        "The model's graph in TensorBoard, drawn when the run starts.",
        affects_result=False,
    )

    @property
    def monitor_tag(self) -> str:
        """Tag of the validation metric that `monitor_metric` names."""
        if self.monitor_metric == "loss":
            return "loss/val"
        return f"metric/top{self.top_k}" if self.monitor_metric == "top_k" else f"metric/{self.monitor_metric}"

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher `monitor_metric` is better."""
        if self.monitor_mode == "auto":
            return self.monitor_metric not in LOWER_IS_BETTER
        return self.monitor_mode == "max"


def format_metric(metric: str, value: float | None, deviation: float | None = None) -> str:
    """A metric by its title, with its value and unit: `accuracy 97.4 %`, of replicates `accuracy 97.4 ± 0.6 %`."""
    if value is None:
        return f"{metric} –"
    factor, digits, unit = (100, 1, " %") if metric in FRACTION_METRICS else (1, 4, "")
    spread = "" if deviation is None else f" ± {deviation * factor:.{digits}f}"
    return f"{METRIC_TITLES.get(metric, metric)} {value * factor:.{digits}f}{spread}{unit}"
