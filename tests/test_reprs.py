"""What a session shows of a result: one line, and a table where there are rows."""

import numpy as np

import qerror


def test_results_fit_a_line() -> None:
    best = qerror.optimal_scale("4M3E", "gaussian")
    assert repr(best) == (
        "<OptimalScale of 4M3E on gaussian: max_value=5.1059, scale=0.329413, bias=5.60203, "
        f"sqnr_db=37.5647; {len(best.local_minima)} local minima>"
    )
    assert best._repr_html_().count("<tr>") == 1 + len(best.local_minima)
    choice = qerror.compare_ranges("int8", "gaussian")[0]
    assert repr(choice) == (
        "<RangeChoice by best scale: max_value=3.9205, scale=0.0308701, sqnr_db=40.54, loss_db=0>"
    )
    codes = qerror.lloyd_max("gaussian", 4)
    assert repr(codes) == (
        "<LloydMax: 4 levels from -1.51042 to 1.51042, mse=0.117482, sqnr_db=9.30029>"
    )


def test_reports_show_four_figures() -> None:
    blocks = qerror.quantization_error("nvfp4", "gaussian")
    assert repr(blocks).startswith(f"BlockErrorReport(mse={blocks.mse:.6g}, rounding=")
    assert repr(blocks).endswith(f", sqnr_db={blocks.sqnr_db:.6g})")
    assert repr(blocks).count("=") == 4
    scalar = qerror.quantization_error("int8", "gaussian", scale=0.02)
    assert repr(scalar).startswith(f"ErrorReport(mse={scalar.mse:.6g}, ")


def test_a_verdict() -> None:
    rng = np.random.default_rng(5)
    check = qerror.cross_check("int8", "gaussian", scale=0.02, size=10_000, rng=rng)
    assert repr(check).startswith("<CrossCheck passed: ")
    assert "on 10,000 samples, largest |z| " in repr(check)
    assert check._repr_html_().count("<tr>") == 1 + len(check.judgements)


def test_no_best_range() -> None:
    none = qerror.optimal_scale("int8", "student-t(nu=2)")
    assert "max_value=nan, scale=nan, sqnr_db=nan, at_edge; 0 local minima" in repr(none)
