from __future__ import annotations

import pytest
import torch
from torch import Tensor

from workers.data.loading import Examples
from workers.training.augmentation import (
    KINDS,
    UNSEEN,
    affine,
    augmented,
    changed_by,
    contrast,
    elastic,
    randaugment,
    trivial,
    warped,
)
from workers.training.streams import stream

MANUAL = {"augmentation": "manual", "shift": 0.1, "rotate": 15.0, "scale": 0.2, "contrast": 0.3}

BENT = {**MANUAL, "stretch": 0.2, "elastic": 0.5, "flip": True}
RANDAUGMENT = {"augmentation": "randaugment", "augmentations": 2, "augmentation_strength": 0.5}
TRIVIAL = {"augmentation": "trivialaugment"}


@pytest.fixture
def images() -> Tensor:
    return torch.rand(64, 1, 8, 6, generator=torch.Generator().manual_seed(0))


def moved(image: Tensor, degrees: float = 0, scale: float = 1, shift: tuple[float, float] = (0, 0)) -> Tensor:
    sources = affine(
        image,
        degrees=torch.tensor([float(degrees)]),
        scale=torch.tensor([float(scale)]),
        shift=torch.tensor(shift)[:, None].float(),
        shear=torch.zeros(2, 1),
    )
    return warped(Examples(image), sources).inputs


def test_nothing_moves_by_nothing(images: Tensor) -> None:
    torch.testing.assert_close(moved(images[:1]), images[:1], atol=1e-5, rtol=1e-5)


def test_a_shift_moves_right_and_down_and_brings_zeros(images: Tensor) -> None:
    out = moved(images[:1], shift=(1 / 6, 2 / 8))  # one pixel to the right, two down
    torch.testing.assert_close(out[..., 2:, 1:], images[:1, :, :-2, :-1], atol=1e-5, rtol=1e-5)
    assert out[..., :2, :].abs().max() < 1e-5
    assert out[..., :, 0].abs().max() < 1e-5


def test_a_rotation_turns_square_pixels_whatever_the_image_sides() -> None:
    image = torch.zeros(1, 1, 9, 5)
    image[..., 4, 3] = 1  # right of the centre
    turned = moved(image, degrees=90)
    assert turned.sum() == pytest.approx(1, abs=1e-4)
    assert turned[..., 4, 2] < 1e-4
    assert max(turned[..., 3, 2], turned[..., 5, 2]) == pytest.approx(1, abs=1e-4)  # above or below the centre


def test_a_larger_scale_enlarges() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[..., 3:5, 3:5] = 1
    assert moved(image, scale=2).sum() > 3 * image.sum()


def test_contrast_keeps_the_mean_and_spreads_the_pixels() -> None:
    image = torch.tensor([0.4, 0.6]).reshape(1, 1, 1, 2)
    torch.testing.assert_close(contrast(image, torch.tensor([2.0])).flatten(), torch.tensor([0.3, 0.7]))


@pytest.mark.parametrize("settings", [MANUAL, BENT, RANDAUGMENT, TRIVIAL], ids=["manual", "bent", "rand", "trivial"])
def test_images_stay_images_and_follow_from_the_stream(settings: dict[str, object], images: Tensor) -> None:
    before = images.clone()

    def changed(epoch: int) -> Tensor:
        return augmented(Examples(images), settings, stream(0, "augmentation", epoch)).inputs

    out = changed(1)
    assert out.shape == images.shape
    assert out.min() >= 0
    assert out.max() <= 1
    assert not torch.equal(out, images)
    assert torch.equal(images, before), "the data is shared: it must not change in place"
    assert torch.equal(out, changed(1))
    assert not torch.equal(out, changed(2))


def test_none_changes_nothing(images: Tensor) -> None:
    examples = Examples(images)
    assert augmented(examples, {"augmentation": "none"}, stream(0, "augmentation")) is examples


def test_trivialaugment_leaves_about_a_tenth_of_the_images_alone() -> None:
    images = torch.rand(2000, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    same = (trivial(Examples(images), stream(0, "augmentation")).inputs - images).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert 0.07 < same.float().mean() < 0.16  # identity, and changes whose strength was nearly 0


def test_only_a_share_is_changed(images: Tensor) -> None:
    many = images.repeat(20, 1, 1, 1)
    out = augmented(Examples(many), {**MANUAL, "augmented_share": 0.3}, stream(0, "augmentation")).inputs
    same = (out == many).flatten(1).all(dim=1).float().mean()
    assert same == pytest.approx(0.7, abs=0.04)


def test_half_of_the_images_are_mirrored(images: Tensor) -> None:
    still = {"augmentation": "manual", "shift": 0.0, "rotate": 0.0, "scale": 0.0, "contrast": 0.0, "flip": True}
    out = augmented(Examples(images), still, stream(0, "augmentation")).inputs
    mirrored = [torch.allclose(a, b.flip(-1), atol=1e-5) for a, b in zip(out, images, strict=True)]
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(out, images, strict=True)]
    assert all(m or s for m, s in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48


def test_a_stretch_widens_what_it_flattens() -> None:
    image = torch.zeros(1, 1, 16, 16)
    image[..., 6:10, 6:10] = 1
    zero, one = torch.zeros(1), torch.ones(1)
    sources = affine(image, zero, one, torch.zeros(2, 1), torch.zeros(2, 1), stretch=torch.tensor([2.0]))
    out = warped(Examples(image), sources).inputs[0, 0]
    assert (out.sum(dim=0) > 0.5).sum() == 8
    assert (out.sum(dim=1) > 0.5).sum() == 2


def test_bending_has_the_strength_that_was_asked_for() -> None:
    field = elastic(torch.zeros(200, 1, 32, 32), 0.5, stream(0, "augmentation"))
    assert field.shape == (200, 32, 32, 2)
    in_pixels = field * 16
    assert 1 < in_pixels.std() < 2.2  # 2 pixels at the points of the grid, less between them
    assert (in_pixels[:, :, 1:] - in_pixels[:, :, :-1]).abs().mean() < 0.5, "neighbours move together"


@pytest.mark.parametrize("kind", KINDS)
def test_no_strength_is_no_change(kind: str, images: Tensor) -> None:
    kinds = torch.full((len(images),), KINDS.index(kind))
    out = changed_by(Examples(images), kinds, torch.zeros(len(images))).inputs
    torch.testing.assert_close(out, images, atol=1 / 255 if kind == "posterize" else 1e-5, rtol=0)
    if kind != "identity":
        assert (changed_by(Examples(images), kinds, torch.ones(len(images))).inputs - images).abs().max() > 0.1


def test_randaugment_without_strength_changes_nothing_visible(images: Tensor) -> None:
    out = randaugment(Examples(images), 2, 0.0, stream(0, "augmentation")).inputs
    torch.testing.assert_close(out, images, atol=2 / 255, rtol=0)


@pytest.mark.parametrize("settings", [MANUAL, BENT, RANDAUGMENT, TRIVIAL], ids=["manual", "bent", "rand", "trivial"])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_masks_move_with_their_images(settings: dict[str, object], share: float) -> None:
    """An image of one bright disc, whose mask is where it is bright: so it stays, whatever is done to both."""
    side = torch.arange(24) - 11.5
    places = torch.linspace(-5, 5, 40)
    disc = ((side[:, None] - places[:, None, None]).square() + side.square() < 30).float()[:, None]  # [40, 1, 24, 24]
    masks = (disc[:, 0] > 0.5).long()
    given = {**settings, "augmented_share": share, "contrast": 0.0}
    out = augmented(Examples(disc, masks), given, stream(0, "augmentation"))
    assert out.targets is not None
    assert out.targets.dtype == masks.dtype
    assert torch.equal(masks, (disc[:, 0] > 0.5).long()), "the data is shared: it must not change in place"
    assert not torch.equal(out.targets, masks)
    bright = out.inputs[:, 0] > 0.5
    changed_light = settings in (RANDAUGMENT, TRIVIAL)
    if not changed_light:  # only at the edge does linear interpolation differ from the nearest pixel
        differ = ((out.targets == 1) != bright).float().mean()
        assert differ < 0.01
    assert ((out.targets == UNSEEN) & bright).float().mean() < (0.3 if changed_light else 1e-3)


def test_a_mask_is_shifted_and_what_comes_into_view_has_no_class(images: Tensor) -> None:
    classes = torch.randint(3, (1, 8, 6), generator=torch.Generator().manual_seed(0))
    sources = affine(images[:1], torch.zeros(1), torch.ones(1), torch.tensor([[1 / 6], [2 / 8]]), torch.zeros(2, 1))
    out = warped(Examples(images[:1], classes), sources).targets
    assert out is not None
    assert torch.equal(out[:, 2:, 1:], classes[:, :-2, :-1])
    assert (out[:, :2] == UNSEEN).all()
    assert (out[:, :, 0] == UNSEEN).all()


def test_mirrored_masks(images: Tensor) -> None:
    still = {"augmentation": "manual", "shift": 0.0, "rotate": 0.0, "scale": 0.0, "contrast": 0.0, "flip": True}
    batch = Examples(images, (images[:, 0] * 1000).long())
    out = augmented(batch, still, stream(0, "augmentation"))
    assert out.targets is not None
    assert ((out.targets - out.inputs[:, 0] * 1000).abs() < 1.1).all()
    assert not torch.equal(out.targets, (images[:, 0] * 1000).long())
