"""What may be searched: parameters, conditions, a fidelity, and the unit cube that they span."""

from spaces.conditions import AllOf, AnyOf, Condition, Leaf, Not
from spaces.errors import InvalidInput, Path, Problem
from spaces.fidelity import Fidelity
from spaces.parameters import Bool, Categorical, Constant, Float, Integer, Ordinal, Parameter
from spaces.space import Space
from spaces.values import Config, Value

__all__ = [
    "AllOf",
    "AnyOf",
    "Bool",
    "Categorical",
    "Condition",
    "Config",
    "Constant",
    "Fidelity",
    "Float",
    "Integer",
    "InvalidInput",
    "Leaf",
    "Not",
    "Ordinal",
    "Parameter",
    "Path",
    "Problem",
    "Space",
    "Value",
]
