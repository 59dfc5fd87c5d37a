"""Bad input: exit code 2, one message that helps, nothing on stdout, no file."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run

T3 = "--dist student-t --nu 3"

CASES: list[tuple[str, list[str]]] = [
    # commands, options, arguments
    ("swep", ["no such command 'swep'", "did you mean sweep"]),
    ("xyz", ["no such command 'xyz'", "The commands are sweep, error, "]),
    ("sweep --dst gaussian", ["--dst", "--dist"]),
    (f"sweep {T3} extra", ["extra"]),
    ("show e4m3 e5m2", ["e5m2"]),
    ("formats x", ["x"]),
    ("show", ["FORMAT"]),
    ("error --dist gaussian", ["FORMAT"]),
    # densities
    ("sweep", ["--dist student-t --nu 3", "qerror densities"]),
    ("sweep --dist gausian", ["'gausian'", "did you mean gaussian", "qerror densities"]),
    ("sweep --dist gaussian(", ["'gaussian('", "student-t(nu=3)"]),
    ("sweep --dist __import__('os')", ["__import__"]),
    ("sweep --dist student-t", ["needs nu", "--nu", "student-t(nu=3)"]),
    ("sweep --dist generalized-gaussian", ["needs beta", "--beta"]),
    ("sweep --dist truncated --low 3", ["needs density", "truncated(student-t(nu=2)"]),
    ("sweep --dist student-t --nu 0", ["nu must be positive", "0"]),
    ("sweep --dist student-t --nu -1", ["nu must be positive", "-1"]),
    ("sweep --dist student-t --nu nan", ["nu must be finite", "nan"]),
    ("sweep --dist student-t --nu inf", ["nu must be finite", "inf"]),
    ("sweep --dist student-t --nu three", ["--nu", "three"]),
    ("sweep --dist gaussian --std 0", ["std must be positive", "0"]),
    ("sweep --dist gaussian --mean inf", ["mean must be finite", "inf"]),
    ("sweep --dist laplace --density-scale -2", ["scale must be positive", "-2"]),
    ("sweep --dist uniform --low 2 --high 1", ["low must be below high", "low=2", "high=1"]),
    ("sweep --dist mixture()", ["at least one"]),
    ("sweep --dist mixture(0.5*gaussian,0.6*laplace)", ["weights must sum to 1", "1.1"]),
    ("sweep --dist gaussian --nu 3", ["--nu", "'gaussian' takes mean, std"]),
    ("sweep --dist gaussian --dist laplace --beta 3", ["--beta", "mean, std", "loc, scale"]),
    ("sweep --dist student-t(nu=3) --nu 4", ["nu twice"]),
    ("error 4M3E --dist gaussian --dist laplace", ["one --dist", "got 2", "qerror sweep"]),
    ("error 4M3E", ["--dist"]),
    # formats
    (f"sweep {T3} --formats e4m9", ["'e4m9'", "did you mean", "qerror formats"]),
    (f"sweep {T3} --formats int8,,zzz", ["'zzz'", "qerror formats"]),
    (f"sweep {T3} --formats ,", ["no format given", "int8,4M3E"]),
    (f"sweep {T3} --formats int99", ["'int99'", "2..53", "99"]),
    (f"sweep {T3} --formats 60M3E", ["'60M3E'", "0..52", "60"]),
    ("show codebook:1,1", ["codebook:1,1", "must differ"]),
    ("show codebook:", ["at least one level"]),
    # the range
    ("error 4M3E --dist gaussian --scale 0", ["scale must be finite and positive", "0"]),
    ("error 4M3E --dist gaussian --scale -1", ["scale must be finite and positive", "-1"]),
    ("error 4M3E --dist gaussian --scale inf", ["scale must be finite and positive", "inf"]),
    ("error 4M3E --dist gaussian --scale nan", ["scale must be finite and positive", "nan"]),
    ("error 4M3E --dist gaussian --max-value 0", ["max_value must be positive", "0"]),
    ("error 4M3E --dist gaussian --bias nan", ["bias must be finite", "nan"]),
    ("error 4M3E --dist gaussian --bias 1e6", ["bias must lie in", "1000000"]),
    ("error int8 --dist gaussian --bias 3", ["INT8 has no exponent bias", "3", "--scale"]),
    ("error 4M3E --dist gaussian --bias 3 --scale 2", ["--scale and --bias", "--max-value"]),
    ("error 4M3E --dist gaussian --max-value 3 --scale 2", ["--scale and --max-value"]),
    ("error 4M3E --dist laplace --method closed-form", ["no closed form", "gaussian"]),
    ("error 4M3E --dist gaussian --method magic", ["magic", "closed-form"]),
    # sweeps
    ("sweep --dist gaussian --over std=1:2", ["'std=1:2'", "a range needs N", "LO:HI:N"]),
    ("sweep --dist gaussian --over std=1,2 --over std=3,4", ["--over is given 2 times"]),
    (f"sweep {T3} --formats int8 --formats int4", ["--formats is given 2 times"]),
    (f"sweep {T3} --nu 4", ["--nu is given 2 times"]),
    (f"sweep {T3} -o a.csv --output b.csv", ["-o/--output is given 2 times"]),
    ("optimize --bits 8 --dist laplace --over scale=1:2", ["density.scale", "quantizer's"]),
    ("sweep --dist laplace --over density.std=1,2", ["'density.std'", "density.scale"]),
    ("sweep --dist student-t --over nu", ["'nu'", "NAME=LO:HI:N"]),
    ("sweep --dist student-t --over nu=", ["'nu='", "no values", "NAME=LO:HI:N"]),
    ("sweep --dist student-t --over =1,2", ["'=1,2'", "NAME="]),
    ("sweep --dist student-t --over nu=3,2", ["'nu=3,2'", "must increase"]),
    ("sweep --dist student-t --over nu=2,2", ["must increase"]),
    ("sweep --dist student-t --over nu=3:2:5", ["LO must be below HI", "3 and 2"]),
    ("sweep --dist student-t --over nu=1:2:1", ["2..10000", "1"]),
    ("sweep --dist student-t --over nu=1:2:1e9", ["whole number", "1e9"]),
    ("sweep --dist student-t --over nu=0:2:3log", ["LO must be positive", "0"]),
    ("sweep --dist student-t --over nu=a,b", ["finite number"]),
    ("sweep --dist student-t --over nu=1,inf", ["finite number"]),
    ("sweep --dist student-t --over nu=-1,2", ["nu must be positive", "-1"]),
    ("sweep --dist student-t --over nuu=1,2", ["'nuu'", "did you mean nu", "max_value"]),
    ("sweep --dist gaussian --dist laplace --over std=1,2", ["'std'", "loc, density.scale"]),
    (f"sweep {T3} --over nu=1,2", ["--nu", "--over"]),
    ("sweep --dist gaussian --over bias=1,2", ["INT8", "bias", "scale"]),
    ("sweep --dist gaussian --over scale=-1,2", ["scale must be positive", "-1"]),
    # outputs
    (f"sweep {T3} -o no/where.csv", ["no/where.csv", "no folder"]),
    (f"sweep {T3} -o .", ["folder"]),
    (f"sweep {T3} -o x.xyz", ["'.xyz'", ".csv"]),
    (f"sweep {T3} -o x", ["no suffix", ".csv"]),
    (f"sweep {T3} -o x.csv --json", ["'json'", "'x.csv'", "contradicts"]),
    (f"sweep {T3} --json --format csv", ["--json", "--format csv"]),
    (f"sweep {T3} --format xml", ["xml", "markdown"]),
    (f"sweep {T3} --color blue", ["blue", "never"]),
    (f"sweep {T3} --plot x.gif", ["'.gif'", ".svg .png .pdf"]),
    (f"sweep {T3} --plot no/where.svg", ["no folder"]),
    (f"sweep {T3} --csv x.json", ["'x.json'", "--csv writes a .csv file"]),
    (f"sweep {T3} --csv x.txt", ["'x.txt'", "--csv writes a .csv file", "-o"]),
    (f"sweep {T3} --csv x", ["'x'", "--csv writes a .csv file"]),
    (f"sweep {T3} --plot a.png --csv a.csv", ["'a.csv' is named twice", "--force"]),
    (f"sweep {T3} --plot a.png -o a.csv", ["'a.csv' is named twice", "--plot", "-o"]),
    (f"sweep {T3} --plot a.png -o b.png", ["'.png'", "--plot"]),
    (f"sweep {T3} --csv x.csv -o x.csv", ["'x.csv' is named twice"]),
    (f"sweep {T3} --csv x.csv -o y.gif", ["'.gif'"]),
    ("show e4m3 -o x.gif", ["'.gif'"]),
]


@pytest.mark.parametrize(("line", "words"), CASES, ids=[line for line, _ in CASES])
def test_bad_input_ends_in_one_helpful_message(
    run: Run, tmp_path: Path, line: str, words: list[str]
) -> None:
    result = run(*line.split(" "))
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("Error:") == 1
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_output_is_found_before_the_density_is_read(run: Run) -> None:
    result = run("sweep", "--dist", "gausian", "-o", "no/where.csv")
    assert result.exit_code == 2
    assert "no folder" in result.stderr


def test_a_failed_command_leaves_the_old_file(run: Run, tmp_path: Path) -> None:
    old = tmp_path / "x.csv"
    old.write_text("precious")
    assert run("sweep", "--dist", "gaussian", "--over", "scale=-1,1", "-o", "x.csv").exit_code == 2
    assert old.read_text() == "precious"


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("pyarrow", ["-o", "x.parquet"]),
        ("matplotlib", ["--plot", "x.svg"]),
    ],
)
def test_a_missing_library_exits_1_with_the_command_that_installs_it(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    arguments: list[str],
) -> None:
    import sys

    for name in list(sys.modules):
        if name.startswith("qerror.plotting") or name.split(".")[0] == module:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    result = run("sweep", *T3.split(), *arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert f"pip install {module}" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails_exits_1_and_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", full)
    result = run("show", "e2m1", "-o", "x.json")
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []
