from __future__ import annotations

from typing import Any

import pytest
import torch

from workers.catalogue import FAMILIES, Facts
from workers.data.loading import Data, Examples
from workers.families.blocks import initialize, parameter_count
from workers.families.recommender.boltzmann import Boltzmann
from workers.families.recommender.factors import Factorization
from workers.families.recommender.neighbours import DOUBT, SHRINKAGE, Neighbours
from workers.families.recommender.network import ITEM_SHRINKAGE, USER_SHRINKAGE, Recommender, build
from workers.protocol import Failure
from workers.training.settings import resolve
from workers.training.streams import stream

USERS, ITEMS = 6, 8
FACTS = Facts(
    task="rating", inputs="ratings", shape=(2,), outputs=1, sizes={"users": USERS, "items": ITEMS, "features": 1}
)
KNOWN_USERS, KNOWN_ITEMS = USERS - 1, ITEMS - 2  # the others have no ratings
FEATURES = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [torch.nan]])


def ratings() -> Examples:
    """All pairs of known users and known items but some; even and odd users like opposite items."""
    pairs = torch.cartesian_prod(torch.arange(KNOWN_USERS), torch.arange(KNOWN_ITEMS))
    pairs = pairs[(pairs[:, 0] + 2 * pairs[:, 1]) % 5 != 0]
    stars = 3.0 + 1.0 * (-1.0) ** (pairs.sum(dim=1)) + 0.2 * pairs[:, 1]
    return Examples(pairs, stars[:, None])


def learner_of(sizes: dict[str, int] | None = None, **config: Any) -> Recommender:
    facts = FACTS if sizes is None else Facts(task="rating", inputs="ratings", shape=(2,), outputs=1, sizes=sizes)
    learner = build(resolve(FAMILIES["recommender"].hyperparameters("ratings"), config), facts)
    assert isinstance(learner, Recommender)
    initialize(learner, "inverse_sqrt", stream(0, "initialization"))
    learner.prepare(Data(ratings(), ratings(), {"features": FEATURES}))
    return learner


def test_the_baseline_is_of_shrunk_means() -> None:
    learner, data = learner_of(), ratings()
    assert data.targets is not None
    r, mean = data.targets[:, 0], float(data.targets.mean())
    of_two = r[data.inputs[:, 1] == 2]
    item = float((of_two - mean).sum()) / (len(of_two) + ITEM_SHRINKAGE)
    assert float(learner.by_item[2]) == pytest.approx(item, abs=1e-5)
    mine = data.inputs[:, 0] == 1
    left = r[mine] - mean - learner.by_item[data.inputs[mine, 1]]
    assert float(learner.by_user[1]) == pytest.approx(float(left.sum()) / (len(left) + USER_SHRINKAGE), abs=1e-5)


@pytest.mark.parametrize("model", ["bias", "mf", "neural", "knn", "rbm"])
def test_who_and_what_is_unknown_deviates_by_nothing(model: str) -> None:
    learner = learner_of(model=model)
    cold = torch.tensor([[USERS - 1, 0], [0, ITEMS - 1], [USERS - 1, ITEMS - 1]])
    expected = torch.stack([learner.mean + learner.by_item[0], learner.mean + learner.by_user[0], learner.mean])
    torch.testing.assert_close(learner(cold)[:, 0], expected)


def test_what_is_known_of_an_unknown_item_tells_of_it() -> None:
    learner = learner_of(cold="content")
    torch.testing.assert_close(learner.by_item[:KNOWN_ITEMS], learner_of().by_item[:KNOWN_ITEMS])
    better = learner.by_item[KNOWN_ITEMS:]  # stars rise with the feature; the last has none, which is the mean
    assert float(better[0]) > float(better[1])
    assert float(better[0]) > float(learner.by_item[:KNOWN_ITEMS].mean())


def test_factors_are_multiplied_and_pay_per_rating() -> None:
    learner, data = learner_of(factors=3, reg=0.5), ratings()
    assert isinstance(learner, Factorization)
    assert data.targets is not None
    p, q = learner.user_table.weight[data.inputs[:, 0]], learner.item_table.weight[data.inputs[:, 1]]
    estimate = learner.mean + torch.einsum("nk,nk->n", p, q)  # biases begin at 0
    expected = (estimate - data.targets[:, 0]).square() + 0.5 * (p.square().sum(1) + q.square().sum(1))
    torch.testing.assert_close(learner.loss(data, stream(0, "loss")), expected.mean())
    assert parameter_count(learner) == (USERS + ITEMS) * (3 + 1)


def test_neighbours_speak_by_how_alike_they_are() -> None:
    learner, data = learner_of(model="knn", neighbours=2), ratings()
    assert isinstance(learner, Neighbours)
    assert data.targets is not None
    deviation: dict[tuple[int, int], float] = {
        (int(u), int(i)): float(r - learner.baseline(u, i))
        for (u, i), r in zip(data.inputs, data.targets[:, 0], strict=True)
    }

    def alike(u: int, v: int) -> float:
        both = [i for i in range(ITEMS) if (u, i) in deviation and (v, i) in deviation]
        top = sum(deviation[u, i] * deviation[v, i] for i in both)
        norms = (sum(deviation[u, i] ** 2 for i in both) * sum(deviation[v, i] ** 2 for i in both)) ** 0.5
        return top / norms * len(both) / (len(both) + SHRINKAGE)

    for user, item in [(0, 1), (1, 3), (2, 2)]:
        raters = [v for v in range(KNOWN_USERS) if v != user and (v, item) in deviation]
        best = sorted(((max(0.0, alike(user, v)), v) for v in raters), reverse=True)[:2]
        told = sum(s * deviation[v, item] for s, v in best) / (sum(s for s, _ in best) + DOUBT)
        one = torch.tensor([user]), torch.tensor([item])
        assert float(learner.estimate(*one)) == pytest.approx(float(learner.baseline(*one)) + told, abs=1e-4)


def test_the_free_energy_is_the_sum_over_hidden_states() -> None:
    """F(v) = -log sum over h of exp(-E(v, h)),  E = v²/2 - c·h - v W h"""
    learner = learner_of(model="rbm", hidden=3)
    assert isinstance(learner, Boltzmann)
    v, rated = learner.shown[:1], learner.rated[:1]
    states = torch.cartesian_prod(*[torch.tensor([-0.5, 0.5])] * 3)
    energy = v.square().sum() / 2 - states @ learner.hidden_bias - (v @ learner.weight.weight @ states.T)[0]
    torch.testing.assert_close(learner.free_energy(v, rated)[0], -torch.logsumexp(-energy, dim=0))


def test_ratings_keep_to_the_range() -> None:
    learner = learner_of(model="bias")
    with torch.no_grad():
        learner.get_parameter("item_bias").fill_(100)
    assert learner(ratings().inputs).unique().tolist() == [float(learner.high)]


def test_what_cannot_be_built_is_refused() -> None:
    bare = {"users": USERS, "items": ITEMS}
    for config in ({"model": "content"}, {"cold": "content"}):
        with pytest.raises(Failure, match="nothing is known of these items"):
            learner_of(bare, **config)
    many = {"users": 100_000, "items": 100_000}
    for model in ("knn", "rbm"):
        with pytest.raises(Failure, match="choose another model"):
            learner_of(many, model=model)
