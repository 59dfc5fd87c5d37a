"""The MSE over the scale as a search sees it: values and slopes at some scales."""

from dataclasses import dataclass

import numpy as np

from qerror._arrays import ArrayValue, FloatArray
from qerror.analysis.report import ErrorReport
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.formats.format import ScalarFormat


def slope(report: ErrorReport[FloatArray]) -> FloatArray:
    """Return half of d ln MSE / d ln s, which is E[Q e] / E[e^2]; 0 where there is no error."""
    mse = report.mse
    return np.divide(report.cross_moment + mse, mse, out=np.zeros(mse.shape), where=mse > 0)


@dataclass(frozen=True, eq=False)
class Scan(ArrayValue):
    """Scales, ascending, with the MSE and half of its logarithmic slope at each."""

    scales: FloatArray
    mse: FloatArray
    rise: FloatArray

    @classmethod
    def at(cls, form: ScalarFormat, density: Density, scales: FloatArray) -> "Scan":
        """Evaluate at these scales."""
        report = quantization_error(form, density, scales)
        return cls(scales, report.mse, slope(report))

    def with_more(self, form: ScalarFormat, density: Density, scales: FloatArray) -> "Scan":
        """Return the scan with further scales."""
        more = np.setdiff1d(scales, self.scales)
        if not more.size:
            return self
        found = Scan.at(form, density, more)
        scales = np.concatenate([self.scales, more])
        order = np.argsort(scales)
        mse, rise = np.append(self.mse, found.mse), np.append(self.rise, found.rise)
        return Scan(scales[order], mse[order], rise[order])

    def moved(self, unit: float) -> "Scan":
        """Return the scan of a density that is `unit` times as wide."""
        return Scan(self.scales * unit, self.mse * unit * unit, self.rise)
