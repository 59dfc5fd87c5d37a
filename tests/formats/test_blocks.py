"""Block-scaled formats: names, options, costs, cards, and what is refused."""

import copy
import itertools
import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qerror.exceptions import InvalidType, InvalidValue, QErrorException, UnknownName
from qerror.formats import (
    FORMATS,
    Absmax,
    Amax,
    BlockFormat,
    Codebook,
    FixedPoint,
    FloatingPoint,
    FourOverSix,
    Integer,
    MinMax,
    PowerOfTwo,
    ScaleRule,
    StoredScale,
    parse_format,
)
from qerror.formats.codebook import AF4, NF4

E2M1, E4M3 = FloatingPoint(1, 2, bias=1), FloatingPoint(3, 4, specials="fn")
E2M3, E3M2 = FloatingPoint(3, 2, bias=1), FloatingPoint(2, 3, bias=3)
E5M2 = FloatingPoint(2, 5, specials="ieee")
UE5M3 = FloatingPoint(3, 5, signed=False, specials="fn")
FP16 = FloatingPoint(10, 5, specials="ieee")

NAMED: dict[str, tuple[BlockFormat, str, float]] = {
    "mxfp4": (BlockFormat(E2M1, PowerOfTwo(), 32), "MXFP4", 4.25),
    "MX-FP4": (BlockFormat(E2M1, PowerOfTwo("floor"), 32), "MXFP4", 4.25),
    "mxfp4:even": (BlockFormat(E2M1, PowerOfTwo("even"), 32), "MXFP4:even", 4.25),
    "mxfp4:n=16": (BlockFormat(E2M1, PowerOfTwo(), 16), "MXFP4:g16", 4.5),
    "mxfp4:ceil:g16": (BlockFormat(E2M1, PowerOfTwo("ceil"), 16), "MXFP4:g16:ceil", 4.5),
    "mxfp4:theta=3.5": (BlockFormat(E2M1, PowerOfTwo(3.5), 32), "MXFP4:theta=3.5", 4.25),
    "mxfp6_e2m3": (BlockFormat(E2M3, PowerOfTwo(), 32), "MXFP6_E2M3", 6.25),
    "mxfp6e3m2": (BlockFormat(E3M2, PowerOfTwo(), 32), "MXFP6_E3M2", 6.25),
    "mxfp8_e4m3:rceil": (BlockFormat(E4M3, PowerOfTwo("rceil"), 32), "MXFP8_E4M3:rceil", 8.25),
    "mxfp8_e5m2": (BlockFormat(E5M2, PowerOfTwo(), 32), "MXFP8_E5M2", 8.25),
    "mxint8": (BlockFormat(FixedPoint(8, 6), PowerOfTwo(), 32), "MXINT8", 8.25),
    "e2m1:g32:floor": (BlockFormat(E2M1, PowerOfTwo(), 32), "MXFP4", 4.25),
    "nvfp4": (BlockFormat(E2M1, StoredScale(E4M3), 16), "NVFP4", 4.5),
    "nvfp4:tensor=4.5": (BlockFormat(E2M1, StoredScale(E4M3, 4.5), 16), "NVFP4:tensor=4.5", 4.5),
    "nvfp4:tensor=0.01:g32": (
        BlockFormat(E2M1, StoredScale(E4M3, 0.01), 32),
        "NVFP4:g32:tensor=0.01",
        4.25,
    ),
    "nvfp4:of=4096": (
        BlockFormat(E2M1, StoredScale(E4M3, Amax(4096)), 16),
        "NVFP4:of=4096",
        4.5 + 32 / 4096,
    ),
    "nvfp4:of=tensor": (BlockFormat(E2M1, StoredScale(E4M3, Amax()), 16), "NVFP4:of=tensor", 4.5),
    "nvfp4:smallest=0.001953125": (
        BlockFormat(E2M1, StoredScale(E4M3, smallest=2.0**-9), 16),
        "NVFP4:smallest=0.001953125",
        4.5,
    ),
    "nvfp4:n=8:scale=ue5m3": (
        BlockFormat(E2M1, StoredScale(UE5M3), 8),
        "NVFP4:g8:scale=UE5M3",
        5.0,
    ),
    "nvfp4:4over6": (BlockFormat(E2M1, FourOverSix(E4M3), 16), "NVFP4:4over6", 4.5),
    "nvfp4:4over6=mae:of=4096": (
        BlockFormat(E2M1, FourOverSix(E4M3, Amax(4096), error="mae"), 16),
        "NVFP4:4over6=mae:of=4096",
        4.5 + 32 / 4096,
    ),
    "nvfp4:tensor=2:4over6:scale=ue5m3": (
        BlockFormat(E2M1, FourOverSix(UE5M3, 2.0), 16),
        "NVFP4:4over6:scale=UE5M3:tensor=2",
        4.5,
    ),
    "nf4:g64": (BlockFormat(NF4, Absmax(), 64), "NF4:g64", 4.25),
    "af4:n=64": (BlockFormat(AF4, Absmax(), 64), "AF4:g64", 4.25),
    "nf4:alpha=0.85:g64": (BlockFormat(NF4, Absmax(0.85), 64), "NF4:g64:alpha=0.85", 4.25),
    "nf4:g64:scale=uint8:of=16384": (
        BlockFormat(NF4, StoredScale(Integer(8, signed=False), Amax(16384)), 64),
        "NF4:g64:scale=UINT8:of=16384",
        4 + 8 / 64 + 32 / 16384,
    ),
    "int4:g32": (BlockFormat(Integer(4), Absmax(), 32), "INT4:g32", 4.5),
    "int4:full:g32:divisor=8": (
        BlockFormat(Integer(4, symmetric=False), Absmax(divisor=8), 32),
        "INT4:full:g32:divisor=8",
        4.5,
    ),
    "int4:g64:scale=fp16:divisor=7.5": (
        BlockFormat(Integer(4), StoredScale(FP16, divisor=7.5), 64),
        "INT4:g64:scale=FP16:divisor=7.5",
        4.25,
    ),
    "int4:g64:scale=4m3e/bias=3.5": (
        BlockFormat(Integer(4), StoredScale(FloatingPoint(4, 3, 3.5)), 64),
        "INT4:g64:scale=4M3E/bias=3.5",
        4.125,
    ),
    "int4:g32:affine": (BlockFormat(Integer(4), MinMax(), 32), "INT4:g32:affine", 5.0),
    "uint4:affine=real:g32": (BlockFormat(Integer(4), MinMax(), 32), "INT4:g32:affine", 5.0),
    "int4:g64:affine=integer": (
        BlockFormat(Integer(4), MinMax("integer"), 64),
        "INT4:g64:affine=integer",
        4 + 20 / 64,
    ),
    "int8:channel=4096": (BlockFormat(Integer(8), Absmax(), 4096), "INT8:g4096", 8 + 16 / 4096),
    "4M3E:bias=3.9:g16": (
        BlockFormat(FloatingPoint(4, 3, 3.9), Absmax(), 16),
        "4M3E:bias=3.9:g16",
        9.0,
    ),
    "codebook:-1,0,1:g8": (
        BlockFormat(Codebook([-1, 0, 1]), Absmax(), 8),
        "codebook:-1,0,1:g8",
        4.0,
    ),
}
named = pytest.mark.parametrize("text", NAMED)


@named
def test_names(text: str) -> None:
    member, name, bits = NAMED[text]
    found = parse_format(text)
    assert found == member
    assert found.name == str(found) == name
    assert found.bits_per_value == bits


@named
def test_names_read_back(text: str) -> None:
    member = NAMED[text][0]
    assert parse_format(member.name) == member
    assert parse_format(member.name.lower()) == member
    assert hash(parse_format(member.name)) == hash(member)


def test_options_come_in_any_order() -> None:
    parts = ["n=8", "scale=ue5m3", "of=4096", "smallest=0.0009765625"]
    found = {parse_format(":".join(["nvfp4", *order])) for order in itertools.permutations(parts)}
    rule = StoredScale(UE5M3, Amax(4096), 2.0**-10)
    assert found == {BlockFormat(E2M1, rule, 8)}


positive = st.floats(1e-30, 1e30)
tensors = positive | st.builds(Amax, st.none() | st.sampled_from([256, 4096]))
smallest = st.none() | st.sampled_from([2.0**-9, 2.0**-6, 0.5])
rules: st.SearchStrategy[ScaleRule] = st.one_of(
    st.builds(PowerOfTwo, st.sampled_from(["floor", "ceil", "rceil", "even"]) | positive),
    st.builds(StoredScale, st.sampled_from([E4M3, FP16]), tensors, smallest, st.none() | positive),
    st.builds(Absmax, positive, st.none() | positive),
    st.builds(
        FourOverSix,
        st.sampled_from([E4M3, FP16]),
        tensors,
        smallest,
        st.sampled_from(["mse", "mae"]),
    ),
)
floats = st.builds(BlockFormat, st.just(E2M1), rules, st.sampled_from([1, 16, 32, 64]))
affine = st.builds(
    BlockFormat,
    st.builds(Integer, st.integers(2, 16)),
    st.builds(MinMax, st.sampled_from(["real", "integer"])),
    st.integers(1, 10**6),
)


@given(floats | affine)
def test_any_name_reads_back(member: BlockFormat) -> None:
    assert parse_format(member.name) == member


COPIES: list[Callable[[object], object]] = [
    copy.copy,
    copy.deepcopy,
    *(lambda f, p=p: pickle.loads(pickle.dumps(f, p)) for p in range(6)),
]


@given(floats | affine, st.sampled_from(COPIES))
def test_copies_are_equal(member: BlockFormat, again: Callable[[object], object]) -> None:
    twin = again(member)
    assert twin == member
    assert hash(twin) == hash(member)


@given(floats | affine)
def test_cards_are_text(member: BlockFormat) -> None:
    card = member.conventions()
    wanted = {"rule", "zero blocks", "not finite", "smallest scale", "other tools", "bits"}
    assert wanted <= set(card)
    assert all(card.values())
    assert card["name"] == member.name


def test_registered() -> None:
    blocks = [member for member in FORMATS.values() if isinstance(member, BlockFormat)]
    kinds = {type(member.scale) for member in blocks}
    assert kinds == {PowerOfTwo, StoredScale, Absmax, MinMax, FourOverSix}
    for member in blocks:
        assert FORMATS[member.name] == member


# The table of thresholds: emax, q and mantissa bits from OCP MX 1.0, tables 2 to 6.
ELEMENTS = {
    "mxfp4": (2, 6.0, 1),
    "mxfp6_e2m3": (2, 7.5, 3),
    "mxfp6_e3m2": (4, 28.0, 2),
    "mxfp8_e4m3": (8, 448.0, 3),
    "mxfp8_e5m2": (15, 57344.0, 2),
    "mxint8": (0, 127 / 64, 6),
}


@pytest.mark.parametrize("name", ELEMENTS)
def test_thresholds(name: str) -> None:
    emax, top, digits = ELEMENTS[name]
    member = parse_format(name)
    assert isinstance(member, BlockFormat)
    theta = {
        "floor": 2.0**emax,
        "ceil": 2.0 ** (emax - 1),
        "rceil": top / 2,
        "even": 2.0**emax - 2.0 ** (emax - digits - 2),
    }
    for rule, value in theta.items():
        scale = parse_format(f"{name}:{rule}").scale  # type: ignore[attr-defined]
        assert scale.theta_for(member.element) == value
        assert scale.takes_edge == (rule in {"floor", "even"})
        steps = scale.steps(member.element)
        assert steps.edges[[0, -1]].tolist() == [0.0, math.inf]
        assert steps.edges[1:-1].tolist() == [value * 2.0**k for k in range(-126, 128)]
        assert steps.scales.tolist() == [2.0**k for k in range(-127, 128)]
        assert steps.codes.tolist() == list(range(-127, 128))
        assert (steps.upward == scale.takes_edge).all()
    assert PowerOfTwo(3.75).theta_for(member.element) == 3.75


def test_steps_of_stored_scales() -> None:
    steps = StoredScale(E4M3, 0.5).steps(E2M1)
    levels = E4M3.grid().points[E4M3.grid().points >= 0]
    assert steps.scales.tolist() == (levels * 0.5).tolist()
    assert steps.codes.tolist() == list(range(127))
    assert steps.edges[1:-1].tolist() == [3.0 * (a + b) / 2 for a, b in itertools.pairwise(levels)]
    # At a tie the even code: the cut below code 1 goes down, below code 2 up.
    assert steps.upward.tolist() == [code % 2 == 0 for code in range(1, 127)]
    raised = StoredScale(E4M3, smallest=2.0**-6, divisor=4.0).steps(E2M1)
    assert raised.scales[0] == 2.0**-6
    assert raised.edges[:2].tolist() == [0.0, 4.0 * (2.0**-6 + 2.0**-10)]
    assert raised.codes[0] == 8
    with pytest.raises(InvalidValue, match="tensor scale depends on the values"):
        StoredScale(E4M3, Amax(32)).steps(E2M1)
    at = StoredScale(E4M3, Amax(32)).steps(E2M1, StoredScale(E4M3).tensor_for(2688.0, E2M1))
    assert at.scales[-1] == 448.0
    assert FourOverSix(E4M3).tensor_for(1536.0, E2M1) == 1.0


def test_ue5m3() -> None:
    assert UE5M3.max_value == 114688.0
    assert FORMATS["ue5m3"] == UE5M3
    assert UE5M3.bits == 8


REFUSED: list[tuple[str, type[QErrorException], str]] = [
    ("mxfp4:g0", InvalidValue, r"block_size must lie in 1\.\..*, got 0"),
    ("mxfp4:n=-4", InvalidValue, "block_size must lie in"),
    ("mxfp4:n=x", InvalidValue, "block_size must be an integer, got 'x'"),
    ("mxfp4:theta=0", InvalidValue, "theta must be positive, got 0"),
    ("mxfp4:theta=-1", InvalidValue, "theta must be positive, got -1"),
    ("mxfp4:theta=nan", InvalidValue, "theta must be finite"),
    ("mxfp4:evne", InvalidValue, "no option 'evne', did you mean even"),
    ("int4:g32:evne", InvalidValue, "unknown rule 'evne'; did you mean even"),
    ("mxfp4:even=3", InvalidValue, "even takes no value"),
    ("mxfp4:floor:even", InvalidValue, "one rule sets the scale, got floor and even"),
    ("mxfp4:theta=3:even", InvalidValue, "one rule sets the scale"),
    ("mxfp4:floor:affine", InvalidValue, "one rule sets the scale, got floor and affine"),
    ("nvfp4:4over6:floor", InvalidValue, "one rule sets the scale"),
    ("mxfp4:g16:n=16", InvalidValue, "gives the option 'n' twice"),
    ("mxfp4:g16:channel=16", InvalidValue, "give one of them"),
    ("mxfp4:tensor=2", InvalidValue, "'tensor' does not go with this scale, PowerOfTwo"),
    ("mxfp4:bias=3", InvalidValue, "MXFP4 has no option 'bias'"),
    ("nvfp4:tensor=0", InvalidValue, "tensor must be positive, got 0"),
    ("nvfp4:tensor=-2", InvalidValue, "tensor must be positive"),
    ("nvfp4:tensor=2:of=32", InvalidValue, "each set the tensor scale"),
    ("nvfp4:of=100", InvalidValue, "multiple of the block size 16"),
    ("nvfp4:of=0", InvalidValue, "of must lie in"),
    (
        "nvfp4:smallest=0.003",
        InvalidValue,
        "positive level of E4M3FN, got 0.003; the nearest is 0.0",
    ),
    ("nvfp4:smallest=0", InvalidValue, "smallest must be positive"),
    ("nvfp4:4over6=max", UnknownName, "'mse' or 'mae', got 'max'"),
    ("nvfp4:scale=fp32", InvalidValue, "at most 16 bits, got FP32"),
    ("nvfp4:scale=mxfp4", InvalidType, "shares scales"),
    ("e2m1:g32:affine", InvalidValue, "equal steps, so its elements are integers.*got E2M1"),
    ("mxfp4:affine", InvalidValue, "its elements are integers"),
    ("int4:g32:zp=3:affine", InvalidValue, "sets its own zero point"),
    ("int32:g32:affine", InvalidValue, "at most 24 bits, got INT32"),
    ("int4:g32:affine=half", UnknownName, "'real' or 'integer', got 'half'"),
    ("int4:affine", InvalidValue, "Give a block size: int4:g32:affine"),
    ("int4:g32:4over6", InvalidValue, "need their format"),
    ("int4:g32:4over6:scale=e4m3", InvalidValue, "largest levels are 4 and 6"),
    ("int4:g32:tensor=3", InvalidValue, "'tensor' does not go with this scale, Absmax"),
    ("int4:g32:alpha=0", InvalidValue, "alpha must be positive"),
    ("int4:g32:divisor=-7", InvalidValue, "divisor must be positive"),
    ("nf4:g32:even", InvalidValue, "the rule 'even' rounds to the mantissa of the element"),
    ("codebook:-2,-1:g8", InvalidValue, "codebook:-2,-1 has no positive level"),
    ("codebook:-2,0:g8:floor", InvalidValue, "has no positive level"),
    ("mxfp9", UnknownName, "did you mean MXFP4"),
    ("mxfp8", UnknownName, "MXFP8_E4M3"),
]


@pytest.mark.parametrize(("text", "kind", "phrase"), REFUSED)
def test_refusals(text: str, kind: type[Exception], phrase: str) -> None:
    with pytest.raises(QErrorException, match=phrase) as raised:
        parse_format(text)
    assert raised.type is kind


def test_refused_parts() -> None:
    with pytest.raises(UnknownName, match="unknown rule 'flor'; did you mean floor"):
        PowerOfTwo("flor")  # type: ignore[arg-type]
    with pytest.raises(InvalidType, match="theta must be a real number"):
        PowerOfTwo(None)  # type: ignore[arg-type]
    with pytest.raises(InvalidType, match="scale must be a rule"):
        BlockFormat(E2M1, "floor", 32)  # type: ignore[arg-type]
    with pytest.raises(InvalidType, match="shares scales"):
        BlockFormat(FORMATS["MXFP4"], PowerOfTwo(), 32)  # type: ignore[arg-type]
    with pytest.raises(InvalidType, match="block_size must be an integer"):
        BlockFormat(E2M1, PowerOfTwo(), 1.5)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="no positive level, so it cannot store scales"):
        StoredScale(Codebook([-2.0, -1.0]))
    with pytest.raises(InvalidType, match="tensor must be a number or Amax"):
        StoredScale(E4M3, "amax")  # type: ignore[arg-type]


@pytest.mark.exhaustive
def test_af4_is_the_least_absolute_error_for_blocks_of_64() -> None:
    """Each level is the median of its cell in the law of X / M, 0 left aside (Yoshida 2023).

    For a Gaussian block of 64 and an X that is not its maximum M, P(0 < X / M < u) is an integral
    over the law of the other 63 values' maximum.
    """
    from scipy import integrate, stats

    def below(u: float) -> float:
        def integrand(m: float) -> float:
            half = stats.norm.cdf(m) - 0.5
            return 126 * (2 * half) ** 62 * stats.norm.pdf(m) * (stats.norm.cdf(u * m) - 0.5)

        panels = [integrate.quad(integrand, m, m + 1, epsabs=0, epsrel=1e-12) for m in range(1, 8)]
        return float(sum(value for value, _ in panels))

    levels = np.array(AF4.values)
    for side in (levels[levels > 0], -levels[levels < 0][::-1]):
        cuts = np.append(0.0, 0.5 * (side[:-1] + side[1:]))
        for level, low, high in zip(side[:-1], cuts[:-1], cuts[1:], strict=True):
            left, right = below(level) - below(low), below(high) - below(level)
            assert left == pytest.approx(right, rel=3e-7, abs=0)


@pytest.mark.parametrize(("typed", "meant"), [("affin", "affine"), ("alhpa=2", "alpha")])
def test_an_option_that_is_nearly_right(typed: str, meant: str) -> None:
    with pytest.raises(InvalidValue, match=f"did you mean {meant}"):
        parse_format(f"int4:g32:{typed}")
