from __future__ import annotations

from typing import Any

import pytest
import torch

from workers.catalogue import FAMILIES, Facts
from workers.data.loading import Data, Examples
from workers.families.blocks import initialize, parameter_count
from workers.families.recommender.boltzmann import Boltzmann
from workers.families.recommender.factors import Factorization, Implicit
from workers.families.recommender.neighbours import DOUBT, SHRINKAGE, Neighbours
from workers.families.recommender.network import ITEM_SHRINKAGE, USER_SHRINKAGE, Recommender, build
from workers.families.recommender.rated import RatedItems
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


@pytest.mark.parametrize("model", ["bias", "mf", "svdpp", "neural", "knn", "rbm"])
def test_who_and_what_is_unknown_deviates_by_nothing(model: str) -> None:
    learner = learner_of(model=model, item_features=False)
    cold = torch.tensor([[USERS - 1, 0], [0, ITEMS - 1], [USERS - 1, ITEMS - 1]])
    expected = torch.stack([learner.mean + learner.by_item[0], learner.mean + learner.by_user[0], learner.mean])
    torch.testing.assert_close(learner(cold)[:, 0], expected)


def test_what_is_known_of_an_unknown_item_tells_of_it() -> None:
    learner = learner_of(cold="content")
    torch.testing.assert_close(learner.by_item[:KNOWN_ITEMS], learner_of().by_item[:KNOWN_ITEMS])
    better = learner.by_item[KNOWN_ITEMS:]  # stars rise with the feature; the last has none, which is the mean
    assert float(better[0]) > float(better[1])
    assert float(better[0]) > float(learner.by_item[:KNOWN_ITEMS].mean())


def test_factors_are_multiplied_and_pay_once_in_all_ratings() -> None:
    learner, data = learner_of(model="mf", item_features=False, factors=3, reg=0.5, bias_reg=0.2), ratings()
    assert isinstance(learner, Factorization)
    assert data.targets is not None
    with torch.no_grad():
        learner.user_table.bias.normal_(generator=stream(1, "loss"))
        learner.item_table.bias.normal_(generator=stream(2, "loss"))
    p, q = learner.user_table, learner.item_table
    user, item = data.inputs.T
    estimate = learner.mean + p.bias[user] + q.bias[item] + torch.einsum("nk,nk->n", p.weight[user], q.weight[item])
    cost = (estimate - data.targets[:, 0]).square().sum()
    for table, known in ((p, KNOWN_USERS), (q, KNOWN_ITEMS)):
        cost = cost + 0.5 * table.weight[:known].square().sum() + 0.2 * table.bias[:known].square().sum()
    torch.testing.assert_close(learner.loss(data, stream(0, "loss")), cost / len(data))
    assert parameter_count(learner) == (USERS + ITEMS) * (3 + 1)


def test_all_that_a_user_rated_tells_of_the_taste() -> None:
    learner, data = learner_of(model="svdpp", item_features=False, factors=3, reg=0.0, bias_reg=0.0), ratings()
    assert isinstance(learner, Implicit)
    assert data.targets is not None
    with torch.no_grad():
        learner.hints.normal_(generator=stream(1, "loss"))
    rated = [data.inputs[data.inputs[:, 0] == user, 1] for user in range(KNOWN_USERS)]
    n = torch.stack([learner.hints[items].sum(dim=0) / len(items) ** 0.5 for items in rated])
    user, item = data.inputs.T
    taste = learner.user_table.weight[user] + n[user]
    estimate = learner.mean + torch.einsum("nk,nk->n", taste, learner.item_table.weight[item])
    torch.testing.assert_close(learner.loss(data, stream(0, "loss")), (estimate - data.targets[:, 0]).square().mean())
    assert not torch.allclose(learner.estimate(user, item), estimate)  # which answers as the last epoch left it
    learner.watched[:KNOWN_USERS] = n.detach()
    torch.testing.assert_close(learner.estimate(user, item), estimate)


def test_sums_over_what_was_rated_have_their_gradient() -> None:
    rated = RatedItems(ratings().inputs, USERS, ITEMS)
    vectors = torch.randn(ITEMS, 2, generator=stream(1, "loss"), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rated.sums, (vectors,))
    assert rated.sums(vectors)[USERS - 1].tolist() == [0, 0]  # who rated nothing


def test_features_tell_of_an_item_that_nobody_rated() -> None:
    learner = learner_of(model="mf", factors=2)
    assert isinstance(learner, Factorization)
    assert learner.features is not None
    with torch.no_grad():
        learner.told.copy_(torch.tensor([[0.5, -0.5, 0.3]]))
    user, item = torch.tensor([0, 0]), torch.tensor([1, KNOWN_ITEMS])
    x = learner.features(item)
    assert x[1] != x[0] != 0
    q, c = x * torch.tensor([0.5, -0.5]), 0.3 * x[:, 0]
    q[0] = q[0] + learner.item_table.weight[1].detach()  # an item without ratings has nothing of its own
    expected = learner.mean + c + q @ learner.user_table.weight[0]
    torch.testing.assert_close(learner.estimate(user, item), expected)
    assert learner.known(user, item).all()
    assert not learner.known(torch.tensor([USERS - 1]), torch.tensor([0])).any()


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
    for config in ({"model": "content"}, {"model": "knn", "cold": "content"}, {}, {"model": "neural"}):
        with pytest.raises(Failure, match="nothing is known of these items"):
            learner_of(bare, **config)
    many = {"users": 100_000, "items": 100_000}
    for model in ("knn", "rbm"):
        with pytest.raises(Failure, match="choose another model"):
            learner_of(many, model=model)
