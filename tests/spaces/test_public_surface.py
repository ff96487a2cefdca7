import spaces


def test_public_surface() -> None:
    """What other packages build on. A new name is a decision: add it here too."""
    assert sorted(spaces.__all__) == [
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
    assert all(hasattr(spaces, name) for name in spaces.__all__)
