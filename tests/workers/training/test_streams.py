from __future__ import annotations

import torch

from workers.training.streams import Purpose, stream


def draw(seed: int, purpose: Purpose, epoch: int = 0) -> tuple[float, ...]:
    return tuple(torch.rand(4, generator=stream(seed, purpose, epoch)).tolist())


def test_a_stream_follows_from_its_key_and_no_two_keys_share_one() -> None:
    assert draw(1, "order", 2) == draw(1, "order", 2)
    keys: list[tuple[int, Purpose, int]] = [(1, "order", 2), (2, "order", 1), (1, "order", 3), (1, "dropout", 2)]
    assert len({draw(*key) for key in keys}) == len(keys)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    draw(0, "initialization")
    assert torch.equal(before, torch.get_rng_state())
