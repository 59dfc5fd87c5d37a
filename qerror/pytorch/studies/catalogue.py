"""The networks that there are, as a document."""

from qerror.exceptions import QErrorException
from qerror.pytorch.zoo import NETWORKS, Network
from qerror.reporting import Document, Row, View


def networks_document() -> Document:
    """Return every network, its measure, and whether what it needs is installed."""
    rows: list[Row] = []
    for name, network in NETWORKS.items():
        missing = _missing(network)
        rows.append(
            {
                "model": name,
                "measure": network.measure,
                "trained": network.trains,
                "installed": not missing,
                "missing": missing,
                "also": NETWORKS.aliases(name),
            }
        )
    header = ("network", "measure", "weights", "")
    body = [
        (
            str(row["model"]),
            str(row["measure"]),
            "trained here" if row["trained"] else "from a package",
            str(row["missing"] or ""),
        )
        for row in rows
    ]
    return Document("network", {"study": "list"}, rows, [View("", header, body, (0, 1, 2, 3))])


def _missing(network: Network) -> str | None:
    """Return what is to be installed before a network can be used, None if nothing is."""
    try:
        for each in network.needs:
            each.find()
    except QErrorException as error:
        return str(error)
    return None
