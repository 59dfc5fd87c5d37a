"""The algorithms of training with quantizers, as data: which method stands on what."""

from dataclasses import dataclass
from typing import final

from qerror.exceptions import InvalidValue
from qerror.pytorch.backends import BACKENDS, Backend
from qerror.pytorch.folding import Folding
from qerror.pytorch.networks.calibrations import CALIBRATIONS
from qerror.pytorch.recipe import METHODS
from qerror.registry import Registry


@final
@dataclass(frozen=True)
class Algorithm:
    """The methods on weights and activations, and where their ranges start.

    Parameters
    ----------
    name : str
    weights, activations : str
        Names in `qerror.pytorch.METHODS`.
    calibration : str, optional
        A name in `qerror.pytorch.CALIBRATIONS`; by default each method's own.
    edges : str, optional
        The method in place of both where a backend gives the first and the last layer a width of
        their own.
    folded : str, optional
        The method on weights of backends that fold normalisations into them: one that keeps their
        unit, which the factor of a normalisation is a part of.
    deployable : bool
        Whether hardware with integer arithmetic can compute it: levels at equal steps, of values
        that keep their unit.
    source : str

    Raises
    ------
    UnknownName
        If there is no such method or calibration.
    """

    name: str
    weights: str
    activations: str
    calibration: str | None = None
    edges: str | None = None
    folded: str | None = None
    deployable: bool = True
    source: str = ""

    def __post_init__(self) -> None:
        _ = METHODS[self.weights], METHODS[self.activations]
        _ = [METHODS[name] for name in (self.edges, self.folded) if name]
        _ = self.calibration and CALIBRATIONS[self.calibration]

    def method(self, role: str, *, edge: bool = False, folds: bool = False) -> str:
        """Return the method on "weight" or "activation".

        At a first or last layer or not, on a backend that folds normalisations or not.
        """
        if edge and self.edges is not None:
            return self.edges
        if folds and role == "weight" and self.folded is not None:
            return self.folded
        return self.weights if role == "weight" else self.activations


ALGORITHMS: Registry[Algorithm] = Registry("algorithm", "qerror.pytorch.graphs.ALGORITHMS")
"""The algorithms by name: those of MQBench, and quantization after training."""

_TABLE = "Li et al. 2021 (arXiv 2111.03759), table 1 and appendix F"
# Divided by their maximum, folded weights would lose the normalisation's factor: see `prepare`.
_UNIT = "dorefa-unit"

for _algorithm in (
    Algorithm("lsq", "lsq", "lsq", source=_TABLE),
    Algorithm("lsq+", "lsq+", "lsq+", source="Bhalgat et al. 2020 (arXiv 2004.09576)"),
    Algorithm("dsq", "dsq", "dsq", source=_TABLE),
    Algorithm("pact", "dorefa", "pact", folded=_UNIT, source=f"{_TABLE}: weights as DoReFa"),
    Algorithm("dorefa", "dorefa", "dorefa", folded=_UNIT, source=_TABLE),
    Algorithm("qil", "qil", "qil", edges="lsq", deployable=False, source=_TABLE),
    Algorithm("apot", "apot", "apot", edges="lsq", deployable=False, source=_TABLE),
    Algorithm("minmax", "straight-through", "straight-through", "minmax", source="after training"),
    Algorithm("mse", "straight-through", "straight-through", "mse", source="after training"),
):
    ALGORITHMS.register(_algorithm.name, _algorithm)


def as_backend(backend: Backend | str) -> Backend:
    """Return a backend, given as a record or by name."""
    return backend if isinstance(backend, Backend) else BACKENDS[backend]


def as_algorithm(algorithm: Algorithm | str) -> Algorithm:
    """Return an algorithm, given as a record or by name."""
    return algorithm if isinstance(algorithm, Algorithm) else ALGORITHMS[algorithm]


def folding_of(backend: Backend, folding: Folding | int | None) -> Folding:
    """Return how normalisations fold: 4 where a backend folds and nothing else is asked.

    Raises
    ------
    InvalidValue
        If there is no such strategy, or the backend does not go with it.
    """
    if folding is None:
        # MQBench trains its hardware settings with strategy 4 (section 5.3).
        return Folding.RENORMALISED if backend.folds else Folding.NOT
    try:
        strategy = Folding(folding)
    except ValueError:
        known = ", ".join(f"{each.value} ({each.name.lower()})" for each in Folding)
        raise InvalidValue(f"unknown folding strategy {folding!r}; it is one of {known}") from None
    if backend.folds == (strategy is Folding.NOT):
        does = "folds normalisations" if backend.folds else "does not fold normalisations"
        allowed = "0 to 4" if backend.folds else "-1"
        raise InvalidValue(
            f"{backend.name} {does}: its strategies are {allowed}, not {strategy.value}; another "
            "backend is another record: dataclasses.replace(backend, folds=...)"
        )
    return strategy


def check_combination(
    backend: Backend | str,
    algorithm: Algorithm | str,
    *,
    bits: int = 4,
    folding: Folding | int | None = None,
) -> None:
    """Refuse what a backend cannot compute, before any work.

    Parameters
    ----------
    backend : Backend or str
    algorithm : Algorithm or str
    bits : int
    folding : Folding or int, optional
        As in `prepare`.

    Raises
    ------
    InvalidValue
        If the algorithm's levels or units are none of the backend's, a method does not take a
        zero point, a scale a channel or a power of two that the backend has, or the folding is
        not the backend's.
    UnknownName
        If a name is unknown.
    """
    backend, algorithm = as_backend(backend), as_algorithm(algorithm)
    folding_of(backend, folding)
    plain = backend.weights.symmetric and backend.activations.symmetric
    plain = plain and not (backend.weights.per_channel or backend.power_of_two or backend.folds)
    if not algorithm.deployable and not (plain and backend.graph == 1):
        raise InvalidValue(
            f"{backend.name} cannot compute {algorithm.name}: its levels are not at equal steps, "
            "or its values lose their unit; it goes with the academic setting alone (symmetric, a "
            "scale a tensor, graph 1, not folded), or take one of "
            f"{', '.join(name for name, each in ALGORITHMS.items() if each.deployable)}"
        )
    widths = {bits: False}
    if backend.first_last_bits is not None:
        widths[backend.first_last_bits] = True
    calibration = CALIBRATIONS[algorithm.calibration] if algorithm.calibration else None
    for width, edge in widths.items():
        for role in ("weight", "activation"):
            for negative in {True, role == "weight"}:
                backend.quantizer(
                    width,
                    role,
                    algorithm.method(role, edge=edge, folds=backend.folds),
                    channels=1,
                    negative=negative,
                    calibration=calibration,
                )
