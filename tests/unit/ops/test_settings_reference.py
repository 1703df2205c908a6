"""The page of settings says what the code declares, and the code declares all that it reads."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from ops.reference.settings import SECTIONS, TARGET, reference

ROOT = Path(__file__).resolve().parents[3]
PRODUCT = ("marketplace", "connectors", "runtime", "flows", "ingest", "api", "saga_consumers", "dashboards", "ops")


def test_the_page_is_what_the_declarations_say() -> None:
    assert TARGET.read_text() == reference(), "run 'make reference'"


def test_every_variable_that_the_product_names_is_declared_once() -> None:
    declared = Counter(variable.name for section in SECTIONS for variable in section.variables)
    named = {
        name
        for package in PRODUCT
        for file in (ROOT / package).rglob("*.py")
        for name in re.findall(r"[\"'`]((?:MARKETPLACE|FLOW)_[A-Z0-9_]*[A-Z0-9])(?=[\"'`=])", file.read_text())
    }

    assert max(declared.values()) == 1
    assert len(named) > 30
    files = {variable.file_name for section in SECTIONS for variable in section.variables}
    assert named - set(declared) - files == set()
