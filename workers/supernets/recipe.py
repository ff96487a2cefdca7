"""From a study's recipe and a method's options to the settings of its supernet. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.supernets.methods import Method
from workers.training.plan import Plan
from workers.training.settings import Settings

# of the recipe, what the options of a method say, or what a supernet does not follow
FIXED: Mapping[str, Any] = {
    "optimizer": "sgd",
    "nesterov": False,
    "momentum_ramp": False,
    "schedule": "cosine",
    "warmup": 0.0,
    "final_lr": 1 / 25,
    "decay": "l2",
    "batch_growth": 1,
    "lr_link": "none",
    "clip": "norm",
}


def settings_of(plan: Plan, method: Method, options: Mapping[str, Any]) -> Settings:
    """The recipe of a supernet: what the study's space fixes, and in its place what the method's options say."""
    given = {name: options[name] for name in ("batch_size", "lr", "momentum", "weight_decay")}
    given |= {name: options[name] for name in ("channels", "layers") if options.get(name) is not None}
    settings = {**plan.settings, **FIXED, **given, "clip_norm": options["clip"], **method.recipe}
    return {**settings, "init": "orthogonal" if settings["init"] == "data_scaled" else settings["init"]}
