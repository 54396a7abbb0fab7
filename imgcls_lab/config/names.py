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
# Those of timm's optimizers that take a momentum, betas, an epsilon: (a test asks timm)
TAKE_MOMENTUM = tuple(
    """
    adafactorbv adafactorbvc adamuon bnbsgd bnbsgd8bit cadafactorbv cadafactorbvc crmsproptf csgdc csgdp csgdw fusedsgd
    kron kronc kronw larc lars madgrad madgradw momentum muon nadamuon nesterov nesterovw nlarc nlars nmuon rmsprop
    rmsproptf rmsproptfc rmsproptfw sgd sgdc sgdp sgdw
    """.split()  # noqa: SIM905
)
_NO_BETAS = frozenset({*TAKE_MOMENTUM, "adadelta", "adagrad"} - {"adamuon", "muon", "nadamuon", "nmuon"})
TAKE_BETAS = tuple(name for name in OPTIMIZERS if name not in _NO_BETAS)
_NO_EPS = frozenset(
    """
    bnblion bnblion8bit bnbsgd bnbsgd8bit clion clionc csgdc csgdw fusedsgd kron kronc kronw lion lionc momentum
    nesterov nesterovw sgd sgdc sgdw
    """.split()  # noqa: SIM905
)
TAKE_EPS = tuple(name for name in OPTIMIZERS if name not in _NO_EPS)

# config field -> (what an error calls it, its names)
NAMED: dict[str, tuple[str, tuple[str, ...]]] = {
    "loss": ("loss", LOSSES),
    "optimizer": ("optimizer", OPTIMIZERS),
    "schedule": ("schedule", SCHEDULES),
    "augmentation": ("recipe", RECIPES),
}
