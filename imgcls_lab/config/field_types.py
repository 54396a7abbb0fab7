"""The fields of TrainConfig as keyword arguments, for type checkers. Generated: `python -m imgcls_lab.config`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal, TypedDict


class LaunchFields(TypedDict, total=False):
    """All fields but `device`."""

    root: str | os.PathLike[str]
    """Data set. Folder with train/CLASS, and optionally val/CLASS and test/CLASS; or with CLASS alone."""
    data_revision: int | str | os.PathLike[str] | None
    """Corrections. Number of the data set's revision whose labels and exclusions are used; or a file with corrections,
    as `imgcls-lab datasets export` writes it; empty: the labels are those of the folders."""
    image_size: int | None
    """Image size. Shorter edge of the model's input; empty: the size that the model was trained with."""
    augmentation: str
    """Augmentation. none: resize only; light: small shifts, and flips; standard: random crop and flip; heavy: standard
    with RandAugment and random erasing; timm: the augmentation that timm uses for fine-tuning."""
    hflip: bool | None
    """Mirror images. on: mirror half of the images with any augmentation; off: mirror none, because left and right
    have a meaning, as in digits and letters; empty: as the augmentation does."""
    crop_scale: float | None
    """Smallest crop. Smallest fraction of an image's area that a random crop keeps; 1: the whole image; empty: as the
    augmentation does."""
    crop_ratio: float | None
    """Crop shape. How much the aspect ratio of a crop may differ from that of the image; 1: not at all; empty: as the
    augmentation does."""
    vflip: float | None
    """Upside down. Fraction of the images that are flipped vertically; empty: as the augmentation does."""
    rotate: float | None
    """Rotation. Largest angle of a random rotation; empty: as the augmentation does."""
    color_jitter: float | None
    """Colour jitter. Largest change of brightness, contrast and saturation; empty: as the augmentation does."""
    randaugment: float | None
    """RandAugment. Magnitude of RandAugment; 0: off; empty: as the augmentation does."""
    randaugment_ops: int | None
    """RandAugment's operations. Operations of RandAugment per image; empty: as the augmentation does."""
    random_erasing: float | None
    """Random erasing. Fraction of the images in which a random box is erased; empty: as the augmentation does."""
    val_fraction: float
    """Validation fraction. Fraction of each class in train/ that is held out for validation, if there is no val/."""
    group_pattern: str | None
    """Groups. Regular expression whose first group names the group of an image by its path, such as (patient[0-9]+):
    all images of a group are on the same side of the split."""
    on_duplicates: Literal["report", "drop_exact", "drop_near"]
    """Copies. Training images that are also in val/ or test/. report: keep and report them; drop_exact: leave out
    exact copies; drop_near: leave out look-alikes, too."""
    balance: Literal["none", "sampler", "class_weights"]
    """Class balance. sampler: draw rare classes more often; class_weights: give their loss a higher weight."""
    cache: Literal["auto", "ram", "disk", "off"]
    """Image cache. Where decoded images are kept; auto: on disk, shared by all runs, if there is space; otherwise in
    memory."""
    model_flavour: str | os.PathLike[str]
    """Model. Model of the Hugging Face hub (timm/... too), or a local folder with a config.json."""
    load_pretrained: bool
    """Start from. Start from the model's weights; off: start from random ones."""
    freeze_backbone: bool
    """Train. Train only the classification head."""
    feature_views: int
    """Views of features. With a frozen backbone: compute the features of this many augmented views of each image once,
    and train the head on them in turn. 0: compute them again in each epoch."""
    revision: str | None
    """Revision. Branch, tag or commit of the hub model; pin a commit to reproduce."""
    unfreeze_epoch: int | None
    """Unfreeze after. Epochs after which the frozen backbone is trained, too; empty: it stays frozen."""
    unfreeze_blocks: int | None
    """Blocks an epoch. How many more blocks of the backbone, from the head down, are unfrozen each epoch; empty: all
    at once."""
    backbone_lr_ratio: float
    """Backbone's rate. Learning rate of the backbone, as a factor of the head's."""
    lora_rank: int | None
    """LoRA rank. Train low-rank updates of this rank and the head instead of all weights; empty: off."""
    lora_alpha: float | None
    """LoRA alpha. The updates are scaled by alpha / rank; empty: alpha is the rank."""
    lora_targets: Sequence[str]
    """LoRA targets. Names, or ends of names, of the layers that get updates, such as query, value; empty: all layers
    of the backbone."""
    drop_path: float | None
    """Drop path. Rate of stochastic depth; empty: the model's default."""
    dropout: float | None
    """Dropout. Rate of dropout; empty: the model's default."""
    gradient_checkpointing: bool
    """Gradient checkpointing. Compute activations twice instead of keeping them: less memory, slower steps."""
    epochs: int
    """Epochs. Passes over the training images."""
    batch_size: int
    """Batch size. Images per batch."""
    lr: float
    """Learning rate. Highest learning rate of the run."""
    optimizer: str
    """Optimizer. Name of an optimizer of timm or of a plugin."""
    weight_decay: float
    """Weight decay. Decay of the weights; not applied to biases and norms."""
    momentum: float | None
    """Momentum. Momentum of SGD and similar optimizers; empty: 0.9."""
    betas: Sequence[float]
    """Betas. Decay rates of the moving averages in Adam and similar optimizers, such as 0.9, 0.95; empty: the
    optimizer's default."""
    eps: float | None
    """Epsilon. Term that keeps Adam and similar optimizers from dividing by zero; empty: the optimizer's default."""
    gradient_accumulation_steps: int
    """Gradient accumulation. Batches whose gradients are added up before an optimizer step."""
    layer_decay: float | None
    """Layer decay. Factor on the learning rate from each block to the one below it, such as 0.75; empty: one rate for
    all."""
    clip_grad_norm: float | None
    """Clip gradients. Largest norm of the gradient; empty: no limit."""
    clip_mode: Literal["norm", "value", "agc"]
    """Clip by. What is limited. norm: the norm of the whole gradient; value: each of its values; agc: the norm per
    unit, relative to the norm of its weights (0.01 is usual)."""
    seed: int
    """Seed. Seed of everything random."""
    plugins: Sequence[str | os.PathLike[str]]
    """Plugins. Python files that register losses, optimizers, schedules or recipes. They are code: name only files
    that you trust."""
    schedule: str
    """Schedule. Curve of the learning rate after the warm-up, or the name of a plugin's schedule."""
    warmup_epochs: float
    """Warm-up. Epochs in which the learning rate rises from zero."""
    min_lr_ratio: float
    """Final rate. Learning rate at the end, as a fraction of the highest."""
    poly_power: float
    """Power. Exponent of the schedule poly."""
    decay_epochs: float | None
    """Decay every. Epochs between two decays of the schedule step; empty: a third of the run."""
    decay_rate: float
    """Decay rate. Factor of each decay of the schedules step and plateau."""
    decay_fraction: float
    """Decay fraction. Last fraction of the run, in which wsd and rsqrt decay."""
    plateau_epochs: int
    """Plateau. Epochs without an improvement after which the schedule plateau decays."""
    early_stopping_patience: int | None
    """Early stopping. Stop after this many epochs without an improvement; empty: never."""
    min_delta: float
    """Smallest improvement. Change of the monitored metric that early stopping and plateau count as an improvement."""
    loss: str
    """Loss. cross_entropy; focal: hard images weigh more; bce: each class separately; asl: asymmetric; or a
    plugin's."""
    focal_gamma: float
    """Focal gamma. How much the focal loss lowers the weight of images that are already learnt; 0: not at all."""
    label_smoothing: float
    """Label smoothing. Part of the target that is spread over all classes."""
    mixup: float
    """MixUp. Alpha of MixUp; 0: off."""
    cutmix: float
    """CutMix. Alpha of CutMix; 0: off."""
    ema_decay: float | None
    """EMA decay. Keep an exponential moving average of the weights with this decay, and evaluate and export it; empty:
    off."""
    monitor_metric: Literal[
        "accuracy", "top_k", "macro_f1", "weighted_f1", "balanced_accuracy", "auroc", "calibration_error", "loss"
    ]
    """Keep the best by. Validation metric that decides which checkpoint is the best."""
    monitor_mode: Literal["auto", "max", "min"]
    """Better is. auto: lower for loss and calibration error, higher for the others."""
    top_k: int
    """Top k. Top-k accuracy counts an image as correct if its class is among the k most probable classes."""
    abstain_error: float | None
    """Promised error. Largest fraction of the answers that may be wrong. Below a threshold the model gives none; the
    threshold is chosen on the validation images so that the promise holds with 95 % confidence. Empty: it halves the
    error."""
    tta: Literal["none", "hflip", "five_crop"]
    """Test-time views. Views whose probabilities are averaged on test/ at the end of the run. hflip: the image and its
    mirror image; five_crop: centre and corners. Validation uses the image itself."""
    eval_batch_size: int | None
    """Evaluation batch. Batch size of the evaluation; empty: twice the batch size of the training."""
    log_every: int
    """Log every. Steps between two points of the training curves."""
    tensorboard_evaluation: bool
    """Pictures in TensorBoard. Confusion matrix, example predictions and PR curves in TensorBoard, once an epoch."""
    tensorboard_histograms: bool
    """Histograms in TensorBoard. Histograms of weights and gradients in TensorBoard, once an epoch."""
    tensorboard_graph: bool
    """Graph in TensorBoard. The model's graph in TensorBoard, drawn when the run starts."""
    save_every_epochs: int | None
    """Keep every. Keep the checkpoint of every n-th epoch in addition to best and last; empty: none."""
    checkpoint_every_minutes: float
    """Save every. Time between two checkpoints inside a long epoch."""
    keep_last: int
    """Last checkpoints. How many of the last checkpoints stay on disk."""
    keep_best: int
    """Best checkpoints. How many of the best checkpoints stay on disk, by the monitored metric."""
    ckpt_dir: str | os.PathLike[str] | None
    """Checkpoint folder. Folder of the checkpoints; empty: in the run's folder."""
    tb_root: str | os.PathLike[str] | None
    """TensorBoard folder. Folder of the event files; empty: in the run's folder."""
    log_indices: bool
    """Log of images. Write down which images each step trained on, to check that no image is lost or doubled by a
    resume."""
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    """Precision. auto: chosen by hardware and model on the first attempt, and recorded."""
    threads: int | None
    """CPU threads. Threads of a CPU run, over all its processes; empty: the cores divided by the slots. They change
    the last bits."""
    num_processes: int
    """Processes. Processes that train one model together, with one GPU each. The batch size is that of all processes
    together."""
    min_processes: int | None
    """Fewest processes. With how many processes the run may start, or resume, while fewer GPUs are free; empty: with
    all of them. The order of the images stays the same, the last bits do not."""
    num_nodes: int
    """Nodes. Machines of a cluster that share the processes evenly."""
    sync_batchnorm: bool
    """Synchronous batch norm. Batch norm statistics over the batches of all processes, on GPUs only; off: each process
    separately."""
    num_workers: int | None
    """Loader processes. Processes that decode images, per training process; empty: chosen for this machine."""
    decoder: Literal["cpu", "gpu"]
    """Decoder. gpu (experimental, not yet tried on a GPU): decode the JPEG files of training on the training GPU,
    again in each epoch; the last bits differ."""
    channels_last: Literal["auto", "on", "off"]
    """Channels last. Memory format in which convolutional networks are faster; auto: on for these, off for others."""
    compile: bool
    """Compile. Compile the model first: slow start, faster steps on a GPU."""


class ConfigFields(LaunchFields, total=False):
    """All fields."""

    device: Literal["auto", "cuda", "cpu"]
    """Device. auto: a GPU if there is one."""
