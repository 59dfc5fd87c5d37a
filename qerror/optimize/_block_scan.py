"""The least of an error over one choice of a scale rule."""

from collections.abc import Callable, Iterable

_FURTHER = 256  # steps beyond the first or the last place where the error still falls
_PRECISION = 1e-9  # of a place: the error is flat at its minimum


def least(error: Callable[[float], float], start: Iterable[float]) -> float:
    """Scan ascending places, then close in on the least between the neighbours of the best one.

    Where that is the first or the last one, the scan goes on.
    """
    from scipy.optimize import minimize_scalar

    places = list(start)
    best = min(range(len(places)), key=lambda k: error(places[k]))
    for _ in range(_FURTHER):
        if best == 0:
            places.insert(0, 2 * places[0] - places[1])
            best = 0 if error(places[0]) < error(places[1]) else 1
        elif best == len(places) - 1:
            places.append(2 * places[-1] - places[-2])
            best += error(places[-1]) < error(places[-2])
        else:
            break
    low, high = places[max(best - 1, 0)], places[min(best + 1, len(places) - 1)]
    closed = minimize_scalar(
        lambda x: error(float(x)),
        bounds=(low, high),
        method="bounded",
        options={"xatol": _PRECISION},
    )
    return min((places[best], float(closed.x)), key=error)
