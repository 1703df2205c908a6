"""``python -m ops.reference.metrics``: writes docs/reference/metrics.md from the catalogue; a test checks it."""

from __future__ import annotations

from pathlib import Path

from marketplace.metrics import METRICS

TARGET = Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md"
_HEAD = """# Metrics

Written by `make reference` from the catalogue, `marketplace/metrics.py`; no process exposes any other metric. Labels
have bounded sets of values: never a store, an address or a path. The collector and the REST API serve `/metrics` on
their admin ports, a flow's service, the relay and the consumers on their own: [which port is whose](services.md), and
[where a deployment is scraped](../how-to/deploy.md#metrics).
"""


def reference() -> str:
    """The page as Markdown."""
    text = _HEAD
    for process, metrics in METRICS.items():
        text += f"\n## Of {process}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n"
        for spec in metrics:
            labels = ", ".join(f"`{label}`" for label in spec.labels)
            text += f"| `{spec.sample}` | {spec.kind} | {labels} | {spec.text} |\n"
    return text


if __name__ == "__main__":
    TARGET.write_text(reference())
