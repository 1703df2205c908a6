import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.progress import LEASE_SECONDS, Lease, Progress, ProgressPage, ProgressReport


@pytest.fixture
def page() -> Iterator[ProgressPage]:
    made = ProgressPage()
    yield made
    made.close()


def test_what_a_process_says_is_read_by_its_supervisor(page: ProgressPage) -> None:
    report = ProgressReport(page.fd)
    assert page.read() == Progress()
    report.beat(5.0, waiting="ClickHouse")
    report.decided(7)
    report.epoch()
    report.note("geography", "refused")
    found = page.read()
    assert (found.beats, found.epochs, found.records, found.waiting) == (4, 1, 7, "")
    assert found.notes == {"geography": "refused"}
    report.note("geography", "")
    assert page.read().notes == {}


def test_the_first_reason_to_leave_stands(page: ProgressPage) -> None:
    report = ProgressReport(page.fd)
    report.end("fenced", "generation 7 has taken over")
    report.end("unavailable", "the peer closed the connection")
    assert (page.read().ending, page.read().reason) == ("fenced", "generation 7 has taken over")


def test_a_long_reason_fits_the_page(page: ProgressPage) -> None:
    ProgressReport(page.fd).end("refused", "\N{SNOWMAN}" * 100_000)
    assert page.read().reason.startswith("\N{SNOWMAN}")


def test_the_longest_texts_and_any_number_of_notes_leave_a_document_that_can_be_read(page: ProgressPage) -> None:
    report = ProgressReport(page.fd)
    for number in range(50):
        report.note(f"note-{number}", "\x01" * 10_000)
    report.beat(waiting="\x01" * 10_000)
    report.end("refused", "\x01" * 10_000)
    found = page.read()
    assert (found.ending, set(found.reason), set(found.waiting)) == ("refused", {"\x01"}, {"\x01"})


def test_threads_that_report_at_once_lose_nothing() -> None:
    report = ProgressReport()

    def decide() -> None:
        for _ in range(2_000):
            report.decided(1)

    threads = [threading.Thread(target=decide) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert report.latest.records == 8_000


def test_nobody_has_to_read() -> None:
    report = ProgressReport()
    report.epoch()
    assert report.latest.epochs == 1


def test_a_document_that_is_being_written_is_never_read_in_half(page: ProgressPage) -> None:
    report, done = ProgressReport(page.fd), threading.Event()

    def write() -> None:
        while not done.is_set():
            report.beat(waiting="x" * (report.latest.beats % 500))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [page.read() for _ in range(2_000)]
    finally:
        done.set()
        writer.join()
    assert all(len(progress.waiting) == (max(progress.beats, 1) - 1) % 500 for progress in seen)
    assert [progress.beats for progress in seen] == sorted(progress.beats for progress in seen)


def test_a_frozen_process_hangs_when_its_lease_is_over_and_not_before(page: ProgressPage) -> None:
    code = (
        "import sys, time\nfrom runtime.progress import ProgressReport\n"
        "report = ProgressReport(int(sys.argv[1]))\nwhile True:\n    report.beat(30.0)\n    time.sleep(0.005)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(page.fd)], pass_fds=(page.fd,))
    try:
        deadline = time.monotonic() + 20
        while page.read().beats < 3:
            assert time.monotonic() < deadline
        os.kill(process.pid, signal.SIGSTOP)
        lease, frozen = Lease(0.0), page.read()
        lease.observe(frozen, 1.0)
        lease.observe(page.read(), 30.9)
        assert not lease.hangs(30.9)
        assert lease.hangs(31.1)
    finally:
        process.kill()
        process.wait()


@given(st.lists(st.tuples(st.floats(0, 60), st.booleans(), st.floats(1, 100)), max_size=30))
def test_a_process_hangs_exactly_when_it_was_silent_for_longer_than_it_said(
    steps: list[tuple[float, bool, float]],
) -> None:
    lease, now, progress = Lease(0.0, first_seconds=10.0), 0.0, Progress()
    said_at, allowed = 0.0, 10.0
    for seconds, beats, lease_seconds in steps:
        now += seconds
        if beats:
            progress = Progress(beats=progress.beats + 1, lease_seconds=lease_seconds)
            said_at, allowed = now, lease_seconds
        lease.observe(progress, now)
        assert lease.hangs(now) == (now - said_at > allowed)
        assert lease.silent_seconds(now) == now - said_at


def test_a_process_that_waits_beats_without_ending_epochs() -> None:
    lease, report = Lease(0.0), ProgressReport()
    report.epoch()
    lease.observe(report.latest, 1.0)
    for second in range(2, 100):
        report.beat(waiting="ClickHouse")
        lease.observe(report.latest, float(second))
    assert not lease.hangs(99.0)
    assert lease.standing_seconds(99.0) == 98.0
    assert lease.silent_seconds(99.0 + LEASE_SECONDS) == LEASE_SECONDS
