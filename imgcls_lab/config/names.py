"""The names that a config may give to a loss, an optimizer, a schedule and a recipe, known without torch.

`TrainConfig` checks them where a run is submitted; the engine registers a function under each of them, and a test says
that both know the same. Plugins add names that only the engine can know: of a config that names any, none is checked.
"""

from __future__ import annotations

LOSSES = ("cross_entropy", "focal", "bce", "asl")
SCHEDULES = ("cosine", "linear", "poly", "tanh", "step", "wsd", "rsqrt", "plateau", "constant")
RECIPES = ("none", "light", "standard", "heavy", "timm")
OPTIMIZERS = tuple(  # of timm 1.0.31; it takes away none
    """
    adabelief adadelta adafactor adafactorbv adafactorbvc adagrad adahessian adam adamax adamc adamp adamuon adamw
    adamwlegacy adan adanw adopt adoptc adoptw bnbadam bnbadam8bit bnbadamw bnbadamw8bit bnbademamix
    bnbademamix8bit bnblion bnblion8bit bnbsgd bnbsgd8bit cadafactor cadafactorbv cadafactorbvc cadamc cadamp
    cadamw cadan cadanw cadopt cadoptc cadoptw clamb clambw claprop clion clionc cmars cnadamc cnadamw crmsproptf
    csgdc csgdp csgdw fusedadam fusedadamw fusedlamb fusednovograd fusedsgd kron kronc kronw lamb lambc lambcd
    lambcw lambw laprop lapropc larc lars lion lionc madgrad madgradw mars momentum muon nadam nadamc nadamlegacy
    nadamuon nadamw nesterov nesterovw nlarc nlars nmuon novograd novogradc novogradw radabelief radam radamlegacy
    radamw rmsprop rmsproptf rmsproptfc rmsproptfw sgd sgdc sgdp sgdw
    """.split()  # noqa: SIM905
)

# config field -> (what an error calls it, its names)
NAMED: dict[str, tuple[str, tuple[str, ...]]] = {
    "loss": ("loss", LOSSES),
    "optimizer": ("optimizer", OPTIMIZERS),
    "schedule": ("schedule", SCHEDULES),
    "augmentation": ("recipe", RECIPES),
}
