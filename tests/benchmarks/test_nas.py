"""The benchmark of architecture search, at its smallest."""

import json
from dataclasses import replace

import pytest
import torch

from benchmarks.nas import __main__ as command
from benchmarks.nas import collapse, found, steps, tabular
from benchmarks.nas.supernets import ROWS, architecture_of, opened, space_of
from search.algorithms.one_shot import ROWS as METHODS


def test_every_method_of_one_shot_search_is_measured():
    assert {row.method for row in ROWS} == {row.name for row in METHODS}
    assert len({row.label for row in ROWS}) == len(ROWS)


@pytest.fixture(params=steps.GRAPHS)
def graph(request, monkeypatch):
    """One of the graphs with few channels, and one step of few examples."""
    space, size = steps.GRAPHS[request.param]
    monkeypatch.setitem(steps.GRAPHS, request.param, (space, {**size, "channels": 4}))
    for name, small in (("BATCH", 8), ("STEPS", 1), ("DRAWS", 1)):
        monkeypatch.setattr(steps, name, small)
    monkeypatch.setitem(steps.EVEN, "batch_size", 8)
    return request.param


def test_the_bare_loop_descends_as_darts_does(graph):
    """Same network, same alphas: the written-out sum answers what the mixture answers."""
    space, size = steps.GRAPHS[graph]
    search = steps.short(opened(ROWS[0], space, "digits", 0, {**steps.EVEN, **size, "epochs": 2}))
    mixes = search.relaxation.mixes(torch.Generator())
    inputs = search.train.inputs[:8]
    search.model.train()
    before = search.model(inputs, mixes)
    weights = {kind: mix.weights for kind, mix in mixes.items()}
    epoch = steps.bare_epoch(search)
    epoch()
    assert torch.equal(search.model(inputs, mixes), before), "the loop works on a copy"
    steps.replace_edges(search.model)
    torch.testing.assert_close(search.model.network(search.model.standardize(inputs), weights), before)


def test_methods_are_timed_beside_darts_on_both_graphs(graph):
    rows = tuple(row for row in ROWS if row.label in ("darts, first", "gdas", "pc-darts"))
    measured = steps.measure(graph, 1, rows)
    assert all(one["ms"] > 0 and one["bytes"] > 0 for one in measured["methods"])
    title, *lines = steps.shown(measured).splitlines()
    assert title.startswith(f"{graph}, 4 channels")
    cells = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    assert cells[-3:] == ["darts, first", "gdas", "pc-darts"]


def test_memory_of_drawn_operations_is_a_part_of_that_of_all():
    space, size = steps.GRAPHS["nas-bench-201"]
    rows = {row.method: row for row in ROWS}
    darts, gdas = (
        steps.kept(opened(rows[name], space, "digits", 0, {**steps.EVEN, **size})) for name in ("darts", "gdas")
    )
    assert darts["mean"] == darts["most"]
    assert gdas["mean"] < darts["mean"] / 2


def test_the_pool_is_of_different_networks():
    architecture = architecture_of(space_of("nas-bench-201", 3))
    pool = found.drawn(architecture, 8)
    assert len({architecture.canonical(config) for config in pool}) == 8
    assert all(architecture.objection(config) is None for config in pool)
    assert found.drawn(architecture, 8) == pool


def test_agreement_is_the_mean_over_searches():
    truth = [0.1, 0.2, 0.3, 0.4, 0.5]
    measured = found.agreement([[1, 2, 3, 4, 5], [1, 3, 2, 4, 5]], truth)
    assert measured is not None
    assert measured["value"] == pytest.approx((1 + 0.8) / 2)
    assert measured["low"] <= measured["value"] <= measured["high"] == 1
    assert found.agreement([[0.1] * 5], truth) is None


def test_what_a_supernet_finds_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(found, "TRAININGS", (0,))
    monkeypatch.setattr(found, "QUICK", {**found.QUICK, "channels": 2, "batch_size": 256})
    result = tmp_path / "nas.json"
    result.write_text('{"steps": 1}')
    arguments = ["found", "--searches", "1", "--epochs", "1", "--retrained", "1", "--pool", "3"]
    arguments += ["--only", "gdas", "rsps"]
    command.main([*arguments, "--result", str(result)])
    written = json.loads(result.read_text())
    assert written["steps"] == 1, "other sections stay"
    gdas = written["found"]["methods"]["gdas"]["searches"][0]
    assert len(gdas["pool_scores"]) == 3
    assert gdas["answer_skips"] == gdas["genotype"].count("skip_connect")
    assert "random: " in capsys.readouterr().out

    def never(*given):
        raise AssertionError("measured again")

    monkeypatch.setattr(found, "train", never)
    monkeypatch.setattr(found, "opened", never)
    command.main([*arguments, "--result", str(result)])
    assert json.loads(result.read_text()) == written, "nothing is measured twice"


def test_searches_that_may_collapse_are_shown_by_epoch(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(found, "TRAININGS", (0,))
    options = {**collapse.SETTING.options, "channels": 2, "layers": 1, "batch_size": 256}
    smallest = replace(collapse.SETTING, epochs=2, pool=2, retrained=1, options=options)
    monkeypatch.setattr(collapse, "SETTING", smallest)
    monkeypatch.setattr(collapse, "METHODS", ("darts, first",))
    result = tmp_path / "nas.json"
    arguments = ["collapse", "--searches", "1", "--result", str(result)]
    command.main(arguments)
    measured = json.loads(result.read_text())["collapse"]
    [search] = measured["methods"]["darts, first"]["searches"]
    assert len(search["skips"]) == 2
    assert search["genotype"].count("~") == 6
    assert "none" not in search["genotype"], "not of these operations"
    told = capsys.readouterr().out
    assert f" {', '.join(map(str, search['skips']))} | " in told
    assert "random cells:" in told
    monkeypatch.setattr(found, "opened", None)
    command.main(arguments)
    assert json.loads(result.read_text())["collapse"] == measured, "nothing is measured twice"


def test_the_collapse_is_of_methods_that_are_measured():
    assert {*collapse.METHODS} <= {row.label for row in ROWS}


def test_pictures_may_be_seen_smaller():
    quick = {**found.QUICK, "channels": 4, "epochs": 1}
    setting = found.Setting(resolution=0.5)
    search = opened(ROWS[2], space_of("nas-bench-201", 3), setting.dataset, 0, quick, setting.fidelity)
    assert search.train.inputs.shape[1:] == (1, 4, 4)


def test_a_difference_is_told_with_an_interval_where_there_are_searches():
    random = [0.90, 0.92, 0.94]
    assert found._beyond([], random) == ""
    assert found._beyond([0.93], random) == "+1.00"
    assert found._beyond([0.91, 0.93], random).startswith("+0.00 (-")


def test_a_difference_has_an_interval():
    told = tabular.difference([2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
    assert told["mean"] == 1
    assert told["low"] < 1 < told["high"]


def test_the_table_of_cells_is_printed_beside_references(tiny_data, monkeypatch):
    monkeypatch.setattr(tabular, "METHODS", ("random", "evolution"))
    told = tabular.shown(tabular.measure(2, 1))
    assert "| random, published " in told
    assert "less that of random" in told


def test_an_unknown_section_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["step"])
    assert "no section step: there are tabular, steps, found, collapse" in capsys.readouterr().err
