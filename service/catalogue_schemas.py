"""The JSON of the catalogues, as types: what a study may name."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from service.study_parts import Number, Values


class Family(BaseModel):
    """A network family. `parameters` are all that a space may name, by kind of inputs, with ranges to begin with."""

    name: str
    title: str
    tasks: list[str]
    inputs: list[str]
    metric: dict[str, str] = Field(description="What a study of this family usually optimizes.")
    fidelity: str = Field(description="The usual one of `fidelities`.")
    fidelities: list[str] = Field(description="What a space's fidelity may be.")
    epochs: int = Field(description="How long it trains where the study has no fidelity in epochs.")
    datasets: list[str]
    parameters: dict[str, list[Values]]
    source: str


class Dataset(BaseModel):
    """`shape` is that of one example, `outputs` how many classes, numbers or symbols there are to predict."""

    name: str
    title: str
    tasks: list[str]
    inputs: str
    shape: list[int]
    outputs: int
    examples: int
    licence: str
    source: str
    needs: str = Field(description="The package that has the data, where it is not a dependency.")


class AlgorithmOption(BaseModel):
    """One option. Numbers are `at_least`, `above` (exclusive) and `at_most` these bounds; a text is one of `choices`,
    if there are any."""

    name: str
    type: Literal["bool", "int", "float", "text"]
    doc: str
    default: bool | Number | str | None = None
    required: bool = False
    at_least: Number | None = None
    above: Number | None = None
    at_most: Number | None = None
    choices: list[str] = []


class Choice(BaseModel):
    """The first one whose condition holds decides."""

    condition: str
    algorithm: str


class AlgorithmRow(BaseModel):
    """An algorithm: what it `needs` of a space, what it `serves`, and its options. `auto` tells how it `chooses`."""

    name: str
    summary: str
    paper: str
    needs: dict[str, bool]
    serves: dict[str, bool]
    options: list[AlgorithmOption]
    chooses: list[Choice] = []


class StoppingRuleRow(BaseModel):
    """A rule that ends runs early: what it `serves`, and its options."""

    name: str
    summary: str
    paper: str
    serves: dict[str, bool]
    options: list[AlgorithmOption]
