"""Language models on a small text: their mathematics, and that a training that stops and goes on is the same one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workers.data.loading import Examples
from workers.families import char_lm
from workers.families.blocks import attach_noise, initialize, parameter_count
from workers.families.char_lm.network import LanguageModel, build
from workers.families.char_lm.ngram import NGram
from workers.families.char_lm.recurrent import Layer
from workers.families.char_lm.stretches import Streams, Windows, pieces
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Failure, FailureClass, Report
from workers.rows import Facts
from workers.training import loop
from workers.training.learner import Epoch, Learner
from workers.training.settings import resolve
from workers.training.streams import stream

FACTS = Facts(task="language", inputs="text", shape=(), outputs=5)
SMALL = {"hidden": 12, "embedding": 6, "context": 8, "batch_size": 4}
CORES: list[dict[str, Any]] = [
    {"core": "vanilla"},
    {"core": "lstm", "layers": 2},
    {"core": "gru", "tied": True},
    {"core": "transformer", "layers": 2, "heads": 2},
    {"core": "transformer", "tied": True},
    {"core": "ngram", "order": 3},
]


def settings(**config: Any) -> Any:
    return resolve(char_lm.FAMILY.hyperparameters("text"), {**SMALL, **config})


def learner(facts: Facts = FACTS, **config: Any) -> Learner:
    made = build(settings(**config), facts)
    initialize(made, "inverse_sqrt", stream(0, "initialization"))
    return made.eval()


def text(length: int = 200, outputs: int = 5) -> torch.Tensor:
    return torch.randint(outputs, (length,), generator=torch.Generator().manual_seed(1))


def epoch(inputs: torch.Tensor, number: int = 0, **config: Any) -> Epoch:
    chosen = settings(**config)

    def autocast() -> Any:
        return torch.autocast("cpu", enabled=False)

    device = torch.device("cpu")
    return Epoch(number, 3, Examples(inputs), chosen, [], device, autocast, lambda purpose, at=None: stream(0, purpose))


@pytest.mark.parametrize("config", CORES)
def test_an_answer_rests_on_the_characters_up_to_it_alone(config: dict[str, Any]) -> None:
    model, characters = learner(**config), text(40)
    if isinstance(model, NGram):
        model.fit(text(300))
    changed = characters.clone()
    changed[25:] = (changed[25:] + 1) % 5
    with torch.no_grad():
        answers, others = model(characters), model(changed)
    assert answers.shape == (40, 5)
    torch.testing.assert_close(answers.exp().sum(dim=1), torch.ones(40, dtype=answers.dtype))
    torch.testing.assert_close(answers[:25], others[:25])
    assert (answers[25:] - others[25:]).abs().max() > 1e-4


@pytest.mark.parametrize("config", CORES)
def test_the_score_is_the_mean_of_the_answers(config: dict[str, Any]) -> None:
    model, characters = learner(**config), text(60)
    if isinstance(model, NGram):
        model.fit(text(300))
    with torch.no_grad():
        logs = model(characters[:-1])[torch.arange(59), characters[1:]]
        bpc = model.evaluate(Examples(characters), torch.Generator())["bpc"]
    assert bpc == pytest.approx(-float(logs.mean()) / math.log(2), rel=1e-5)


def test_an_untrained_model_knows_as_much_as_a_die() -> None:
    bpc = learner(core="ngram").evaluate(Examples(text()), torch.Generator())["bpc"]
    assert bpc == pytest.approx(math.log2(5))


@pytest.mark.parametrize(
    ("config", "count"),
    [
        # table 5·6; gates (6 + 12 + 2)·12 each; head (12 + 1)·5
        ({"core": "vanilla"}, 30 + 20 * 12 + 65),
        ({"core": "gru"}, 30 + 3 * 20 * 12 + 65),
        ({"core": "lstm", "layers": 2}, 30 + 4 * 20 * 12 + 4 * 26 * 12 + 65),
        # no table; a bridge 12 -> 6; head (6 + 1)·5
        ({"core": "gru", "tied": True}, 3 * 20 * 12 + 13 * 6 + 35),
        # table, block (norms 4d, attention 4d² + 4d, feedforward 8d² + 5d), last norm 2d, head; d = 64
        ({"core": "transformer"}, 320 + 12 * 64**2 + 13 * 64 + 128 + 65 * 5),
    ],
)
def test_parameters(config: dict[str, Any], count: int) -> None:
    assert parameter_count(learner(**config)) == count


@pytest.mark.parametrize("kind", ["vanilla", "gru", "lstm"])
def test_recurrent_layers_are_their_equations(kind: str) -> None:
    layer = Layer(kind, 3, 4).eval()
    initialize(layer, "inverse_sqrt", stream(0, "initialization"))
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    h = c = torch.zeros(2, 4)
    expected = []
    with torch.no_grad():
        for t in range(5):
            read, kept = layer.input(x[:, t]), layer.hidden(h)
            match kind:
                case "vanilla":
                    h = torch.tanh(read + kept)
                case "gru":
                    r, z = ((a + b).sigmoid() for a, b in zip(read.chunk(3, 1)[:2], kept.chunk(3, 1)[:2], strict=True))
                    n = torch.tanh(read[:, 8:] + r * kept[:, 8:])
                    h = (1 - z) * n + z * h
                case "lstm":
                    i, f, g, o = (read + kept).chunk(4, 1)
                    c = (f + 1).sigmoid() * c + i.sigmoid() * g.tanh()
                    h = o.sigmoid() * c.tanh()
            expected.append(h)
        out, state = layer(x, None)
    torch.testing.assert_close(out, torch.stack(expected, dim=1))
    torch.testing.assert_close(state[0], h)


@pytest.mark.parametrize("config", [{"core": "vanilla"}, {"core": "gru"}, {"core": "lstm"}, {"core": "transformer"}])
def test_gradients_are_those_of_the_loss(config: dict[str, Any]) -> None:
    model = learner(**config).double()
    stretch = text(13).unfold(0, 5, 4)  # [3, 5]
    batch = Examples(stretch[:, :-1], stretch[:, 1:])

    def loss() -> torch.Tensor:
        model.state = None
        return model.loss(batch, torch.Generator())

    torch.autograd.backward(loss())
    for parameter in model.parameters():
        assert parameter.grad is not None
        flat, place = parameter.data.view(-1), int(parameter.grad.abs().argmax())
        values = []
        for step in (1e-5, -2e-5):
            flat[place] += step
            values.append(float(loss().detach()))
        flat[place] += 1e-5
        slope = (values[0] - values[1]) / 2e-5
        assert slope == pytest.approx(float(parameter.grad.view(-1)[place]), rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("core", ["vanilla", "gru", "lstm"])
def test_a_state_that_is_carried_is_as_good_as_one_long_stretch(core: str) -> None:
    model = learner(core=core, layers=2)
    assert isinstance(model, LanguageModel)
    rows = text(48).view(2, 24)
    with torch.no_grad():
        whole, _ = model.logits(rows, None)
        first, state = model.logits(rows[:, :10], None)
        second, _ = model.logits(rows[:, 10:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)


def test_the_state_ends_with_the_epoch_and_its_gradient_with_the_stretch() -> None:
    model = learner(core="gru", dropout=0.0)
    assert isinstance(model, LanguageModel)
    seen: list[bool] = []
    inner = model.logits

    def watched(characters: torch.Tensor, state: torch.Tensor | None) -> Any:
        seen.append(state is not None)
        assert state is None or not state.requires_grad
        return inner(characters, state)

    model.logits = watched  # type: ignore[method-assign]
    for number in (0, 1):
        work = epoch(text(400), number, core="gru")
        work.optimizers.extend(model.optimizers())
        model.train_epoch(work)
        assert model.state is None
    steps = len(seen) // 2
    assert seen == ([False] + [True] * (steps - 1)) * 2


def test_streams_go_through_the_text_once_and_in_order() -> None:
    characters = torch.arange(1000)
    cut = Streams.of(epoch(characters), 8)
    batches = [batch for _, batch in cut.batches()]
    assert len(batches) == cut.steps
    rows = torch.cat([batch.inputs for batch in batches], dim=1)
    assert rows.shape == (4, 248)
    flat = rows.flatten()
    assert torch.equal(flat, torch.arange(int(flat[0]), int(flat[0]) + len(flat)))
    assert all(torch.equal(batch.targets, batch.inputs + 1) for batch in batches if batch.targets is not None)


def test_windows_are_all_different_stretches_of_the_text() -> None:
    cut = Windows.of(epoch(torch.arange(1000)), 8)
    batches = [batch for _, batch in cut.batches()]
    assert len(batches) == cut.steps == 31
    rows = torch.cat([batch.inputs for batch in batches])
    assert rows.shape == (124, 8)
    assert len(rows.unique()) == 124 * 8
    assert torch.equal(rows[:, 1:], rows[:, :-1] + 1)


@pytest.mark.parametrize(("length", "warm", "scored"), [(1, 4, 4), (5, 8, 3), (23, 4, 5), (700, 3, 4)])
def test_pieces_judge_every_place_once_and_know_what_came_before(length: int, warm: int, scored: int) -> None:
    judged = []
    for where, counts in pieces(length, warm, scored):
        for row, is_judged in zip(where, counts, strict=True):
            first = int(is_judged.int().argmax())
            assert first >= min(warm, int(row[first]))
        judged.append(where[counts])
    assert torch.equal(torch.cat(judged), torch.arange(length))


def test_ngrams_are_their_formula() -> None:
    """p(c | ab) = (n(abc) + s p(c | b)) / (n(ab) + s), and so on down to 1/5."""
    model, characters, s = learner(core="ngram", order=3, smoothing=2.0), text(50), 2.0
    assert isinstance(model, NGram)
    model.fit(characters)
    words = characters.tolist()

    def p(history: list[int], c: int) -> float:
        k = len(history)
        here = [words[i : i + k] for i in range(len(words) - k)]
        both = sum(words[i : i + k + 1] == [*history, c] for i in range(len(words) - k))
        shorter = p(history[1:], c) if k else 1 / 5
        return (both + s * shorter) / (len([h for h in here if h == history]) + s)

    probabilities = model(torch.tensor([3, 1, 4, 1])).exp()
    expected = [[p(h, c) for c in range(5)] for h in ([3], [3, 1], [1, 4], [4, 1])]
    np.testing.assert_allclose(probabilities.numpy(), expected, rtol=1e-12)


def test_the_counts_travel_in_the_state() -> None:
    model, other = learner(core="ngram"), learner(core="ngram")
    assert isinstance(model, NGram)
    model.fit(text(300))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(text(20)), model(text(20)))


def test_ngrams_without_a_code_are_infeasible() -> None:
    with pytest.raises(Failure, match="order 8 at most") as caught:
        build(settings(core="ngram", order=12), replace(FACTS, outputs=200))
    assert caught.value.failure is FailureClass.INFEASIBLE


def trained(config: dict[str, Any], epochs: int, place: Path, resume: Path | None = None) -> list[Report]:
    training = TrainObjective().train(
        Assignment(
            key="1",
            objective={"type": "train", "family": "char_lm", "dataset": "pydoc_text"},
            config={**SMALL, **config},
            seed=3,
            fidelity=("epochs", epochs, 3),
            resume_from=resume,
            checkpoint=place,
        )
    )
    return list(training)


@pytest.fixture
def short_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """pydoc_text, of which a training gets only the first 1200 characters, and the next 600 to be judged by."""
    real = loop.training_data

    def shorter(*arguments: Any) -> Any:
        data = real(*arguments)
        return replace(data, train=data.train[:1200], validation=data.validation[:600])

    monkeypatch.setattr(loop, "training_data", shorter)


@pytest.mark.parametrize("config", [{**each, "dropout": 0.2} for each in CORES], ids=lambda each: str(each["core"]))
def test_a_training_that_goes_on_is_the_same_one(config: dict[str, Any], tmp_path: Path, short_text: None) -> None:
    whole = trained(config, 3, tmp_path / "whole")
    first = trained(config, 2, tmp_path / "first")
    rest = trained(config, 3, tmp_path / "rest", tmp_path / "first")
    assert [r.metrics for r in [*first, *rest]] == [r.metrics for r in whole]
    assert whole[-1].metrics["val_bpc"] < math.log2(97)


def test_a_network_learns_a_text_that_repeats_itself() -> None:
    """After at most two characters of `0 1 2 0 3 4 0 1 2 ...` only one can follow."""
    facts, characters = replace(FACTS, outputs=5), torch.tensor([0, 1, 2, 0, 3, 4]).repeat(100)
    for config in ({"core": "gru"}, {"core": "transformer"}):
        model = learner(facts, **config, dropout=0.0)
        chosen = {
            **model.settings,
            "schedule": "constant",
            "warmup": 0.0,
            "lr": 0.02 if config["core"] == "gru" else 3e-3,
        }
        optimizers = model.optimizers()
        for number in range(6):
            work = replace(epoch(characters, number, **config), settings=chosen, optimizers=optimizers)
            attach_noise(model, stream(0, "dropout"))
            model.train_epoch(work)
        model.eval()
        with torch.no_grad():
            assert model.evaluate(Examples(characters), torch.Generator())["bpc"] < 0.3
