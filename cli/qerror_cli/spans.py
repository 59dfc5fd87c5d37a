"""A parameter and the limits between which it moves: NAME=LO:HI."""

import math
from typing import Any, NamedTuple, NoReturn

import click


class Span(NamedTuple):
    """A parameter and the limits between which it moves."""

    name: str
    low: float
    high: float


class SpanType(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument]
    """A parameter to look along: NAME=LO:HI."""

    name = "NAME=LO:HI"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Span:
        """Parse the name and the limits."""
        name, equals, text = (part.strip() for part in value.partition("="))
        limits = text.split(":")
        if not (name and equals) or len(limits) != 2:
            self._refuse(value, "it is not NAME=LO:HI", param, ctx)
        try:
            low, high = (float(limit) for limit in limits)
        except ValueError:
            self._refuse(value, "LO and HI must be numbers", param, ctx)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            self._refuse(value, "LO must be below HI, both finite", param, ctx)
        return Span(name.replace("-", "_"), low, high)

    def _refuse(
        self, value: str, why: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> NoReturn:
        self.fail(
            f"cannot look along {value!r}: {why}; for example nu=2.1:20, std=0.1:10, "
            "max-value=1:100 or range=1:1000",
            param,
            ctx,
        )
