import spaces


def test_public_surface() -> None:
    """What other packages build on. A new name is a decision: add it here too."""
    assert sorted(spaces.__all__) == [
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
    assert all(hasattr(spaces, name) for name in spaces.__all__)
