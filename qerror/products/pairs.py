"""The exact errors of every pair of formats of two sides."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from qerror._arrays import integer
from qerror.analysis.scalar_product import ScalarProductReport, scalar_product_error
from qerror.densities.names import density_name
from qerror.exceptions import InvalidType, InvalidValue
from qerror.execution import Progress, silent
from qerror.formats.format import ScalarFormat
from qerror.products.factors import Factor, Operand
from qerror.tables import decibels, html_table, short

_LONGEST = 2**53  # sums of so many ones are exact


@dataclass(frozen=True)
class Product:
    """Two factors and the error of the sum of their products."""

    weight: Factor
    activation: Factor
    report: ScalarProductReport[float]
    below_best_db: float = math.nan
    """How far the SQNR lies below that of the best pair beside it."""

    @property
    def has_blocks(self) -> bool:
        """Whether products share scales, as values of one block."""
        return self.weight.is_blocked or self.activation.is_blocked

    @property
    def note(self) -> str:
        """What a reader should know, mostly empty."""
        sides = {"w": self.weight, "x": self.activation}
        infinite = [f"E[{name}^2]" for name, side in sides.items() if side.is_infinite]
        if infinite:
            verb = "is" if len(infinite) == 1 else "are"
            return (
                f"{' and '.join(infinite)} {verb} infinite: so is the MSE at every range, and "
                "the SQNR is undefined"
            )
        edges = [side.format.name for side in sides.values() if side.at_edge]
        if edges:
            return (
                f"{' and '.join(edges)}: no optimum inside the searched ranges: their end is taken"
            )
        return "blocks lie along the sum, from its start" if self.has_blocks else ""

    def to_record(self) -> dict[str, object]:
        """Return the product as plain values by name, at full precision."""
        return {
            **_side("weight", self.weight),
            **_side("activation", self.activation),
            **self.report.to_dict(),
            "below_best_db": self.below_best_db,
            "note": self.note,
        }


def _side(which: str, factor: Factor) -> dict[str, object]:
    stands = not factor.is_blocked
    return {
        f"{which}_density": density_name(factor.density),
        which: factor.format.name,
        f"{which}_scale": factor.scale if stands else None,
        f"{which}_max_value": factor.max_value if stands else None,
        f"{which}_bias": factor.bias,
        f"{which}_channels": len(factor.channels) or None,
        f"{which}_channel_scales": [each.scale for each in factor.channels if stands] or None,
        f"{which}_mse": factor.report.mse,
        f"{which}_sqnr_db": factor.report.sqnr_db,
    }


@dataclass(frozen=True, repr=False)
class Products:
    """Every weight format with every activation format, which run fastest."""

    length: int
    """How many products are summed."""
    rows: tuple[Product, ...]
    weights: tuple[Factor, ...]
    activations: tuple[Factor, ...]

    @property
    def best(self) -> Product | None:
        """The pair of the largest SQNR, the first of equals; None where none is defined."""
        return next((row for row in self.rows if row.below_best_db == 0), None)

    def to_records(self) -> list[dict[str, object]]:
        """Return every product as plain values by name."""
        return [row.to_record() for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Product]:
        return iter(self.rows)

    def __repr__(self) -> str:
        best = self.best
        found = "" if best is None else f", best {best.weight.format} x {best.activation.format}"
        sides = f"{len(self.weights)} x {len(self.activations)} formats"
        return f"<Products: {sides}, length {self.length}{found}; to_records()>"

    def _repr_html_(self) -> str:
        header = ("w", "x", "MSE", "SQNR dB", "dB below")
        body = [
            (
                row.weight.format.name,
                row.activation.format.name,
                short(row.report.mse),
                decibels(row.report.sqnr_db),
                decibels(row.below_best_db),
            )
            for row in self.rows
        ]
        marked = [i for i, row in enumerate(self.rows) if row.below_best_db == 0]
        return html_table(f"length {self.length}", header, body, marked)


def scalar_products(
    weights: Operand,
    activations: Operand,
    length: int = 1,
    *,
    progress: Progress | None = None,
) -> Products:
    """Return the exact errors of y = sum of w x over every pair of formats of both sides.

    Parameters
    ----------
    weights, activations : Operand
        The two sides: formats, density and, if it is not to be the best one, their range.
    length : int
        How many independent products are summed, at least 1.
    progress : callable, optional
        Called with (done, total) formats.

    Returns
    -------
    Products

    Raises
    ------
    InvalidValue
        If `length` is below 1, a range is not one that a format can have, or activations in a
        block format have an axis.
    InvalidType
        If a side is no `Operand`.

    References
    ----------
    Kuzmin et al. 2022, appendix A.2, eq. 19 to 27.

    Examples
    --------
    >>> import numpy as np
    >>> from qerror.products import Operand, scalar_products
    >>> found = scalar_products(
    ...     Operand(["int8", "4M3E"], "gaussian"), Operand("5M2E", "laplace"), length=512
    ... )
    >>> [(row.weight.format.name, round(row.report.sqnr_db, 2)) for row in found]
    [('INT8', 36.95), ('4M3E', 35.39)]

    Weights as they are, each output channel at its own best range:

    >>> w = np.random.default_rng(1).normal(size=(8, 512))
    >>> (row,) = scalar_products(Operand("4M3E", w, axis=0), Operand("int8", "laplace"), 512)
    >>> len(row.weight.channels), round(row.report.sqnr_db, 2)
    (8, 33.51)
    """
    integer("length", length, 1, _LONGEST)
    for side in (weights, activations):
        if not isinstance(side, Operand):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidType(f"expected an Operand(formats, density), got {side!r}")
    blocked = [form.name for form in activations.formats if not isinstance(form, ScalarFormat)]
    if blocked and activations.channels:
        raise InvalidValue(
            f"{blocked[0]}'s blocks lie along the sum, where each activation may come from any "
            "channel: leave the activations' axis out"
        )
    count = _Counted(progress or silent, len(weights.formats) + len(activations.formats))
    left = tuple(count(weights.factor(form)) for form in weights.formats)
    right = tuple(count(activations.factor(form)) for form in activations.formats)
    reports = [
        (w, x, scalar_product_error(w.reports, x.report, length)) for w in left for x in right
    ]
    defined = [found.sqnr_db for _, _, found in reports if not math.isnan(found.sqnr_db)]
    best = max(defined, default=math.nan)
    rows = tuple(
        Product(w, x, found, 0.0 if found.sqnr_db == best else best - found.sqnr_db)
        for w, x, found in reports
    )
    return Products(length, rows, left, right)


class _Counted:
    """Passes factors on and reports how many have come."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def __call__(self, factor: Factor) -> Factor:
        self._done += 1
        self._progress(self._done, self._total)
        return factor
