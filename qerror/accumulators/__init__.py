"""Sums in narrow registers: what FP16, BF16, FP22 or INT24 adds to a scalar product's error."""

from qerror.accumulators.accumulator import Accumulator as Accumulator
from qerror.accumulators.accumulator import FloatAccumulator as FloatAccumulator
from qerror.accumulators.accumulator import IntegerAccumulator as IntegerAccumulator
from qerror.accumulators.accumulator import Order as Order
from qerror.accumulators.accumulator import as_accumulator as as_accumulator
from qerror.accumulators.accumulator import as_order as as_order
from qerror.accumulators.error import accumulation_error as accumulation_error
from qerror.accumulators.lengths import accumulation_by_length as accumulation_by_length
from qerror.accumulators.narrowest import narrowest_accumulator as narrowest_accumulator
from qerror.accumulators.report import AccumulationReport as AccumulationReport
from qerror.accumulators.simulate import SimulatedSums as SimulatedSums
from qerror.accumulators.simulate import simulate_accumulation as simulate_accumulation
