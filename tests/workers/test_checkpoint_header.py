"""How far a checkpoint came, from its first bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from workers.checkpoint_header import epoch_of
from workers.checkpoints import Checkpoint


def test_the_epoch_is_that_of_the_training(tmp_path: Path) -> None:
    path = tmp_path / "c"
    Checkpoint({"family": "cell"}, 17, {"val_accuracy": 0.5}, {"w": torch.ones(3)}, {"0": {"m": torch.ones(3)}}).save(
        path
    )
    assert epoch_of(path) == 17


@pytest.mark.parametrize(
    "content", [b"", b"1234", b"\xff" * 64, b"\x02" + bytes(7) + b"{}", b"\x04" + bytes(7) + b"null"]
)
def test_what_is_no_checkpoint_has_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(content)
    assert epoch_of(path) is None
    assert epoch_of(tmp_path / "missing") is None
