"""What a network of integers says of images."""

from qerror.integer.arithmetic import Integers
from qerror.reporting._document import Document, Row, View

_MOST = 20  # images that a table shows


def classes_document(logits: Integers) -> Document:
    """Return the class of each image with its logit and the runner-up's, all of them integers."""
    order = logits.argsort(axis=1, kind="stable")[:, ::-1]
    first = logits.argmax(1)
    rows: list[Row] = [
        {
            "image": i,
            "class": int(first[i]),
            "logit": int(logits[i, first[i]]),
            "runner_up": int(next((k for k in order[i] if k != first[i]), first[i])),
        }
        for i in range(len(logits))
    ]
    body = [tuple(str(row[key]) for key in row) for row in rows[:_MOST]]
    left_out = len(rows) - len(body)
    notes = (f"{left_out:,} more are in the JSON output",) if left_out else ()
    header = ("image", "class", "logit", "runner-up")
    return Document("integer-run", {}, rows, [View("", header, body, (), notes)])
