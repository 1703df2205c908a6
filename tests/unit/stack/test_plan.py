"""From what was asked for to what the supervisor is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ops.stack.plan import Plan
from ops.stack.process_spec import HealthCheck
from ops.stack.state.model import StackState, write_state
from runtime.ports import free_ports
from tests.kits.registry import WITH_ECHOES

ELSEWHERE = {"redis": "redis://elsewhere/0", "clickhouse": "http://elsewhere"}


def plan(*parts: str, external: Mapping[str, str] | None = None) -> Plan:
    return Plan("auto", None, frozenset(parts), external or {}, 90.0, registry=WITH_ECHOES)


def test_a_job_has_what_was_asked_for_and_says_what_was_left_out(tmp_path: Path) -> None:
    job = plan("redis", "echo").job(tmp_path)
    assert [spec.name for spec in job.specs] == ["redis", "echo"]
    assert set(job.ports) == {"redis", "echo"}
    assert job.left_out == ["kafka", "mongo", "clickhouse", "flow", "collector", "dashboard", "second_echo"]


def test_ports_of_what_is_left_out_are_kept_for_the_next_time(tmp_path: Path) -> None:
    redis, echo = free_ports(2)
    earlier = {"echo": echo, "second_echo": 1}
    job = plan("redis", "echo").job(tmp_path)
    write_state(
        tmp_path, StackState("stopped", 1, 1, 1, {"redis": redis}, job.urls, left_out=["echo"], earlier_ports=earlier)
    )
    again = plan("redis", "echo").job(tmp_path)
    assert again.ports == {"redis": redis, "echo": echo}
    assert again.earlier_ports == {"second_echo": 1}


def test_a_part_elsewhere_is_asked_with_a_query_and_its_url_is_what_services_get(tmp_path: Path) -> None:
    job = plan("clickhouse", "redis", "echo", external=ELSEWHERE).job(tmp_path)
    assert [(part.name, part.url) for part in job.external] == [
        ("clickhouse", ELSEWHERE["clickhouse"]),
        ("redis", ELSEWHERE["redis"]),
    ]
    assert job.external[0].check == HealthCheck("clickhouse sql")
    (echo,) = job.specs
    assert echo.environment["MARKETPLACE_REDIS_URL"] == ELSEWHERE["redis"]


def test_a_part_elsewhere_that_was_not_asked_for_is_not_looked_at(tmp_path: Path) -> None:
    assert plan("redis", external={"clickhouse": "http://elsewhere"}).job(tmp_path).external == []


def test_a_service_gets_no_url_of_a_part_that_is_not_in_the_stack(tmp_path: Path) -> None:
    (_, echo) = plan("redis", "echo").job(tmp_path).specs
    urls = [name for name in echo.environment if name.endswith("_URL")]
    assert urls == ["MARKETPLACE_REDIS_URL"]
