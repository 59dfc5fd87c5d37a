"""What hangs together in a network: units of its tensors, their masters, signs and factors."""

import math
from collections.abc import Sequence

from qerror.exceptions import InvalidValue
from qerror.pytorch.integer.steps import Step

WEIGHED = ("convolution", "linear")


class Structure:
    """The steps of a network, and what follows from them for every tensor, by the step's name.

    Parameters
    ----------
    steps : sequence of Step
        With the windows of their pools.
    negative : bool
        Whether the images have negative values.

    Attributes
    ----------
    master : dict
        The layer whose clip gives a tensor's unit; "" where that is 1, as for images and logits.
    masters : tuple of str
    positive : dict
        Whether a tensor has no negative values, or none once a ReLU has taken it.
    coded : dict
        Whether a tensor holds the image's own codes.
    factor : dict
        The mean of a window over what a shift makes of its sum.
    """

    def __init__(self, steps: Sequence[Step], *, negative: bool) -> None:
        self.steps = tuple(steps)
        self.by_name = {each.name: each for each in steps}
        self.layers = tuple(each for each in steps if each.kind in WEIGHED)
        self.positive = {"": not negative}
        self.coded = {"": True}
        self.factor = {"": 1.0}
        self._group: dict[str, str] = {}
        for step in self.steps:
            self._add(step)
        last = self.steps[-1].name
        if self.factor[last] != 1:
            raise InvalidValue(
                f"the network ends with step {last!r}, in units of means over a window whose size "
                "is no power of two: their factor must go into the weights of a layer"
            )
        self.master = self._mastered()
        self.masters = tuple(dict.fromkeys(each for each in self.master.values() if each))

    def rectified(self, name: str) -> bool:
        """Tell whether a ReLU stands behind a tensor."""
        return bool(name) and self.by_name[name].low == 0

    @staticmethod
    def shift(step: Step) -> int:
        """Return the t of a pool, whose sum 2^-t stands for the mean."""
        assert step.window is not None
        return round(math.log2(step.window[0] * step.window[1]))

    def _add(self, step: Step) -> None:
        given, name = step.inputs, step.name
        signs = all(self.positive[each] for each in given) and step.kind not in WEIGHED
        self.positive[name] = step.low == 0 or signs
        moved = step.kind in {"flatten", "largest"} and step.low != 0
        self.coded[name] = moved and self.coded[given[0]]
        factors = {self.factor[each] for each in given}
        if len(factors) > 1:
            raise InvalidValue(
                f"step {name!r} adds means of windows whose sizes are no powers of two to others: "
                "their factors must go into the weights of a layer"
            )
        self.factor[name] = 1.0 if step.kind in WEIGHED else factors.pop()
        if step.kind == "average":
            assert step.window is not None
            self.factor[name] *= 2.0 ** self.shift(step) / (step.window[0] * step.window[1])
        if step.kind not in WEIGHED:
            for each in given:
                self._join(each, name)

    def _mastered(self) -> dict[str, str]:
        """Return the master of every tensor: the first layer that takes one of its group."""
        masters = {self._root(""): "", self._root(self.steps[-1].name): ""}
        for layer in self.layers:
            masters.setdefault(self._root(layer.inputs[0]), layer.name)
        names = ("", *self.by_name)
        lost = [name for name in names if self._root(name) not in masters]
        if lost:
            raise InvalidValue(f"no layer takes the result of step {lost[0]!r}")
        return {name: masters[self._root(name)] for name in names}

    def _root(self, name: str) -> str:
        while name in self._group:
            name = self._group[name]
        return name

    def _join(self, one: str, other: str) -> None:
        first, second = self._root(one), self._root(other)
        if first != second:
            self._group[second] = first
