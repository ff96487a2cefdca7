"""Architectures as parts of a space: cells and networks, written out into parameters that every algorithm searches."""

from spaces.architectures.base import Architecture
from spaces.architectures.expansion import ARCHITECTURES, of_config, of_entry, of_space, written_out
from spaces.architectures.one_shot import OneShot, SuperCell

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "OneShot",
    "SuperCell",
    "of_config",
    "of_entry",
    "of_space",
    "written_out",
]
