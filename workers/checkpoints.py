"""The file in which a training waits to be continued: tensors as safetensors, the rest as JSON in its header.

All state of a training is listed in `Checkpoint`; random generators need none, because every epoch has its own key.
Nothing is ever unpickled, so a checkpoint from elsewhere cannot run code.

CheckpointError
    The file is missing, damaged, of another version, or belongs to another training; or it remembers other things than
    this version does.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

VERSION = 2


class CheckpointError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`model` is the state of the model by tensor name; `optimizer` the state of its optimizers,
    by the number of the optimizer, the index of the parameter ("0.3") and the name.

    `extra` is what else a training remembers, by name.

    `identity` says what was trained: all that must be equal to continue.
    """

    identity: Mapping[str, Any]
    epoch: int
    metrics: Mapping[str, float]
    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Mapping[str, Tensor]]
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """All of it or, after a crash, nothing: written beside the path, flushed to the disk, then renamed."""
        tensors = {f"model/{name}": tensor for name, tensor in self.model.items()}
        for index, state in self.optimizer.items():
            tensors |= {f"optimizer/{index}/{name}": tensor for name, tensor in state.items()}
        tensors |= {f"extra/{name}": tensor for name, tensor in self.extra.items()}
        header = {
            "version": VERSION,
            "identity": dict(self.identity),
            "epoch": self.epoch,
            "metrics": dict(self.metrics),
            "torch": torch.__version__,
        }
        content = save(
            {name: tensor.detach().contiguous() for name, tensor in tensors.items()}, {"assay": json.dumps(header)}
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path, identity: Mapping[str, Any], device: torch.device) -> Checkpoint:
        """Raises CheckpointError unless the file holds a training of this identity."""
        try:
            with safe_open(path, framework="pt", device=str(device)) as file:
                header = json.loads((file.metadata() or {}).get("assay", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        except (OSError, SafetensorError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        if header.get("version") != VERSION:
            raise CheckpointError(f"{path} has format {header.get('version')}, this worker reads {VERSION}")
        _require_equal(path, header["identity"], json.loads(json.dumps(dict(identity))))
        model: dict[str, Tensor] = {}
        optimizer: dict[str, dict[str, Tensor]] = {}
        extra: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("/")
            if kind == "model":
                model[rest] = tensor
            elif kind == "extra":
                extra[rest] = tensor
            else:
                index, _, key = rest.partition("/")
                optimizer.setdefault(index, {})[key] = tensor
        return cls(header["identity"], header["epoch"], header["metrics"], model, optimizer, extra)


def packed(value: Any) -> Tensor:
    """For `Checkpoint.extra`: what is no tensor, as JSON [bytes]."""
    return torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)


def unpacked(stored: Tensor) -> Any:
    return json.loads(stored.cpu().numpy().tobytes())


def unpacked_as(kind: type[T], stored: Tensor) -> T:
    """The dataclass whose fields were packed. Raises CheckpointError where it has other fields now."""
    given = unpacked(stored)
    known = {each.name: each.default is each.default_factory is MISSING for each in fields(kind)}
    needed = {name for name, required in known.items() if required}
    if needed <= given.keys() <= known.keys():
        return kind(**given)
    lacking, unknown = (", ".join(sorted(names)) or "none" for names in (needed - given.keys(), given.keys() - known))
    raise CheckpointError(
        f"what the checkpoint remembers of its search was saved by another version (it lacks: {lacking}; not known "
        f"here: {unknown}): let the version that saved it go on, or begin anew"
    )


def _require_equal(path: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """An identity may have named more at the time of saving."""
    for key, value in wanted.items():
        if stored.get(key) != value:
            raise CheckpointError(f"{path} holds {key} {stored.get(key)!r}, this training has {value!r}")
