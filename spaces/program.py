"""The constraints of a space as a mixed-integer linear program, solved by HiGHS: is there a config, and how near?

Of all parameters, only those that constraints mention, and what their activity hangs on, take part. Each number is a
variable, in units of its range (of its steps, on a grid); each choice a binary, of which one is set; each comparison
an expression that is 1 where it holds, and so on up through joins, activity and clauses.

Strict comparisons of continuous values cannot be said exactly. With a `margin` they are kept by at least that much
of the range, with none they may be met with equality. So "infeasible without a margin" is a proof, and a config found
is looked at again by the caller.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from spaces import conditions
from spaces.affine import ONE, ZERO, Affine, total
from spaces.conditions import AllOf, AnyOf, Condition, Leaf, Not, Relation
from spaces.constraints import Constraint, Forbid, Linear, extremes
from spaces.domain import Choices, Discrete, Interval
from spaces.parameters import Parameter
from spaces.values import Value, token

MARGIN = 1e-5  # above the solver's tolerance, 1e-6
MAX_NODES = 20_000  # of the search tree, per program; typical ones take a few, and milliseconds
_INFEASIBLE = 2  # scipy's status
_FAR = 1e3  # how far a bound is moved to see whether it matters, in ranges


def with_ancestors(parameters: Sequence[Parameter], names: Iterable[str]) -> list[str]:
    """These parameters and those that their activity hangs on, in declared order."""
    by_name = {parameter.name: parameter for parameter in parameters}
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            when = by_name[name].when
            waiting += when.mentions if when is not None else ()
    return [parameter.name for parameter in parameters if parameter.name in found]


class Model:
    """The program of a space. `loosened` bounds, ("a", "low") or ("a", "high"), are as good as not there."""

    def __init__(
        self,
        parameters: Sequence[Parameter],
        constraints: Sequence[Constraint],
        margin: float = 0.0,
        loosened: frozenset[tuple[str, str]] = frozenset(),
        extra: Iterable[str] = (),
    ) -> None:
        by_name = {parameter.name: parameter for parameter in parameters}
        self._parameters = by_name
        self._margin = margin
        self._lows: list[float] = []
        self._highs: list[float] = []
        self._integral: list[bool] = []
        self._rows: list[tuple[Affine, float, float]] = []
        self._positions: dict[str, Affine] = {}  # of numbers, in their own units: ranges or steps
        self._spans: dict[str, tuple[float, float]] = {}  # of the positions
        self._chosen: dict[str, list[Affine]] = {}  # of choices: one binary each
        self._active: dict[str, Affine] = {}
        self._steps: dict[tuple[str, float], Affine] = {}
        mentioned = {name for constraint in constraints for name in constraint.mentions}
        self.names = with_ancestors(parameters, mentioned.union(extra))
        for name in self.names:
            self._declare(name, loosened)
        for constraint in constraints:
            self._impose(constraint)

    def demand_active(self, name: str, active: bool = True) -> None:
        """Rules out all configs in which this parameter is not (or is) active."""
        self._row(self._activity(name), float(active), float(active))

    @property
    def is_infeasible(self) -> bool:
        """Whether it is proven that there is no config."""
        return self._solve({})[1]

    def nearest(
        self, target: Mapping[str, Value] | None = None, fixed: Mapping[str, Value] | None = None
    ) -> dict[str, Value] | None:
        """Values of the parameters that take part, inactive ones too; None when none are found.

        Of all, those that are nearest to the target: as few other choices as possible, and the largest change of a
        number, in units of its range, as small as possible; the sum of the changes counts one part in a hundred.
        `fixed` parameters have these values wherever they are active.
        """
        target, fixed = target or {}, fixed or {}
        variables = len(self._lows)
        rows = len(self._rows)
        cost = self._costs(target)
        for name, value in fixed.items():
            if name in self._chosen or name in self._positions:
                self._fix(name, value)
        solution, _ = self._solve(cost)
        del self._rows[rows:]
        del self._lows[variables:], self._highs[variables:], self._integral[variables:]
        return None if solution is None else {name: self._value_of(name, solution) for name in self.names}

    # variables and rows

    def _variable(self, low: float, high: float, integral: bool) -> Affine:
        self._lows.append(low)
        self._highs.append(high)
        self._integral.append(integral)
        return Affine({len(self._lows) - 1: 1.0})

    def _row(self, expression: Affine, low: float, high: float) -> None:
        self._rows.append((expression, low, high))

    def _declare(self, name: str, loosened: frozenset[tuple[str, str]]) -> None:
        domain = self._parameters[name].domain
        if isinstance(domain, Choices):
            self._chosen[name] = [self._variable(0, 1, True) for _ in range(domain.count)]
            self._row(total(self._chosen[name]), 1, 1)
            return
        last = 1.0 if isinstance(domain, Interval) else float(domain.count - 1)
        low = -_FAR * max(last, 1.0) if (name, "low") in loosened else 0.0
        high = _FAR * max(last, 1.0) if (name, "high") in loosened else last
        self._spans[name] = (low, high)
        self._positions[name] = self._variable(low, high, not isinstance(domain, Interval))

    def _number(self, name: str) -> Affine:
        """The value of a parameter that is a number."""
        domain = self._parameters[name].domain
        ends = extremes(domain)
        assert ends is not None
        if isinstance(domain, Choices):
            return Affine(constant=ends[0])
        unit = domain.high - domain.low if isinstance(domain, Interval) else domain.step
        return self._positions[name] * unit + Affine(constant=domain.low)

    def _span(self, expression: Affine) -> tuple[float, float]:
        low = high = expression.constant
        for variable, weight in expression.terms.items():
            ends = sorted((weight * self._lows[variable], weight * self._highs[variable]))
            low, high = low + ends[0], high + ends[1]
        return low, high

    # truths: expressions that are 0 or 1

    def _at_least(self, expression: Affine, bound: float, gap: float) -> Affine:
        """1 where the expression is at least the bound, 0 where it is at most the bound less the gap."""
        low, high = self._span(expression)
        if low > bound or (low == bound and gap > 0):
            return ONE
        if high < bound:
            return ZERO
        truth = self._variable(0, 1, True)
        self._row(expression - truth * (bound - low), low, math.inf)
        self._row(expression - truth * (high - bound + gap), -math.inf, bound - gap)
        return truth

    def _all(self, truths: Sequence[Affine]) -> Affine:
        if len(truths) == 1:
            return truths[0]
        truth = self._variable(0, 1, True)
        for part in truths:
            self._row(truth - part, -math.inf, 0)
        self._row(truth - total(truths), 1 - len(truths), math.inf)
        return truth

    def _any(self, truths: Sequence[Affine]) -> Affine:
        return ONE - self._all([ONE - part for part in truths]) if truths else ZERO

    def _activity(self, name: str) -> Affine:
        if name not in self._active:
            when = self._parameters[name].when
            self._active[name] = ONE if when is None else self._truth(when)
        return self._active[name]

    def _truth(self, condition: Condition) -> Affine:
        match condition:
            case Leaf(name):
                return self._while_active([name], self._compared(condition))
            case Relation(name, _, other):
                return self._while_active([name, other], self._related(condition))
            case AllOf(parts):
                return self._all([self._truth(part) for part in parts])
            case AnyOf(parts):
                return self._any([self._truth(part) for part in parts])
            case Not(part):
                return ONE - self._truth(part)

    def _while_active(self, names: Sequence[str], truth: Affine) -> Affine:
        conditional = [self._activity(name) for name in names if self._parameters[name].when is not None]
        return self._all([truth, *conditional]) if conditional else truth

    def _compared(self, leaf: Leaf) -> Affine:
        domain = self._parameters[leaf.parameter].domain
        if isinstance(domain, Discrete):
            return total(self._within(leaf.parameter, cells) for cells in conditions.cells(leaf, domain))
        position, span = self._positions[leaf.parameter], domain.high - domain.low
        at = [(value - domain.low) / span for _, value in leaf.operands]
        match leaf.operator:
            case "ge":
                return self._at_least(position, at[0], self._margin)
            case "gt":
                return self._at_least(position, at[0] + self._margin, self._margin)
            case "lt":
                return ONE - self._at_least(position, at[0], self._margin)
            case "le":
                return ONE - self._at_least(position, at[0] + self._margin, self._margin)
            case "equals" | "in":
                return total(self._equal(position, value) for value in at)

    def _equal(self, expression: Affine, value: float) -> Affine:
        """1 only where they are equal; may be 0 there too, which has no volume."""
        low, high = self._span(expression)
        truth = self._variable(0, 1, True)
        self._row(expression - truth * (value - low), low, math.inf)
        self._row(expression - truth * (value - high), -math.inf, high)
        return truth

    def _within(self, name: str, cells: range) -> Affine:
        """1 where the cell of a discrete parameter is among these."""
        if name in self._chosen:
            return total(self._chosen[name][cell] for cell in cells)
        return self._from(name, cells.start) - self._from(name, cells.stop) if cells else ZERO

    def _from(self, name: str, cell: float) -> Affine:
        if (name, cell) not in self._steps:
            self._steps[name, cell] = self._at_least(self._positions[name], cell, 1.0)
        return self._steps[name, cell]

    def _related(self, relation: Relation) -> Affine:
        one, other = self._parameters[relation.parameter].domain, self._parameters[relation.other].domain
        if isinstance(one, Choices) and isinstance(other, Choices):
            mine, its = self._chosen[relation.parameter], self._chosen[relation.other]
            if relation.operator == "equals":
                cell_of = {token(value): cell for cell, value in enumerate(other.values)}
                pairs = [(cell, cell_of[token(v)]) for cell, v in enumerate(one.values) if token(v) in cell_of]
                return total(self._all([mine[cell], its[twin]]) for cell, twin in pairs)
            difference = total(z * cell for cell, z in enumerate(mine)) - total(z * c for c, z in enumerate(its))
            gap = 1.0
        else:
            difference = self._number(relation.parameter) - self._number(relation.other)
            low, high = self._span(difference)
            scale = max(high - low, 1e-300)
            difference, gap = difference * (1 / scale), self._margin
            if all(isinstance(value, int) for domain in (one, other) for value in (extremes(domain) or (0.5,))):
                gap = 1 / scale
        match relation.operator:
            case "ge":
                return self._at_least(difference, 0.0, gap)
            case "gt":
                return self._at_least(difference, gap, gap)
            case "lt":
                return ONE - self._at_least(difference, 0.0, gap)
            case "le":
                return ONE - self._at_least(difference, gap, gap)
            case _:
                return self._at_least(difference, 0.0, gap) - self._at_least(difference, gap, gap)

    # constraints

    def _impose(self, constraint: Constraint) -> None:
        conditional = [name for name in sorted(constraint.mentions) if self._parameters[name].when is not None]
        absent = total(ONE - self._activity(name) for name in conditional)  # 0: the constraint applies
        match constraint:
            case Forbid(condition):
                self._row(self._truth(condition) - absent, -math.inf, 0)
            case Linear(coefficients, operator, bound):
                weighted = total(self._number(name) * weight for name, weight in coefficients.items())
                low, high = self._span(weighted)
                scale = max(high - low, abs(bound), 1e-300)
                weighted, bound = weighted * (1 / scale), bound / scale
                low, high = low / scale, high / scale
                if operator != "ge":
                    self._row(weighted - absent * max(high - bound, 0.0), -math.inf, bound)
                if operator != "le":
                    self._row(weighted + absent * max(bound - low, 0.0), bound, math.inf)

    # solving

    def _costs(self, target: Mapping[str, Value]) -> dict[int, float]:
        cost: dict[int, float] = {}
        worst: Affine | None = None
        for name, value in target.items():
            if name in self._chosen:
                (variable,) = self._choice(name, value).terms
                cost[variable] = -1.0
            elif name in self._positions:
                worst = worst or self._variable(0, math.inf, False)
                change = self._variable(0, math.inf, False)
                span = self._spans[name][1] - self._spans[name][0]
                off = (self._positions[name] - Affine(constant=self._position_of(name, value))) * (1 / max(span, 1.0))
                self._row(change - off, 0, math.inf)
                self._row(change + off, 0, math.inf)
                self._row(worst - change, 0, math.inf)
                cost[next(iter(change.terms))] = 0.01
        if worst is not None:
            cost[next(iter(worst.terms))] = 1.0
        return cost

    def _fix(self, name: str, value: Value) -> None:
        if name in self._chosen:
            self._row(self._choice(name, value), 1, 1)
        else:
            at = self._position_of(name, value)
            self._row(self._positions[name], at, at)

    def _choice(self, name: str, value: Value) -> Affine:
        """1 where the parameter has this one of its choices."""
        domain = self._parameters[name].domain
        assert isinstance(domain, Choices)
        return self._chosen[name][domain.cell(value)]

    def _position_of(self, name: str, value: Any) -> float:
        domain = self._parameters[name].domain
        if isinstance(domain, Interval):
            return float((value - domain.low) / (domain.high - domain.low))
        return float(domain.cell(value))

    def _solve(self, cost: Mapping[int, float]) -> tuple[list[float] | None, bool]:
        """The values of the variables, if any were found; and whether it is proven that there are none."""
        # scipy takes a third of a second to import: spaces without constraints do without
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array

        count = len(self._lows)
        if not count:
            return [], False
        constraints: list[Any] = []
        if self._rows:
            entries = [(r, v, w) for r, (e, _, _) in enumerate(self._rows) for v, w in e.terms.items()]
            shape = (len(self._rows), count)
            ins, cols, weights = zip(*entries, strict=True) if entries else ((), (), ())
            matrix = csr_array((np.array(weights, dtype=float), (np.array(ins, int), np.array(cols, int))), shape=shape)
            low = np.array([low - e.constant for e, low, _ in self._rows])
            high = np.array([high - e.constant for e, _, high in self._rows])
            constraints.append(LinearConstraint(matrix, low, high))
        objective = np.zeros(count)
        for variable, weight in cost.items():
            objective[variable] = weight
        result = milp(
            objective,
            integrality=np.array(self._integral, dtype=int),
            bounds=Bounds(np.array(self._lows), np.array(self._highs)),
            constraints=constraints,
            options={"node_limit": MAX_NODES},
        )
        return None if result.x is None else [float(x) for x in result.x], result.status == _INFEASIBLE

    def _value_of(self, name: str, solution: Sequence[float]) -> Value:
        domain = self._parameters[name].domain
        if isinstance(domain, Choices):
            set_to = [solution[next(iter(z.terms))] for z in self._chosen[name]]
            return domain.value(set_to.index(max(set_to)))
        position = solution[next(iter(self._positions[name].terms))]
        if isinstance(domain, Interval):
            return min(max(domain.low + (domain.high - domain.low) * position, domain.low), domain.high)
        return domain.value(min(max(round(position), 0), domain.count - 1))
