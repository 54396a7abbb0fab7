"""What a plugin file imports: the tables in which it registers losses, optimizers, schedules and recipes.

This address stays when modules of the engine move, since a run keeps copies of its plugins and resumes with them.
Imports torch; nothing of the package imports this module.
"""

from __future__ import annotations

from imgcls_lab.engine.optim.losses import LOSSES
from imgcls_lab.engine.optim.lr_scheduler import SCHEDULES
from imgcls_lab.engine.optim.optimizers import OPTIMIZERS
from imgcls_lab.engine.transforms.augment_recipes import RECIPES, Recipe

__all__ = ["LOSSES", "OPTIMIZERS", "RECIPES", "SCHEDULES", "Recipe"]
