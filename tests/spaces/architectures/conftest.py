"""Every preset, as entries of type `cell`: plain, of another form, and with restricted choices."""

from typing import Any

import pytest

from spaces.architectures import Architecture, of_entry

ENTRIES: list[dict[str, Any]] = [
    {"preset": "nas-bench-201"},
    {"preset": "nas-bench-201", "nodes": 3, "ops": ["nor_conv_3x3", "none"]},
    {"preset": "nas-bench-201", "choices": {"0-1": ["skip_connect"], "2-3": ["nor_conv_3x3", "none"]}},
    {"preset": "darts"},
    {"preset": "darts", "nodes": 1, "ops": ["skip_connect"]},
    {"preset": "darts", "nodes": 3, "ops": ["sep_conv_3x3", "skip_connect", "max_pool_3x3"]},
    {"preset": "darts", "choices": {"normal.3.inputs": ["1-2"], "reduce.5.op1": ["sep_conv_3x3", "skip_connect"]}},
    {"preset": "nasnet"},
    {"preset": "nasnet", "nodes": 2, "ops": ["sep_conv_3x3", "conv_1x1"], "combine": ["add"]},
    {"preset": "hierarchical"},
    {"preset": "hierarchical", "nodes": 3, "motifs": 2, "ops": ["sep_conv_3x3", "skip_connect"]},
    {"preset": "chain"},
    {"preset": "chain", "stages": 2, "blocks": 3, "widths": [8, 16], "kernels": [3]},
    {"preset": "chain", "choices": {"1.blocks": [1, 3], "2.blocks": [4], "3.blocks": [1], "1.2.skip": [True]}},
]


@pytest.fixture(params=ENTRIES, ids=lambda entry: ",".join(map(str, entry.values())))
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return of_entry({"name": "cell", "type": "cell", **request.param})
