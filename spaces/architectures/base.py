"""An architecture space: the choices that make up a cell (or a whole network), as plain parameters of a space.

`{"name": "cell", "type": "cell", "preset": "nas-bench-201"}` is written out into a constant of that name, whose value
is the preset's, and one parameter per choice, named `cell.<rest>`. Every algorithm searches these like any others; what
they mean together is known here: genotypes, canonical forms, graphs, and for one-shot search the supernet's cells.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from spaces.architectures import graphs
from spaces.architectures.graphs import Graph
from spaces.architectures.options import Count, Subset, chosen
from spaces.checks import Fields, unknown
from spaces.errors import InvalidInput, Problem
from spaces.values import Config, Value, kind, listing, show, token

Json = dict[str, Any]
Choices = tuple[tuple[str, tuple[Value, ...]], ...]
Place = tuple[dict[str, Value], ...]
"""One spot of an architecture: the edits that are possible there. An edit has the values, by the rests of their names,
that it replaces."""

OP, EDGE = "op", "edge"


@dataclass(frozen=True)
class Gene:
    """One choice. `rest` is its name without the architecture's; `least`: active while that gene is at least this.
    `default` is what an architecture has where nothing is searched, if it is among the choices; else the first of them
    or, of ordered ones, the middle."""

    rest: str
    choices: tuple[Value, ...]
    ordered: bool = False
    least: tuple[str, int] | None = None
    default: Value | None = None


@dataclass(frozen=True)
class Architecture(ABC):
    """A preset under a name, with the form that a user gave it. `choices` holds what single genes are restricted to."""

    name: str
    choices: Choices = field(default=(), kw_only=True)

    preset: ClassVar[str]
    options: ClassVar[Mapping[str, Count | Subset]]

    @abstractmethod
    def _genes(self) -> tuple[Gene, ...]:
        """The choices that the form leaves open, restrictions aside."""

    @classmethod
    @abstractmethod
    def _counts(cls, rests: Sequence[str]) -> dict[str, int]:
        """The options that are counts, as far as the names of the genes tell; any number where they fit nothing."""

    @abstractmethod
    def genotype(self, config: Config) -> str:
        """The architecture as a readable text, from which `config_of` makes it again. Other parameters of the config
        are ignored; raises InvalidInput, by the name of the parameter, when it is no config of this architecture."""

    @abstractmethod
    def _values_of(self, genotype: str) -> dict[str, Value]:
        """The values of the genes; raises ValueError with what is wrong. They need not be among the choices."""

    @abstractmethod
    def canonical(self, config: Config) -> str:
        """A text that is equal for architectures that compute the same, as far as the preset's documentation says."""

    @abstractmethod
    def graphs(self, config: Config) -> tuple[Graph, ...]:
        """What is to be drawn: the cells, or the parts of the network."""

    def operations(self, config: Config) -> tuple[Graph, ...]:
        """The same without parts in parts: every edge has an operation, or merely joins."""
        return self.graphs(config)

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """The choices, as restricted."""
        allowed = dict(self.choices)
        return tuple(replace(gene, choices=allowed.get(gene.rest, gene.choices)) for gene in self._genes())

    def parameters(self) -> list[Json]:
        """The plain parameters on the wire: the constant, then one per gene; a gene with one choice is a constant."""
        return [{"name": self.name, "type": "constant", "value": self.preset}, *map(self._parameter, self.genes)]

    def _parameter(self, gene: Gene) -> Json:
        written: Json = {"name": f"{self.name}.{gene.rest}"}
        if len(gene.choices) == 1:
            written |= {"type": "constant", "value": gene.choices[0]}
        else:
            written |= {"type": "ordinal" if gene.ordered else "categorical", "choices": list(gene.choices)}
            written["mutable"] = False
            if gene.default is not None and gene.default in gene.choices:
                written["default"] = gene.default
        if gene.least is not None:
            written["when"] = {"parameter": f"{self.name}.{gene.least[0]}", "ge": gene.least[1]}
        return written

    def entry(self) -> Json:
        """The parameter of type `cell` that is written out into these; options with their default are left out."""
        written: Json = {"name": self.name, "type": "cell", "preset": self.preset}
        for option, rule in self.options.items():
            value = getattr(self, option)
            if value != rule.default:
                written[option] = list(value) if isinstance(value, tuple) else value
        if self.choices:
            written["choices"] = {rest: list(values) for rest, values in self.choices}
        return written

    def config_of(self, genotype: str) -> dict[str, Value]:
        """The architecture's parameters, with its constant, from a genotype; raises InvalidInput when the text cannot
        be read, or names what this space does not have."""
        try:
            values = self._values_of(genotype)
        except ValueError as error:
            raise InvalidInput.at((), f"{show(genotype)} is no genotype of {self.preset}: {error}") from error
        config = self.config(values)
        self.values(config)
        return config

    def config(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Values of genes under the names of their parameters, with the constant."""
        ordered = {f"{self.name}.{gene.rest}": values[gene.rest] for gene in self.genes if gene.rest in values}
        unknown_rests = values.keys() - {gene.rest for gene in self.genes}
        return {self.name: self.preset, **ordered, **{f"{self.name}.{rest}": values[rest] for rest in unknown_rests}}

    def values(self, config: Config) -> dict[str, Value]:
        """The values of the active genes by the rest of their names; raises InvalidInput where any is wrong."""
        problems: list[Problem] = []
        values: dict[str, Value] = {}
        for gene in self.genes:
            name = f"{self.name}.{gene.rest}"
            active = gene.least is None or int(values.get(gene.least[0], 0)) >= gene.least[1]
            if name not in config:
                if active:
                    problems.append(Problem((name,), "is required: the architecture has this choice"))
            elif not active:
                problems.append(Problem((name,), "is not active here, leave it out"))
            elif token(config[name]) not in {token(choice) for choice in gene.choices}:
                problems.append(Problem((name,), f"must be one of {listing(gene.choices)}, got {show(config[name])}"))
            else:
                values[gene.rest] = config[name]
        known = {f"{self.name}.{gene.rest}" for gene in self.genes}
        problems += [
            Problem((name,), unknown("choice of the architecture", name, known))
            for name in config
            if name.startswith(f"{self.name}.") and name not in known
        ]
        if problems:
            raise InvalidInput(problems)
        return values

    def objection(self, config: Config) -> str | None:
        """Why the architecture cannot be trained: nothing leads from its input to its output. None when it can."""
        for graph in self.graphs(config):
            if not graph.connected:
                return f"nothing leads from the input of {graph.name} to its output: an edge of every path is `none`"
        return None

    def edits(self, config: Config) -> Mapping[str, tuple[Place, ...]]:
        """What one mutation may do, by kind: `op` does something else in a place, `edge` leads from elsewhere to it
        (the mutations of operations and of hidden states of Real et al. 2019). Numbers go to the next ones. Places
        where nothing else is possible are left out, and so are kinds without places."""
        return self._placed({OP: self._changes(self.values(config))})

    def _changes(self, values: Mapping[str, Value]) -> list[Place]:
        """Per active gene, its other choices; of an ordered one, those beside it."""
        places = []
        for gene in self.genes:
            if gene.rest in values:
                at = [token(choice) for choice in gene.choices].index(token(values[gene.rest]))
                others = [i for i in range(len(gene.choices)) if i != at and (not gene.ordered or abs(i - at) == 1)]
                places.append(tuple({gene.rest: gene.choices[i]} for i in others))
        return places

    def _placed(self, kinds: Mapping[str, Sequence[Place]]) -> Mapping[str, tuple[Place, ...]]:
        """The edits within the choices of the space, under the names of the parameters."""
        found: dict[str, tuple[Place, ...]] = {}
        for kind_, places in kinds.items():
            legal = (tuple(edit for edit in place if self._has(edit)) for place in places)
            named = (tuple({f"{self.name}.{r}": v for r, v in edit.items()} for edit in place) for place in legal)
            if kept := tuple(place for place in named if place):
                found[kind_] = kept
        return found

    def _has(self, edit: Mapping[str, Value]) -> bool:
        """Whether the space has these choices."""
        return all(token(value) in self._allowed[rest] for rest, value in edit.items())

    @cached_property
    def _allowed(self) -> Mapping[str, frozenset[object]]:
        return {gene.rest: frozenset(token(choice) for choice in gene.choices) for gene in self.genes}

    def drawing(self, config: Config) -> Json:
        """`{"cells": [{"name", "nodes": [{"id", "label", "layer"}], "edges": [{"from", "to", "op"}]}]}`."""
        return graphs.drawing(self.graphs(config))

    def adjacency(self, config: Config) -> Mapping[str, NDArray[np.int64]]:
        """By cell, the matrix [nodes, nodes] of the operations between its nodes; see `Graph.adjacency`."""
        return graphs.adjacency(self.graphs(config))

    def path_encoding(self, config: Config, longest: int = 3) -> NDArray[np.uint8]:
        """One bit per cell, input and sequence of at most `longest` operations; see `Graph.path_bits`."""
        return np.concatenate([graph.path_bits(longest) for graph in self.operations(config)])

    @classmethod
    def read(cls, read: Fields, name: str) -> Self:
        """The architecture from the fields of its entry; what is wrong is noted, and left at its default."""
        read.only(("name", "type", "preset", *cls.options, "choices"))
        chosen_form: dict[str, Any] = {option: rule.read(read, option) for option, rule in cls.options.items()}
        form = cls(name, **chosen_form)
        if read.absent("choices", optional=True):
            return form
        given = read.raw("choices")
        if not isinstance(given, Mapping):
            read.wrong("choices", f'must be an object such as {{"<rest of a name>": [...]}}, got {kind(given)}')
            return form
        return form.restricted(given, read)

    def restricted(self, given: Mapping[Any, object], read: Fields) -> Self:
        """With these choices alone; what is wrong with them is noted under `choices`."""
        genes = {gene.rest: gene for gene in self._genes()}
        kept: list[tuple[str, tuple[Value, ...]]] = []
        for rest, values in given.items():
            if rest not in genes:
                read.wrong("choices", unknown("choice of the architecture", rest, genes), str(rest))
            elif not isinstance(values, list | tuple) or not values:
                read.wrong("choices", "must be a list of at least one choice", rest)
            else:
                sound = chosen(values, genes[rest].choices, read, "choices", rest, noun="choice")
                if sound is not None and len(sound) < len(genes[rest].choices):
                    kept.append((rest, sound))
        order = list(genes)
        return replace(self, choices=tuple(sorted(kept, key=lambda pair: order.index(pair[0]))))

    @classmethod
    def recognised(cls, name: str, possible: Mapping[str, Sequence[Value]], *, whole: bool) -> Self | None:
        """The architecture whose genes have these names (without the architecture's) and possible values.

        `whole`: these are all its parameters, as in a space; otherwise the values of one config, whose operations tell
        nothing about those that were not chosen. None when they are not those of this preset.
        """
        form: dict[str, Any] = dict(cls._counts(list(possible)))
        for option, rule in cls.options.items():
            if isinstance(rule, Subset):
                form[option] = (rule.seen(possible) if whole else rule.known) or rule.default
            elif not rule.low <= form[option] <= rule.high:
                return None
        read = Fields({})
        bare = cls(name, **form)
        if possible.keys() - {gene.rest for gene in bare.genes}:
            return None
        architecture = bare.restricted({rest: list(values) for rest, values in possible.items()}, read)
        if read.problems:
            return None
        if whole:
            return architecture if possible.keys() == {gene.rest for gene in architecture.genes} else None
        try:
            bare.values({f"{name}.{rest}": value for rest, (value,) in possible.items()})
        except InvalidInput:
            return None
        return bare
