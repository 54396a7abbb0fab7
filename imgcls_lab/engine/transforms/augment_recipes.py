"""The table of augmentation recipes, and the one that a config comes to.

Called by the run's preparation. `augment` applies the values to pixels; a plugin adds to the table.
"""

from __future__ import annotations

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.registry import Registry
from imgcls_lab.planning.augment_recipes import BUILT_IN, Recipe, with_details

__all__ = ["RECIPES", "Recipe", "recipe_of"]

RECIPES: Registry[Recipe] = Registry("augmentation")
for _name, _recipe in BUILT_IN.items():
    RECIPES.register(_name)(_recipe)


def recipe_of(config: TrainConfig) -> Recipe:
    """The recipe that the config names, with its details. Raises ConfigError for an unknown name."""
    return with_details(RECIPES.get(config.augmentation), config)
