"""A trained model as one file: tensors as safetensors, and in its header the model card as JSON.

Everything that answers new inputs is in it: weights, preprocessing, and what the network is built from. Nothing is ever
unpickled, so a model from elsewhere cannot run code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from workers.catalogue import FAMILIES, Facts
from workers.protocol import Failure
from workers.training.assembly import assemble
from workers.training.learner import Learner
from workers.training.plan import Plan

VERSION = 1


class ModelFileError(Exception):
    """The file is missing, damaged, of another version, or names a family that this version does not know."""


@dataclass(frozen=True, slots=True)
class Model:
    """`card` is the JSON of the header."""

    learner: Learner
    card: Mapping[str, Any]

    @torch.no_grad()
    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs [n, *shape] as the dataset has them -> [n, classes] probabilities of a classifier, or what the task
        answers (`Learner.forward`)."""
        self.learner.eval()
        answers = torch.cat([self.learner(part) for part in torch.split(inputs, 1024)])
        return answers.softmax(dim=1) if self.card["facts"]["task"] == "classification" else answers


def write_model(path: Path, plan: Plan, learner: Learner, card: Mapping[str, Any]) -> None:
    header = {
        "version": VERSION,
        "family": plan.family.name,
        "dataset": plan.dataset.name,
        "facts": asdict(plan.facts),
        "settings": dict(plan.settings),
        "torch": torch.__version__,
        **card,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in learner.state_dict().items()}
    save_file(tensors, path, {"assay-model": json.dumps(header)})


def read_model(path: Path) -> Model:
    """Raises ModelFileError."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = json.loads((file.metadata() or {}).get("assay-model", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelFileError(f"{path} cannot be read: {error}") from error
    if header.get("version") != VERSION:
        raise ModelFileError(f"{path} is no model of this version: format {header.get('version')}, read is {VERSION}")
    if header.get("family") not in FAMILIES:
        raise ModelFileError(f"{path} holds a model of the family {header.get('family')!r}, which is not known here")
    try:
        facts = Facts(**{**header["facts"], "shape": tuple(header["facts"]["shape"])})
        learner = assemble(FAMILIES[header["family"]], header["settings"], facts, rng=None)
        learner.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError, Failure) as error:
        raise ModelFileError(f"{path} is damaged: its weights do not fit its card ({error})") from error
    return Model(learner, header)
