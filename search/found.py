"""What a supernet's run has found: configs, the best first, by a score that only compares them with each other.

On the wire, as the details of its result: {"ranking": [{"config": {...}, "score": 0.61}, ...], ...}. A config names the
parameters that were searched; the others are those of the run itself. What the search has come to has "own": true.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from search.history import Config, Found, Kind, Outcome, RunState
from search.results import Invalid, judge
from search.schedulers.one_shot import best_first
from search.spec import StudySpec
from spaces import InvalidInput
from spaces.values import is_number, show


def verdict(
    study: StudySpec,
    kind: Kind,
    config: Config,
    metrics: Mapping[str, object],
    details: Mapping[str, object] | None,
) -> Outcome | Invalid:
    """The outcome of a run of either kind that ended well, with these metrics and details."""
    return found(study, config, details) if kind == "supernet" else judge(study, metrics)


def found(study: StudySpec, config: Config, details: Mapping[str, object] | None) -> Outcome | Invalid:
    """The outcome of a supernet's run of this config that ended with these details."""
    ranking = (details or {}).get("ranking")
    if not isinstance(ranking, list) or not ranking:
        return Invalid("error", f"a supernet's run ends with a ranking of configs, got {show(ranking)}")
    read: list[Found] = []
    for place, entry in enumerate(ranking):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("config"), Mapping):
            return Invalid("error", f"ranking[{place}] is no object with a config and a score: {show(entry)}")
        score = entry.get("score")
        if not is_number(score) or not math.isfinite(score):
            return Invalid("diverged", f"ranking[{place}] has the score {show(score)}")
        try:
            study.space.validate({**config, **entry["config"]})
        except InvalidInput as refused:
            return Invalid("error", f"ranking[{place}] is no config of the space: {refused}")
        own = entry.get("own", False)
        if not isinstance(own, bool):
            return Invalid("error", f"ranking[{place}].own is neither true nor false: {show(own)}")
        read.append(Found(dict(entry["config"]), float(score), own))
    return Outcome(RunState.SUCCEEDED, found=best_first(read))
