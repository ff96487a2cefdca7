"""What may be searched: parameters, conditions, constraints, priors, a fidelity, and the unit cube that they span."""

from spaces.changes import Add, AddChoice, Change, Drop, Freeze, Narrow, Widen, read_changes
from spaces.conditions import AllOf, AnyOf, Condition, Leaf, Not, Relation
from spaces.constraints import Constraint, Forbid, Linear
from spaces.errors import Inexpressible, InvalidInput, Path, Problem
from spaces.fidelity import Fidelity
from spaces.linter import lint
from spaces.parameters import Bool, Categorical, Constant, Float, Integer, Ordinal, Parameter
from spaces.priors import Prior
from spaces.revisions import carry, revise
from spaces.schema import json_schema
from spaces.space import Space
from spaces.values import Config, Value

__all__ = [
    "Add",
    "AddChoice",
    "AllOf",
    "AnyOf",
    "Bool",
    "Categorical",
    "Change",
    "Condition",
    "Config",
    "Constant",
    "Constraint",
    "Drop",
    "Fidelity",
    "Float",
    "Forbid",
    "Freeze",
    "Inexpressible",
    "Integer",
    "InvalidInput",
    "Leaf",
    "Linear",
    "Narrow",
    "Not",
    "Ordinal",
    "Parameter",
    "Path",
    "Prior",
    "Problem",
    "Relation",
    "Space",
    "Value",
    "Widen",
    "carry",
    "json_schema",
    "lint",
    "read_changes",
    "revise",
]
