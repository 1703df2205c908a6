"""The list of countries is that of ISO 3166-1, as the package tzdata has it."""

from __future__ import annotations

from importlib.resources import files

from marketplace.countries import COUNTRIES


def test_every_code_that_is_assigned_is_a_country_and_no_other_one() -> None:
    table = (files("tzdata") / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8")
    lines = [line for line in table.splitlines() if not line.startswith("#")]
    assert len(lines) > 200
    assert set(COUNTRIES) == {line.partition("\t")[0] for line in lines}


def test_every_country_has_a_name_of_its_own() -> None:
    assert all(name.strip() == name != "" for name in COUNTRIES.values())
    assert len(set(COUNTRIES.values())) == len(COUNTRIES)
