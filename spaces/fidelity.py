"""The fidelity of a space: the resource a run may use, such as epochs or a fraction of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from spaces.checks import Fields, unknown
from spaces.values import ByJson

TYPES = ("int", "float")


@dataclass(frozen=True, eq=False)
class Fidelity(ByJson):
    """Amounts from `low` > 0 to `high`: whole numbers when both bounds are integers, else real ones.

    Raises InvalidInput, with paths such as ("low",), when a field is wrong.
    """

    name: str
    low: float
    high: float

    def __post_init__(self) -> None:
        read = Fields(vars(self))
        self.check(read)
        read.require()
        if self.type == "float":
            object.__setattr__(self, "low", float(self.low))
            object.__setattr__(self, "high", float(self.high))

    @property
    def type(self) -> Literal["int", "float"]:
        return "int" if isinstance(self.low, int) and isinstance(self.high, int) else "float"

    @staticmethod
    def check(read: Fields) -> None:
        """Notes what is wrong with these raw fields; on the wire, `type` may be one of them."""
        read.name()
        kind = read.raw("type")
        if kind is not None and kind not in TYPES:
            read.wrong("type", unknown("type", kind, TYPES))
        whole = all(isinstance(read.raw(bound), int) for bound in ("low", "high"))
        bound = read.integer if kind == "int" or (kind is None and whole) else read.number
        low, high = bound("low"), bound("high")
        if low is not None and low <= 0:
            read.wrong("low", f"must be greater than 0, got {low}")
        if low is not None and high is not None and low >= high:
            read.wrong("low", f"must be less than high ({high}), got {low}")

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "type": self.type, "low": self.low, "high": self.high}
