from __future__ import annotations

import pytest
import torch
from torch import Tensor

from workers.training.augmentation import affine, augment, contrast, trivial
from workers.training.streams import stream

MANUAL = {"augmentation": "manual", "shift": 0.1, "rotate": 15.0, "scale": 0.2, "contrast": 0.3}


@pytest.fixture
def images() -> Tensor:
    return torch.rand(64, 1, 8, 6, generator=torch.Generator().manual_seed(0))


def moved(image: Tensor, degrees: float = 0, scale: float = 1, shift: tuple[float, float] = (0, 0)) -> Tensor:
    return affine(
        image,
        degrees=torch.tensor([float(degrees)]),
        scale=torch.tensor([float(scale)]),
        shift=torch.tensor(shift)[:, None].float(),
        shear=torch.zeros(2, 1),
    )


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


@pytest.mark.parametrize("settings", [MANUAL, {"augmentation": "trivialaugment"}], ids=["manual", "trivialaugment"])
def test_images_stay_images_and_follow_from_the_stream(settings: dict[str, object], images: Tensor) -> None:
    before = images.clone()
    out = augment(images, settings, stream(0, "augmentation", 1))
    assert out.shape == images.shape
    assert out.min() >= 0
    assert out.max() <= 1
    assert not torch.equal(out, images)
    assert torch.equal(images, before), "the data is shared: it must not change in place"
    assert torch.equal(out, augment(images, settings, stream(0, "augmentation", 1)))
    assert not torch.equal(out, augment(images, settings, stream(0, "augmentation", 2)))


def test_none_changes_nothing(images: Tensor) -> None:
    assert augment(images, {"augmentation": "none"}, stream(0, "augmentation")) is images


def test_trivialaugment_leaves_about_a_tenth_of_the_images_alone() -> None:
    images = torch.rand(2000, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    same = (trivial(images, stream(0, "augmentation")) - images).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert 0.07 < same.float().mean() < 0.16  # identity, and changes whose strength was nearly 0
