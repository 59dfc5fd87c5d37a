"""Unseen cases of every method against its printed rules in exact arithmetic, to 1e-12."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import pytest
import torch
from torch import Tensor

from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from tests.pytorch import rules

Learnt = dict[str, float]
Ours = Callable[[Tensor, dict[str, Tensor]], Tensor]
Theirs = Callable[[Fraction, dict[str, Fraction]], rules.Rule]
Case = tuple[str, Learnt, list[float], Ours, Theirs]

R = Fraction


@pytest.fixture(autouse=True)
def digits() -> Any:
    with mpmath.workdps(50):
        yield


def values(marks: list[float], reach: float, seed: int, dyadic: bool = True) -> list[float]:
    """Return the marks (ends, ties, levels), their neighbours, and values of all sizes.

    Where the step is no power of two, no float lies on a mark, and a quotient beside one may be
    rounded onto it: values at a little distance then.
    """
    generator = torch.Generator().manual_seed(seed)
    plain = torch.randn(40, generator=generator, dtype=torch.float64) * reach / 2
    near = [math.nextafter(mark, way) for mark in marks for way in (-math.inf, math.inf)]
    apart = [mark + way * 1e-9 * reach for mark in marks for way in (-1, 1)]
    special = [*marks, *near] if dyadic else apart
    return [*special, *plain.tolist(), 3 * reach, -3 * reach, 1e-9, -1e-9]


def is_power(x: float | Fraction) -> bool:
    return math.frexp(float(x))[0] == 0.5 and Fraction(float(x)) == x


def ours(function: Callable[..., Tensor], *names: str, **options: Any) -> Ours:
    """Return a function of the library, its parameters by position."""
    return lambda x, p: function(x, *(p[name] for name in names), **options)


def theirs(rule: Callable[..., rules.Rule], **options: Any) -> Theirs:
    """Return a printed rule, its parameters by name."""
    return lambda x, p: rule(x, **p, **options)


def integers() -> list[Case]:
    found: list[Case] = []
    for n, (low, high, z, s) in enumerate(
        [(-4, 3, 0, 0.5), (-7, 7, 0, 0.3), (0, 255, 137, 0.0625), (0, 15, 3, 0.1), (-8, 7, -2, 2.0)]
    ):
        ends = [s * (k - z) for k in (low, high)]
        marks = [*ends, *(s * (k + 0.5 - z) for k in (low, (low + high) // 2, high - 1, high))]
        reach, codes = s * (high - low) / 2, {"low": low, "high": high}
        x = values(marks, reach, n, is_power(s))
        shifted = [v + 0.375 for v in values(marks, reach, n, False)]
        shifted += [v + 0.375 for v in marks] if is_power(s) else []
        for rule, exact in (("straight-through", False), ("exact", True)):
            options = {**codes, "scale_gradient": False, "rule": rule}
            learnt = {"s": s, "z": float(z)}
            function, printed = (
                ours(F.lsq, "s", "z", **options),
                theirs(rules.lsq, **codes, exact=exact),
            )
            found.append((f"lsq {low}..{high} z={z} {rule}", learnt, x, function, printed))
            learnt = {"s": s, "beta": 0.375 - s * z}
            function, printed = (
                ours(F.lsq_plus, "s", "beta", **options),
                theirs(rules.lsq_plus, **codes, exact=exact),
            )
            found.append((f"lsq+ {low}..{high} beta {rule}", learnt, shifted, function, printed))
        marks = [s * k for k in (low, low + 0.5, high, high - 1.5)]
        x = values(marks, s * high, n, is_power(s))
        function = ours(F.dsq, s=s, **codes, alpha=0.3)
        printed = theirs(rules.dsq, s=R(s), **codes, alpha=0.3)
        found.append((f"dsq {low}..{high}", {}, x, function, printed))
    return found


def floats() -> list[Case]:
    found: list[Case] = []
    for n, (bits, m, c) in enumerate(
        [
            (8, 4.5, 15.5),
            (8, 5.5, 4.0),
            (8, 0.2, 1.75),
            (8, 9.0, 3.3),
            (6, 2.0, 7.0),
            (8, 2.49, 0.7),
        ]
    ):
        used = min(max(round(m), 1), bits - 2)
        levels = rules.fp_levels(used, bits - 1 - used)
        gamma = R(c) / levels[-1]
        ties = [float(gamma * (levels[i] + levels[i + 1]) / 2) for i in (0, 1, 2, -2)]
        inner = [float(gamma * levels[i]) for i in (1, -2)]
        x = values([c, -c, *ties, *(-tie for tie in ties), *inner], c, n, is_power(gamma))
        for rule, exact in (("straight-through", False), ("exact", True)):
            function = ours(F.fp, "c", "m", bits=bits, rule=rule)
            printed = theirs(rules.fp, bits=bits, exact=exact)
            name = f"fp {bits} bits m={m} c={c} {rule}"
            found.append((name, {"c": c, "m": m}, x, function, printed))
    return found


def clips() -> list[Case]:
    found: list[Case] = []
    for n, (form, bits, alpha, beta) in enumerate(
        [
            ("unsigned", 2, 1.5, 0.0),
            ("unsigned", 8, 6.0, 0.0),
            ("symmetric", 3, 0.75, 0.0),
            ("symmetric", 8, 1.1, 0.0),
            ("asymmetric", 4, 1.75, -2.0),
            ("asymmetric", 8, 5.3, -0.7),
        ]
    ):
        steps = 2 ** (bits - (form == "symmetric")) - 1
        s = (alpha - beta) / steps
        marks = [alpha, -alpha, beta, 0.0, s / 2, -s / 2, 1.5 * s, alpha - s / 2, beta + s / 2]
        x = values(marks, alpha, n, is_power((R(alpha) - R(beta)) / steps))
        options: dict[str, Any] = {"bits": bits, "form": form}
        if form == "asymmetric":
            function = ours(F.pact, "alpha", "beta", **options)
            printed = theirs(rules.pact, **options)
            learnt = {"alpha": alpha, "beta": beta}
        else:
            function = ours(F.pact, "alpha", **options)
            printed = theirs(rules.pact, beta=R(0), **options)
            learnt = {"alpha": alpha}
        found.append((f"pact {form} {bits} bits", learnt, x, function, printed))
    return found


def intervals() -> list[Case]:
    found: list[Case] = []
    for n, (form, bits, c, d, gamma) in enumerate(
        [
            ("weight", 4, 0.75, 0.5, 1.0),
            ("weight", 3, 0.4, 0.6, 1.0),
            ("activation", 3, 1.0, 1.0, 1.0),
            ("activation", 8, 2.0, 1.25, 1.0),
            ("weight", 5, 1.0, 0.75, 1.7),
            ("activation", 4, 1.5, 0.5, 0.5),
        ]
    ):
        steps = 2 ** (bits - (form == "weight")) - 1
        ties = [c + 2 * d * ((k + 0.5) / steps - 0.5) for k in (0, 1, steps - 1)]
        marks = [c - d, c + d, -(c + d), d - c, c, -c]
        # A tie that float64 does not hold exactly may fall either way.
        marks += [t for t in ties if (R(t) - R(c) + R(d)) / (2 * R(d)) * steps % 1 == R(1, 2)]
        x = values(marks, c + d, n, gamma == 1 and is_power(d))
        options: dict[str, Any] = {"bits": bits, "form": form, "gamma": gamma}
        function = ours(F.qil, "c", "d", **options, scale_gradient=False)
        name = f"qil {form} {bits} bits gamma={gamma}"
        found.append((name, {"c": c, "d": d}, x, function, theirs(rules.qil, **options)))
    return found


POWERS = {
    ("weight", 4): [R(k, 10) for k in (-10, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 10)],
    ("weight", 3): [R(k, 3) for k in range(-3, 4)],
    ("activation", 2): [R(k, 3) for k in range(4)],
    ("activation", 4): [
        R(k, 48) for k in (0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32, 33, 36, 48)
    ],
}  # fmt: skip


def powers() -> list[Case]:
    found: list[Case] = []
    for n, ((form, bits), levels) in enumerate(POWERS.items()):
        alpha = (2.5, 3.0, 1.5, 6.0)[n]
        marks = [alpha, -alpha, 0.0, *(alpha * float(level) for level in levels[1::3])]
        x, function = values(marks, alpha, n), ours(F.apot, "alpha", form=form, bits=bits)
        printed = theirs(rules.apot, levels=levels)
        found.append((f"apot {form} {bits} bits", {"alpha": alpha}, x, function, printed))
    for n, (bits, signed, t) in enumerate(
        [(8, True, 1.0), (4, True, 0.3), (3, False, -2.0), (8, False, 2.9), (2, True, -0.5)]
    ):
        s = 2.0 ** (math.ceil(t) - bits + signed)
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        x = values([s * k for k in (low, low - 0.5, high, high + 0.5, 0.5, 1.5, -0.5)], s * high, n)
        options: dict[str, Any] = {"bits": bits, "signed": signed}
        function, printed = ours(F.tqt, "log2_t", **options), theirs(rules.tqt, **options)
        found.append((f"tqt {bits} bits {signed} log2 t={t}", {"log2_t": t}, x, function, printed))
    return found


def fixed_points() -> list[Case]:
    found: list[Case] = []
    for n, (word, length, buffer, signed, alpha) in enumerate(
        [
            (8, 5, 5, False, 3.1875),
            (8, 4, 6, True, -1.5),
            (4, 3, 1, False, 2.0),
            (8, 7, 0, True, 9.7),
        ]
    ):
        high = 2 ** (word - signed) - 1
        step = 2.0**-length
        marks = [step * k for k in (0.5, 1.5, high - 0.5, high, high + 0.5, -high, 0.5 - high)]
        options: dict[str, Any] = {"word_length": word, "signed": signed}
        function = ours(F.fixed_point, fractional_length=length, **options)
        printed = theirs(rules.fixed, word=word, length=length, signed=signed)
        x = values(marks, step * high, n)
        found.append((f"fixed {word}.{length} {signed}", {}, x, function, printed))
        ratio = buffer - length
        step = abs(alpha) * 2.0**ratio / high
        marks = [step * k for k in (0.4, 0.6, high - 0.6, high - 0.4, -high, -0.4)]
        function = ours(
            F.f8net_pact, "alpha", fractional_length=length, buffer_length=buffer, **options
        )
        printed = theirs(rules.f8net, word=word, ratio=ratio, signed=signed)
        name, x = f"f8net {word}.{length} buffer {buffer}", values(marks, step * high, n, False)
        found.append((name, {"alpha": alpha}, x, function, printed))
    return found


CASES = [*integers(), *floats(), *clips(), *intervals(), *powers(), *fixed_points()]


def near(ours: float, wanted: Fraction) -> bool:
    return abs(R(ours) - wanted) <= R(1, 10**12) * max(R(1), abs(wanted))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_the_printed_rules(case: Case) -> None:
    _, learnt, listed, function, printed = case
    x = torch.tensor(listed, dtype=torch.float64, requires_grad=True)
    each = {name: torch.full_like(x, value).requires_grad_() for name, value in learnt.items()}
    y = function(x, each)
    dx, *grads = torch.autograd.grad(y.sum(), [x, *each.values()])
    parameters = {name: Fraction(value) for name, value in learnt.items()}
    wrong: list[str] = []
    for i, value in enumerate(listed):
        level, slope, shares = printed(Fraction(value), parameters)
        got = {"y": y[i].item(), "dx": dx[i].item()}
        wanted = {"y": level, "dx": slope}
        for name, grad in zip(each, grads, strict=True):
            got[name], wanted[name] = grad[i].item(), shares[name]
        wrong += [
            f"{name} at {value!r}: {got[name]!r}, not {float(wanted[name])!r}"
            for name in got
            if not near(got[name], wanted[name])
        ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_dorefa(bits: int) -> None:
    generator = torch.Generator().manual_seed(bits)
    w = torch.randn(60, generator=generator, dtype=torch.float64)
    w[7] = 0.0
    upstream = torch.randn(60, generator=generator, dtype=torch.float64)
    leaf = w.clone().requires_grad_()
    y = F.dorefa_weight(leaf, bits=bits)
    (dw,) = torch.autograd.grad(y, leaf, upstream)
    steps = 2 ** (bits - 1) - 1
    squeezed = [mpmath.tanh(mpmath.mpf(v)) for v in w.tolist()]
    most = max(abs(t) for t in squeezed)
    for i, t in enumerate(squeezed):
        assert near(y[i].item(), Fraction(round(rules.fraction(t / most) * steps), steps))
        wanted = rules.fraction(mpmath.mpf(upstream[i].item()) * (1 - t * t) / most)
        assert near(dw[i].item(), wanted)


@pytest.mark.parametrize(
    ("bits", "asymmetric", "power_of_two"),
    [(2, False, False), (4, False, True), (4, True, False), (8, True, True), (8, False, False)],
)
def test_dorefa_in_its_own_unit(bits: int, asymmetric: bool, power_of_two: bool) -> None:
    generator = torch.Generator().manual_seed(bits)
    w = torch.randn(3, 20, generator=generator, dtype=torch.float64)
    w *= torch.tensor([[0.02], [0.4], [3.0]])
    w[1, 7], w[2, 0] = 0.0, 9.0
    upstream = torch.randn(3, 20, generator=generator, dtype=torch.float64)
    high = 2 ** (bits - 1) - 1
    for largest in (None, w.abs().amax(1, keepdim=True)):
        leaf = w.clone().requires_grad_()
        options: Any = {"asymmetric": asymmetric, "power_of_two": power_of_two}
        y = F.tanh_weight(leaf, largest, bits=bits, **options)
        (dw,) = torch.autograd.grad(y, leaf, upstream)
        for row in range(3):
            own = w if largest is None else w[row]
            m = mpmath.tanh(mpmath.mpf(own.abs().max().item()))
            s = 2 * m / (2 * high + 1) if asymmetric else m / high
            s = mpmath.mpf(2) ** mpmath.nint(mpmath.log(s, 2)) if power_of_two else s
            z = int(mpmath.nint(m / s)) if asymmetric else 0
            low, top = (-z, 2 * high + 1 - z) if asymmetric else (-high, high)
            for i, value in enumerate(w[row].tolist()):
                t = mpmath.tanh(mpmath.mpf(value))
                code = int(mpmath.nint(t / s))
                level = rules.fraction(s * min(max(code, low), top))
                assert near(y[row, i].item(), level)
                slope = 1 - t * t if low <= code <= top else 0
                wanted = rules.fraction(mpmath.mpf(upstream[row, i].item()) * slope)
                assert near(dw[row, i].item(), wanted)


def test_standardised_weights() -> None:
    generator = torch.Generator().manual_seed(3)
    w = torch.randn(50, generator=generator, dtype=torch.float64) * 0.05 + 0.01
    leaf, alpha = w.clone().requires_grad_(), torch.tensor(2.0, dtype=torch.float64)
    y = F.apot(leaf, alpha.requires_grad_(), standardise=True)
    dw, dalpha = torch.autograd.grad(y.sum(), [leaf, alpha])
    exact = [Fraction(v) for v in w.tolist()]
    mean = sum(exact, R(0)) / len(exact)
    square = sum(((v - mean) ** 2 for v in exact), R(0)) / (len(exact) - 1)
    std = rules.fraction(mpmath.sqrt(rules.mp(square)))
    levels = POWERS["weight", 4]
    found = [rules.apot((v - mean) / std, Fraction(2), levels) for v in exact]
    for i, (level, slope, _) in enumerate(found):
        assert near(y[i].item(), level)
        assert near(dw[i].item(), slope / std)
    assert near(dalpha.item(), sum((each[2]["alpha"] for each in found), Fraction(0)))


@pytest.mark.parametrize("shape", [(), (4, 1), (1, 6)])
def test_shared_parameters_receive_sums_times_the_gradient_scale(shape: tuple[int, ...]) -> None:
    """1/sqrt(M p), M the number of values that one parameter serves."""
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    served = 24 // max(math.prod(shape), 1)
    s = torch.full(shape, 0.25, dtype=torch.float64, requires_grad=True)
    beta = torch.full(shape, 0.1, dtype=torch.float64, requires_grad=True)
    for exact in (False, True):
        rule: Any = "exact" if exact else "straight-through"
        y = F.lsq_plus(x, s, beta, low=-8, high=7, rule=rule)
        for name, grad in zip(("s", "beta"), torch.autograd.grad(y.sum(), [s, beta]), strict=True):
            each = [
                float(rules.lsq_plus(R(v), R(0.25), R(0.1), -8, 7, exact)[2][name])
                for v in x.flatten().tolist()
            ]
            wanted = torch.tensor(each, dtype=torch.float64).reshape(4, 6).sum_to_size(shape)
            torch.testing.assert_close(grad, wanted / math.sqrt(served * 7), rtol=1e-12, atol=1e-12)
