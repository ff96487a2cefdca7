"""From settings to a learner: what the family builds, and what the recipe does to any network."""

from __future__ import annotations

import torch

from workers.catalogue import load
from workers.families.blocks import infeasible, initialize
from workers.families.initialization import normalize_weights
from workers.rows import Facts, Family
from workers.training.committee import committee_of
from workers.training.learner import Learner
from workers.training.recipe.combinations import objection
from workers.training.settings import Settings
from workers.training.supervised import Supervised

NAMES = ("text", "graph", "ratings")  # inputs that are names: nothing lies nearby


def assemble(family: Family, settings: Settings, facts: Facts, rng: torch.Generator | None) -> Learner:
    """With the first weights that follow from `rng`; without it, to be filled from a file.

    Raises Failure INFEASIBLE when the settings describe no network, or no training.
    """
    if reason := objection(settings):
        raise infeasible(reason)
    if settings["adversarial"] != "none" and facts.inputs in NAMES:
        raise infeasible(f"adversarial {settings['adversarial']} changes inputs a little, and {facts.inputs} are names")
    learner: Learner = load(family.builder)(settings, facts)
    if rng is not None:
        initialize(learner, settings["init"], rng, settings)
    if settings["norm"] == "weight":
        normalize_weights(learner)
    if settings["averaging"] in ("snapshot", "mc_dropout"):
        if not isinstance(learner, Supervised):
            raise infeasible(f"{family.name} has no single network to make several of: averaging ema, swa or none")
        probabilities = facts.task in ("classification", "segmentation")
        learner.committee = committee_of(learner.network, settings, probabilities)
    return learner
