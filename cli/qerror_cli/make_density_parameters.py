"""Write density_parameters.json from the registry: python -m qerror_cli.make_density_parameters."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from qerror.densities import DENSITIES
from qerror.storage import write_atomically


def as_registered() -> dict[str, list[str]]:
    """Return every number that a registered density takes, with the densities that take it."""
    takers: dict[str, list[str]] = {}
    for name, family in sorted(DENSITIES.items()):
        make: Any = family.make
        for field in dataclasses.fields(make) if dataclasses.is_dataclass(make) else ():
            if field.type in {float, "float"}:
                takers.setdefault(field.name, []).append(name)
    return takers


if __name__ == "__main__":
    text = json.dumps(as_registered(), indent=2)
    write_atomically(Path(__file__).with_name("density_parameters.json"), f"{text}\n".encode())
