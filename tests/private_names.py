"""A contract for import-linter: what begins with an underscore stays in its own room."""

import ast
from pathlib import Path
from typing import Any

from importlinter import Contract, ContractCheck, output

_PACKAGES = {"qerror", "qerror_cli"}
_FREE = {"_arrays", "_later"}  # helpers at the root, a floor of their own


class PrivateNames(Contract):
    """No room imports a module or a name of another room that begins with an underscore."""

    type_name = "private_names"

    def check(self, graph: Any, verbose: bool) -> ContractCheck:
        """Look at every import statement of the packages."""
        del verbose
        roots = sorted(
            {module.partition(".")[0] for module in graph.modules} & {"qerror", "qerror_cli"}
        )
        broken = sorted(line for root in roots for line in violations(_folder(root), root))
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each import."""
        for line in check.metadata["broken"]:
            output.print_error(line)


def violations(folder: Path, package: str) -> list[str]:
    """Return the imports below `folder`, the package's, that reach into another room."""
    found: list[str] = []
    for path in sorted(folder.rglob("*.py")):
        room = (package, *path.relative_to(folder).with_suffix("").parts)[:2]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found += [
                    f"{path.relative_to(folder.parent)}:{node.lineno}: {node.module}.{alias.name}"
                    for alias in node.names
                    if _is_foreign((*node.module.split("."), alias.name), room)
                ]
    return found


def _is_foreign(name: tuple[str, ...], room: tuple[str, ...]) -> bool:
    """Tell whether a dotted name is another room's own."""
    if name[0] not in {"qerror", "qerror_cli"} or name[:2] == room:
        return False
    return any(
        part.startswith("_") and not part.startswith("__") for part in name[1:] if part not in _FREE
    )


def _folder(package: str) -> Path:
    root = Path(__file__).parents[1]
    return root / package if package == "qerror" else root / "cli" / package
