"""Every augmentation does something, to each image its own, and the same wherever the image appears."""

from __future__ import annotations

from dataclasses import astuple, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.rng import epoch_order, uniforms
from imgcls_lab.engine.transforms import augment
from imgcls_lab.engine.transforms.augment import Augmentation, Plan, crop_shape, normalise
from imgcls_lab.engine.transforms.augment_recipes import RECIPES, Recipe, recipe_of
from imgcls_lab.engine.transforms.geometry import Place, Resize, ShortEdge
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import ConfigError
from imgcls_lab.planning.augment_recipes import DETAILS

SPEC = EvalSpec((Resize(32, 32),), "bilinear", (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))  # values stay 0..255
COUNT = 64
IMAGES = np.arange(COUNT)
ASPECTS = np.ones(COUNT, np.float32)
VARYING = [name for name in RECIPES.names() if name != "none"]


@pytest.fixture
def pixels() -> torch.Tensor:
    """The same lopsided picture 64 times, so that differences are the augmentation's."""
    y, x = np.mgrid[0:32, 0:32]
    picture = np.stack([x * 5 + 40, y * 4 + 20, (x * y) // 8 + 30], axis=2).astype(np.uint8)
    return torch.from_numpy(picture)[None].repeat(COUNT, 1, 1, 1)


def apply(
    recipe: str, pixels: torch.Tensor, *, epoch: int = 0, seed: int = 0, hflip: bool | None = False, **details: float
) -> torch.Tensor:
    return make(recipe, seed, hflip=hflip, **details)(pixels, epoch, IMAGES, ASPECTS)


def make(recipe: str, seed: int = 0, **fields: object) -> Augmentation:
    config = TrainConfig.parse({"root": "data", "augmentation": recipe, **fields})
    return Augmentation(recipe_of(config), seed, SPEC)


def distinct(values: torch.Tensor) -> int:
    return len({value.numpy().tobytes() for value in values.contiguous()})


def test_none_is_the_evaluation(pixels: torch.Tensor) -> None:
    assert torch.equal(apply("none", pixels, hflip=None), normalise(pixels, SPEC))


@pytest.mark.parametrize("recipe", VARYING)
def test_each_image_gets_its_own_draw(pixels: torch.Tensor, recipe: str) -> None:
    values = apply(recipe, pixels)
    assert values.shape == (COUNT, 3, 32, 32)
    assert distinct(values) > COUNT / 3  # light knows 25 shifts
    assert not torch.equal(values, apply(recipe, pixels, epoch=1))
    assert not torch.equal(values, apply(recipe, pixels, seed=1))


@pytest.mark.parametrize("recipe", VARYING)
def test_draw_depends_on_the_image_alone(pixels: torch.Tensor, recipe: str) -> None:
    whole = make(recipe)(pixels, 3, IMAGES, ASPECTS)
    chosen = np.array([40, 7, 19])
    part = make(recipe)(pixels[:3], 3, chosen, ASPECTS[:3])
    assert torch.equal(part, whole[torch.from_numpy(chosen)])


def test_a_batch_at_once_is_a_loop_over_its_images(pixels: torch.Tensor) -> None:
    everything = {"vflip": 0.5, "rotate": 20, "color_jitter": 0.3, "randaugment_ops": 3}
    for recipe, details in (("light", {}), ("light", {"vflip": 0.5}), ("timm", everything)):
        whole = apply(recipe, pixels, hflip=True, **details)
        one = make(recipe, hflip=True, **details)
        alone = [one(pixels[[i]], 0, IMAGES[[i]], ASPECTS[[i]]) for i in range(COUNT)]
        assert torch.allclose(torch.cat(alone), whole, atol=1e-3)


def test_crops_flips_and_boxes_are_what_a_slow_loop_makes_of_the_draws() -> None:
    noise = torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    aspects = np.linspace(0.5, 2, 8).astype(np.float32)
    draws = uniforms(0, 0, IMAGES[:8], augment._SLOTS).astype(np.float64)
    details = {"crop_scale": 0.3, "crop_ratio": 1.5, "random_erasing": 0.6, "vflip": 0.4}
    spec = replace(SPEC, steps=(ShortEdge(32), Place(32, 32)))
    found = Augmentation(replace(make("none").recipe, **details, hflip=0.5), 0, spec)(noise, 0, IMAGES[:8], aspects)
    for image, draw, aspect, result in zip(noise.numpy(), draws, aspects, found.numpy(), strict=True):
        area, ratio = 0.3 + 0.7 * draw[augment._AREA], 1.5 ** (2 * draw[augment._RATIO] - 1)
        width, height = min(1, np.sqrt(area * ratio / aspect)) * 32, min(1, np.sqrt(area * aspect / ratio)) * 32
        left, top = draw[augment._X] * (32 - width), draw[augment._Y] * (32 - height)
        columns = [left + (place + 0.5) * width / 32 - 0.5 for place in range(32)]
        rows = [top + (place + 0.5) * height / 32 - 0.5 for place in range(32)]
        columns = columns[::-1] if draw[augment._HFLIP] < 0.5 else columns
        rows = rows[::-1] if draw[augment._VFLIP] < 0.4 else rows
        expected = np.array([[between(image, row, column) for column in columns] for row in rows])
        if draw[augment._ERASE] < 0.6:
            low, high = augment.ERASE_AREA
            edge = np.sqrt(low + (high - low) * draw[augment._ERASE_AREA]) * 32
            down, right = (int(draw[place] * (32 - edge)) for place in (augment._ERASE_TOP, augment._ERASE_LEFT))
            expected[down : down + int(edge), right : right + int(edge)] = 0
        assert np.allclose(result, expected.transpose(2, 0, 1), atol=0.05)


def between(image: np.ndarray, row: float, column: float) -> np.ndarray:
    """The bilinear value at a place of an image, whose border is reflected."""
    value = np.zeros(3)
    for y in (int(np.floor(row)), int(np.floor(row)) + 1):
        for x in (int(np.floor(column)), int(np.floor(column)) + 1):
            share = (1 - abs(row - y)) * (1 - abs(column - x))
            value += share * image[min(max(y, 0), 31), min(max(x, 0), 31)]
    return value


@pytest.mark.parametrize("recipe", ["none", *VARYING])
def test_mirroring_is_a_switch(pixels: torch.Tensor, recipe: str) -> None:
    plain, mirrored = apply(recipe, pixels), apply(recipe, pixels, hflip=True)
    changed = sum(not torch.equal(a, b) for a, b in zip(plain, mirrored, strict=True))
    assert COUNT * 0.25 < changed < COUNT * 0.75


def test_mirroring_is_the_recipes_own_where_nothing_is_said(pixels: torch.Tensor) -> None:
    assert torch.equal(apply("light", pixels, hflip=None), apply("light", pixels, hflip=True))
    assert torch.equal(apply("none", pixels, hflip=None), apply("none", pixels, hflip=False))


def test_light_shifts_by_whole_pixels(pixels: torch.Tensor) -> None:
    inner = apply("light", pixels)[:, 0, 10, :].diff(dim=1)[:, 5:25]
    assert torch.equal(inner, torch.full_like(inner, 5.0))


def test_standard_crops_keep_the_share_they_should() -> None:
    ramp = torch.linspace(0, 255, 32).to(torch.uint8)[None, None, :, None].repeat(COUNT, 32, 1, 3)
    values = apply("standard", ramp)[:, 0, 16]
    widths = (values[:, -1] - values[:, 0]) / 255
    assert 0.4 < float(widths.min()) < 0.75
    assert 0.85 < float(widths.max()) <= 1.05


@pytest.mark.parametrize("name", [name for name in augment.OPERATIONS if name != "identity"])
def test_each_operation_changes_the_picture(pixels: torch.Tensor, name: str) -> None:
    chosen = np.full(4, augment.OPERATIONS.index(name))
    strength = np.full(4, 0.6, np.float32)
    values = pixels[:4].permute(0, 3, 1, 2).float()
    values[:, :, ::3, ::3] *= 0.9  # something to sharpen
    if name in augment.GEOMETRIC:
        assert not np.allclose(augment._geometry(chosen, strength), np.eye(3))
    else:
        before = values.clone()
        after = augment._colour(values, Plan(chosen, strength, np.ones(4, np.float32)))
        assert not torch.equal(after, before)
        assert 0 <= float(after.min()) <= float(after.max()) <= 255


def test_crops_are_cut_from_larger_squares_for_large_images() -> None:
    shapes = [(28, 28), (64, 64), (224, 224), (56, 112)]
    assert [crop_shape(RECIPES.get("standard"), shape) for shape in shapes] == [
        (28, 28),
        (64, 64),
        (256, 256),
        (64, 128),
    ]
    assert crop_shape(RECIPES.get("light"), (224, 224)) is None
    assert crop_shape(Recipe(crop_ratio=1.2), (224, 224)) == (256, 256)


DETAIL_VALUES = {
    "crop_scale": 0.2,
    "crop_ratio": 2.0,
    "vflip": 0.5,
    "rotate": 30,
    "color_jitter": 0.4,
    "randaugment": 8,
    "random_erasing": 0.5,
}


@pytest.mark.parametrize(("name", "value"), DETAIL_VALUES.items())
@pytest.mark.parametrize("recipe", ["none", "standard"])
def test_each_detail_changes_what_the_recipe_does(pixels: torch.Tensor, recipe: str, name: str, value: float) -> None:
    assert set(DETAIL_VALUES) | {"randaugment_ops"} == set(DETAILS)
    plain, changed = apply(recipe, pixels), apply(recipe, pixels, **{name: value})
    assert not torch.equal(plain, changed)
    assert changed.shape == (COUNT, 3, 32, 32)


def test_number_of_operations_is_a_detail(pixels: torch.Tensor) -> None:
    results = [apply("none", pixels, randaugment=8, randaugment_ops=count) for count in (1, 2, 4)]
    untouched = [sum(torch.equal(a, b) for a, b in zip(r, apply("none", pixels), strict=True)) for r in results]
    assert untouched[0] > untouched[1] >= untouched[2]


def test_a_detail_can_switch_off_what_the_recipe_does(pixels: torch.Tensor) -> None:
    off = apply("heavy", pixels, crop_scale=1, crop_ratio=1, randaugment=0, random_erasing=0)
    assert torch.equal(off, apply("none", pixels))


def test_upside_down_is_a_share_of_the_images(pixels: torch.Tensor) -> None:
    plain, turned = apply("none", pixels), apply("none", pixels, vflip=0.25)
    flipped = [torch.equal(b, a.flip(1)) for a, b in zip(plain, turned, strict=True)]
    assert 5 <= sum(flipped) <= 28
    assert all(torch.equal(b, a) or f for a, b, f in zip(plain, turned, flipped, strict=True))
    assert torch.allclose(apply("none", pixels, vflip=1, rotate=1e-6), plain.flip(2), atol=0.01)


def test_rotation_is_even_within_its_angle() -> None:
    angles = uniforms(0, 0, np.arange(10_000), 16)[:, augment._ROTATE]
    maps = augment._rotation(np.radians(30 * (2 * angles.astype(np.float64) - 1)))
    found = np.degrees(np.arctan2(maps[:, 1, 0], maps[:, 0, 0]))
    assert (-30 <= found.min() < -29, 29 < found.max() <= 30) == (True, True)
    assert abs(found.mean()) < 0.5


def test_jitter_stays_within_its_reach() -> None:
    grey = torch.full((COUNT, 32, 32, 3), 100, dtype=torch.uint8)  # only brightness changes it
    values = apply("none", grey, color_jitter=0.4).amax((1, 2, 3))
    assert 60 <= float(values.min()) < 75
    assert 125 < float(values.max()) <= 140.01


def test_erased_share_and_size() -> None:
    white = torch.full((COUNT, 32, 32, 3), 255, dtype=torch.uint8)
    for share in (0.25, 1.0):
        gone = (apply("none", white, random_erasing=share) == 0).all(1).float().mean((1, 2))
        assert abs(float((gone > 0).float().mean()) - share) < 0.15
        assert float(gone.max()) <= augment.ERASE_AREA[1] + 0.02


def test_strengths_of_timm_lie_around_nine_and_of_heavy_evenly_below_six() -> None:
    draws = uniforms(0, 0, np.arange(10_000), 1)[:, 0]
    around, even = (augment._strengths(RECIPES.get(name), draws) for name in ("timm", "heavy"))
    assert (abs(around.mean() - 0.9) < 0.005, abs(around.std() - 0.05) < 0.01) == (True, True)
    assert (abs(even.mean() - 0.3) < 0.01, even.max() <= 0.6, even.min() < 0.01) == (True, True, True)


def test_unknown_recipe_names_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigError, match="did you mean heavy") as caught:
        make("havy")
    assert caught.value.problems[0].field == "augmentation"


def test_draws_are_even_and_independent() -> None:
    draws = uniforms(7, 3, np.arange(20_000), 16)
    assert np.abs(draws.mean(0) - 0.5).max() < 0.01
    assert np.abs(np.corrcoef(draws.T) - np.eye(16)).max() < 0.03
    assert 0 <= draws.min() <= draws.max() < 1


def test_order_is_a_permutation_of_seed_and_epoch() -> None:
    order = epoch_order(1, 2, 100)
    assert sorted(order.tolist()) == list(range(100))
    assert np.array_equal(order, epoch_order(1, 2, 100))
    assert not np.array_equal(order, epoch_order(1, 3, 100))
    assert not np.array_equal(order, epoch_order(2, 2, 100))


def test_weighted_order_draws_rare_images_more_often() -> None:
    weights = np.array([1.0] * 90 + [9.0] * 10)
    order = epoch_order(0, 0, 100, weights)
    assert len(order) == 100
    assert 30 < int((order >= 90).sum()) < 70


def test_table_of_recipes_in_the_documentation_is_true() -> None:
    text = (Path(__file__).parents[2] / "docs/data.md").read_text()
    names = [field.name for field in fields(Recipe)]
    assert f"| recipe | {' | '.join(names)} |" in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and line.count("|") == len(names) + 2]
    expected = [
        f"| {name} | {' | '.join(f'{value:.4g}' for value in astuple(RECIPES.get(name)))} |" for name in RECIPES.names()
    ]
    assert rows[1:] == expected
