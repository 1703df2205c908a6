from hypothesis import given
from hypothesis import strategies as st

from flows.delivery.batch_limit import FIRST_RECORDS, LEAST_RECORDS, TARGET_SECONDS, BatchLimit


def test_ordinary_batches_grow_to_the_largest_size() -> None:
    limit = BatchLimit(50_000)
    sizes = []
    for _ in range(6):
        sizes.append(limit.records)
        limit.observe(limit.records, limit.records * 13e-6)
    assert sizes == [5_000, 10_000, 20_000, 40_000, 50_000, 50_000]


def test_small_batches_say_nothing_about_large_ones() -> None:
    limit = BatchLimit(50_000)
    for _ in range(100):
        limit.observe(10, 0.001)
    assert limit.records == FIRST_RECORDS


def test_a_start_is_small_enough_for_the_most_expensive_records() -> None:
    assert FIRST_RECORDS * 2e-3 <= 10.0


@given(st.floats(1e-6, 5e-3), st.integers(1, 200_000))
def test_whatever_a_record_costs_batches_soon_take_no_longer_than_they_should(cost: float, most: int) -> None:
    limit = BatchLimit(most)
    for _ in range(20):
        limit.observe(limit.records, limit.records * cost)
    assert limit.records * cost <= TARGET_SECONDS * 1.01 or limit.records <= LEAST_RECORDS
    assert 1 <= limit.records <= most
