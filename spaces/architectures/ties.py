"""What constraints of a space say of its architecture: which choices do not go together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from spaces.program import Model
from spaces.space import Space
from spaces.values import Config, Value


@dataclass(frozen=True)
class Ties:
    """The constraints of `space`, whose parameters beside the architecture have their defaults. `own` are the names of
    the architecture's parameters."""

    space: Space
    own: frozenset[str]

    def allow(self, config: Config) -> bool:
        return self.space.allows({**self._beside, **config})

    def nearest(self, config: Config) -> dict[str, Value]:
        """The allowed config with the fewest other choices."""
        found = self._model.nearest(config, self._beside)
        return dict(config) if found is None else {**config, **self._architecture_of(found)}

    def possible(self, name: str, value: Value) -> bool:
        """Whether an allowed config has this value."""
        return name not in self.mentioned or self._model.nearest({}, {**self._beside, name: value}) is not None

    @cached_property
    def mentioned(self) -> frozenset[str]:
        """The names of the architecture's parameters that hang on a constraint."""
        return self.own & {name for each in self.space.constraints for name in each.mentions}

    @cached_property
    def _beside(self) -> Config:
        return {name: value for name, value in self.space.default().items() if name not in self.own}

    @cached_property
    def _model(self) -> Model:
        return Model(self.space.parameters, self.space.constraints)

    def _architecture_of(self, config: Config) -> dict[str, Value]:
        return {name: value for name, value in config.items() if name in self.own}
