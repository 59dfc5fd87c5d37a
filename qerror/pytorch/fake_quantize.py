"""The one module: a method's recipe, a format, and where its ranges come from."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.format import ScalarFormat
from qerror.formats.names import as_format, as_scalar_format
from qerror.pytorch.calibration import Accumulator, Calibration, Pooled
from qerror.pytorch.calibration.accumulate import Running, rows_of
from qerror.pytorch.functional.shared import FLOOR, Rule
from qerror.pytorch.gradients import AtLeast, apply
from qerror.pytorch.granularity import Granularity, PerTensor
from qerror.pytorch.recipe import METHODS, Recipe, Role, Setting, State, check_piece
from qerror.pytorch.scales import Free, ScaleRule


class FakeQuantize(nn.Module):
    """Replaces values by levels of a format and keeps them in the tensor's dtype.

    Parameters
    ----------
    form : ScalarFormat or str
        The format.
    method : str
        A name in `qerror.pytorch.METHODS`: by default the levels of any format with a fixed
        scale and a straight-through gradient.
    role : {"weight", "activation"}
        What is quantized.
    granularity : Granularity, optional
        What shares one range; by default the tensor.
    scale_rule : ScaleRule, optional
        Which scales are allowed, in every forward pass.
    asymmetric : bool
        Whether integer codes have a zero point or an offset of their own.
    rule : {"straight-through", "exact"}
        What a range that learns receives.
    calibration : Calibration, optional
        How ranges come from data; by default as the method's authors do.
    accumulator : Accumulator, optional
        How batches are joined; by default all values together.
    learn : iterable of str, optional
        The parts of the state that are parameters; by default the method's own choice.

    Attributes
    ----------
    enabled : bool
        Whether values are quantized or passed on.
    observing : bool
        Whether values are only looked at, for `settle`.

    Notes
    -----
    Scales and largest levels below 2^-100, zero and negative ones included, enter the forward pass
    as 2^-100, so that nothing is divided by 0; the gradient passes, and they can come back. Data
    that small need other units.

    Raises
    ------
    InvalidType
        If the format has blocks, or a piece is none of its kind.
    InvalidValue
        If the method does not take the combination, or `learn` names what it does not have.

    Examples
    --------
    >>> import torch
    >>> quantizer = FakeQuantize("int4", "lsq")
    >>> quantizer.calibrate(torch.linspace(-1, 1, 100))
    >>> sorted(name for name, _ in quantizer.named_parameters())
    ['s']
    """

    enabled: bool
    observing: bool

    def __init__(
        self,
        form: ScalarFormat | str,
        method: str = "straight-through",
        *,
        role: Role = "weight",
        granularity: Granularity | None = None,
        scale_rule: ScaleRule | None = None,
        asymmetric: bool = False,
        rule: Rule = "straight-through",
        calibration: Calibration | None = None,
        accumulator: Accumulator | None = None,
        learn: Iterable[str] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(found := as_format(form), BlockFormat):
            raise InvalidType(f"{found.name} has blocks; use BlockFakeQuantize({found.name!r})")
        self.method = method
        self.recipe: Recipe = METHODS[method]
        self.setting = Setting(
            as_scalar_format(form),
            role,
            granularity or PerTensor(),
            scale_rule or Free(),
            asymmetric,
            rule,
        )
        self.recipe.check(self.setting)
        self.states = self.recipe.states(self.setting)
        self.calibration = calibration or self.recipe.calibration(self.setting)
        self.accumulator = accumulator or Pooled()
        if self.calibration is not None:
            check_piece("calibration", self.calibration, Calibration)
        check_piece("accumulator", self.accumulator, Accumulator)
        self.enabled, self.observing = True, False
        self._running: Running | None = None
        learn = {learn} if isinstance(learn, str) else learn
        self._make_states(None if learn is None else set(learn))

    def _make_states(self, learn: set[str] | None) -> None:
        unknown = (learn or set()) - {state.name for state in self.states}
        if unknown:
            has = ", ".join(state.name for state in self.states) or "nothing"
            raise InvalidValue(
                f"{self.method} has no {', '.join(sorted(unknown))} to learn; it has {has}"
            )
        for state in self.states:
            shape = () if state.shared else self.setting.granularity.shape
            value = torch.full(shape, state.start)
            if state.learns if learn is None else state.name in learn:
                self.register_parameter(state.name, nn.Parameter(value))
            else:
                self.register_buffer(state.name, value)

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized values, or `x` while observing or switched off."""
        if self.observing:
            self.observe(x)
        if self.observing or not self.enabled:
            return x
        granularity = self.setting.granularity
        split = granularity.split(x)
        state = {each.name: self._state(each, split) for each in self.states}
        return granularity.join(self.recipe.levels(split, state, self.setting, self.training))

    @torch.no_grad()
    def steps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return s and z of the levels s (k - z) that codes k stand for, in float64.

        Parameters
        ----------
        x : Tensor
            What is quantized: the range of some methods follows from it.

        Returns
        -------
        s, z : Tensor
            Broadcast against `x`; z is whole.

        Raises
        ------
        InvalidValue
            If the levels are not at equal steps, or none of them stands for 0.
        """
        if self.recipe.steps is None:
            raise InvalidValue(f"the levels of {self.method} are not those of integers with a step")
        split = self.setting.granularity.split(x)
        state = {each.name: self._state(each, split) for each in self.states}
        s, z = self.recipe.steps(split, state, self.setting)
        return s.double(), z.double()

    def _state(self, state: State, split: Tensor) -> Tensor:
        """Return a state as it enters the forward pass: above 0, allowed, and broadcast."""
        value = self.get_parameter_or_buffer(state.name)
        if state.positive:
            value = apply(AtLeast, value, FLOOR)
        if state.name == "s":
            value = self.setting.scale_rule(value)
        return value if state.shared else self.setting.granularity.against(value, split)

    def get_parameter_or_buffer(self, name: str) -> Tensor:
        """Return a part of the state by its name."""
        found: Tensor = getattr(self, name)
        return found

    def scale(self) -> Tensor:
        """Return the scale as the forward pass uses it, of methods that have one.

        Raises
        ------
        InvalidValue
            If the method keeps its range by another name, such as the largest level.
        """
        names = [state.name for state in self.states]
        if "s" not in names:
            has = ", ".join(f"{state.name}, {state.meaning}" for state in self.states)
            raise InvalidValue(f"{self.method} has no scale s; it has {has or 'no state'}")
        value = apply(AtLeast, self.get_parameter_or_buffer("s"), FLOOR)
        return self.setting.scale_rule(value)

    # ---- calibration

    @property
    def has_observed(self) -> bool:
        """Whether `settle` has something to use."""
        return self._running is not None

    def observe(self, x: Tensor) -> None:
        """Add a batch to what `settle` will use; a weight replaces the one before."""
        if self.calibration is None:
            return
        if self._running is None or self.setting.role == "weight":
            self._running = self.accumulator.start(self.calibration, self.setting.target)
        self._running.add(rows_of(x, self.setting.granularity))

    @torch.no_grad()
    def settle(self) -> None:
        """Set the ranges from what was observed, in place: parameters stay the same objects.

        Raises
        ------
        InvalidValue
            If nothing was observed, or the range leaves the dtype of the state.
        """
        if self.calibration is None:
            return
        if self._running is None:
            raise InvalidValue("nothing was observed; pass at least one batch")
        running, self._running = self._running, None  # gone even if no range is found
        found = self.calibration.solve(running.statistic(), self.setting.target)
        solved = {
            each.name: each.solved(found, self.setting) for each in self.states if each.solved
        }
        for name, value in solved.items():
            self._refuse_infinite(name, value)
        for name, value in solved.items():
            state = self.get_parameter_or_buffer(name)
            state.copy_(value.reshape(state.shape))

    def _refuse_infinite(self, name: str, value: Tensor) -> None:
        """Refuse a range beyond the dtype that is to keep it."""
        dtype = self.get_parameter_or_buffer(name).dtype
        if not bool(torch.isfinite(value.to(dtype)).all()):
            raise InvalidValue(
                f"{name} would be {float(value.abs().max()):.3g}, beyond {dtype}; choose other "
                "units, or a wider dtype: quantizer.double()"
            )

    def calibrate(self, batches: Tensor | Iterable[Tensor]) -> None:
        """Choose the ranges from data, at once.

        Raises
        ------
        InvalidType
            If a batch holds no floating-point numbers.
        InvalidValue
            If there is no batch, one is empty, or a value is not finite.
        """
        self.forget()
        try:
            for batch in [batches] if isinstance(batches, Tensor) else batches:
                self.observe(batch)
            self.settle()
        finally:
            self.forget()

    def forget(self) -> None:
        """Drop what was observed."""
        self._running = None

    def extra_repr(self) -> str:
        """Return the pieces in words."""
        setting = self.setting
        return f"{setting.form.name}, method={self.method}, {setting.role}, {setting.granularity}"


def quantizers(model: nn.Module) -> Iterator[FakeQuantize]:
    """Yield the fake quantizers of a model, each once."""
    for module in model.modules():
        if isinstance(module, FakeQuantize):
            yield module


@contextmanager
def calibrating(model: nn.Module) -> Generator[None]:
    """Let the quantizers of a model look at what passes through them, then set their ranges.

    Inside, nothing is quantized. A quantizer through which nothing passed stays as it was. After
    an exception nothing that was seen is left over for the next calibration.

    Examples
    --------
    >>> import torch
    >>> quantizer = FakeQuantize("int8", role="activation")
    >>> with calibrating(quantizer):
    ...     _ = quantizer(torch.linspace(-1, 1, 100))
    >>> round(1 / float(quantizer.scale()))  # the values are odd multiples of 1/99
    99
    """
    found = list(quantizers(model))
    for each in found:
        each.observing = True
    try:
        with torch.no_grad():
            yield
        for each in found:
            if each.has_observed:
                each.settle()
    finally:
        for each in found:
            each.observing = False
            each.forget()
