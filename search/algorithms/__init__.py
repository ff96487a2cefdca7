"""The table of algorithms: a name for each pair sampler x scheduler, what it can do, and its options.

To add one, write its sampler or scheduler in a file of its own and give it a row in one of the files here; the contract
suites, the checks of studies and the catalogue of the service read the table.
"""

from __future__ import annotations

from collections.abc import Mapping

from search.algorithms import densities, gradients, halving, models, one_shot, plain, populations, through_optuna
from search.algorithms.row import Algorithm as Algorithm

ALGORITHMS: Mapping[str, Algorithm] = {
    row.name: row
    for module in (plain, halving, densities, populations, models, through_optuna, one_shot, gradients)
    for row in module.ROWS
}
"""All algorithms, by name."""
