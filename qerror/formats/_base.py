"""What every number format is: a named rule that makes a grid."""

from abc import ABC, abstractmethod

from qerror._arrays import positive
from qerror.exceptions import InvalidValue
from qerror.grids import Grid
from qerror.registry import Registry


class Format(ABC):
    """A number format: frozen, hashable, checked at construction.

    A family is a frozen dataclass that fills four hooks: `bits`, `name`, `_base_grid` and
    `conventions`. A variation wraps or parametrises; it never subclasses a family.
    """

    @property
    @abstractmethod
    def bits(self) -> int:
        """Width of one code in bits."""

    @property
    @abstractmethod
    def name(self) -> str:
        """A name that `parse_format` reads back to an equal format."""

    @abstractmethod
    def _base_grid(self) -> Grid:
        """Return the grid at scale 1."""

    @abstractmethod
    def conventions(self) -> dict[str, str]:
        """Return the convention card: what was decided, in words, in reading order."""

    @property
    def max_value(self) -> float:
        """The largest level at scale 1."""
        return self._base_grid().max

    def grid(self, scale: float = 1.0) -> Grid:
        """Return the representable values, each multiplied by `scale` > 0.

        Raises
        ------
        InvalidValue
            If the scale is not a positive finite number.
        """
        return self._base_grid().scaled(positive("scale", scale))

    def scale_for(self, max_value: float) -> float:
        """Return the scale at which the largest level is `max_value` > 0.

        Raises
        ------
        InvalidValue
            If `max_value` is not positive and finite, or no level of the format is positive.
        """
        if self.max_value <= 0:
            raise InvalidValue(f"{self.name} has no positive level, so no scale gives it one")
        return positive("max_value", max_value) / self.max_value


FORMATS: Registry[Format] = Registry("format", "qerror formats")
