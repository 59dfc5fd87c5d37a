"""The networks that there are, as a document."""

from qerror.exceptions import QErrorException
from qerror.pytorch.backends import BACKENDS
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


def backends_document() -> Document:
    """Return every backend preset with what it asks of a quantized network."""
    rows: list[Row] = [
        {
            "backend": name,
            "weights": str(each.weights),
            "activations": str(each.activations),
            "scale": "power of two" if each.power_of_two else "float",
            "graph": each.graph,
            "folds": each.folds,
            "first_last_bits": each.first_last_bits,
            "source": each.source,
        }
        for name, each in BACKENDS.items()
    ]
    header = ("backend", "weights", "activations", "scale", "graph", "folds")
    body = [
        (
            *(str(row[key]) for key in ("backend", "weights", "activations", "scale", "graph")),
            "yes" if row["folds"] else "no",
        )
        for row in rows
    ]
    notes = (
        "graph 1: the inputs of layers alone; 2: a block's input once, and one input of an "
        "addition; 3: every input of an addition",
        "Academic: first and last layer at 8 bits",
        f"source: {_source()}",
    )
    return Document(
        "network",
        {"study": "backends"},
        rows,
        [View("", header, body, tuple(range(6)), notes=notes)],
    )


def _source() -> str:
    return next(iter(BACKENDS.values())).source.split(";")[0]
