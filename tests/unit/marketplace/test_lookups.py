"""What is declared is found by its name, and nothing else is."""

from __future__ import annotations

import pytest

from marketplace.flows import FLOWS, flow_named
from marketplace.rollups import DIMENSIONS, dimension
from marketplace.settings import Urls
from runtime.sections import URLS


def test_a_flow_is_found_by_its_name() -> None:
    assert [flow_named(flow.name) for flow in FLOWS] == list(FLOWS)
    assert flow_named("nothing") is None


def test_a_dimension_is_found_by_its_name() -> None:
    assert [dimension(each.name) for each in DIMENSIONS] == list(DIMENSIONS)


def test_a_dimension_that_is_none_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(KeyError) as refused:
        dimension("weather")

    assert "weather" in str(refused.value)
    assert all(each.name in str(refused.value) for each in DIMENSIONS)


def test_a_child_process_finds_each_url_under_the_setting_of_its_part() -> None:
    urls = Urls("broker:9092", "mongodb://m", "http://c", "redis://r", "http://connect")

    assert urls.environment() == {variable.name: getattr(urls, part) for part, variable in URLS.items()}
