"""Architecture search in simulated time."""

import json

from benchmarks import nasbench201
from benchmarks.methods import parse


def test_a_search_takes_the_best_of_what_fits_in_its_time(tiny_data, monkeypatch):
    seen = []
    observe = nasbench201.Short.observe
    monkeypatch.setattr(
        nasbench201.Short, "observe", lambda *given: seen.append((given[1], observe(*given))) or seen[-1][1]
    )
    config = nasbench201.found(parse("random"), 0)
    assert len(seen) == 100  # each takes 2000 s x 12 / 200
    assert config == min(seen, key=lambda pair: pair[1])[0]


def test_the_row_is_printed_and_written(tiny_data, tmp_path, capsys):
    nasbench201.main(["--seeds", "2", "--jobs", "1", "--result", str(tmp_path / "out" / "row.json")])
    written = json.loads((tmp_path / "out" / "row.json").read_text())
    assert [len(values) for values in written["random"]["cifar10"].values()] == [2, 2]
    assert "| random        |     2 |" in capsys.readouterr().out


def test_the_best_cells_of_the_real_table(real_task):
    """The optimum of NAS-Bench-201 that is known from its paper."""
    task = real_task("nb201-cifar10")
    assert abs(100 * (1 - task.best) - 91.61) < 0.005
    assert abs(100 * (1 - real_task("nb201-cifar100").best) - 73.49) < 0.005
