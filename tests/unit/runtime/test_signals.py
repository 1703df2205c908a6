"""Signals as a real process meets them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from runtime.signals import StopRequest

WORK = """
from runtime.signals import stop_on_signals
stop = stop_on_signals()
print("ready", flush=True)
while not stop.wait(0.01):
    pass
print("finishing", flush=True)
input()
print("finished", flush=True)
"""
EVERYWHERE = """
import signal
import sys
from runtime.signals import stop_on_signals

def interrupted(at):
    instructions = 0
    stop = stop_on_signals()

    def follow(frame, event, _):
        nonlocal instructions
        frame.f_trace_opcodes = True
        if event == "opcode":
            instructions += 1
            if instructions == at:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return follow

    sys.settrace(follow)
    stop.wait(0.001)
    sys.settrace(None)
    assert instructions < at or (stop.asked() and stop.wait(0.0)), at
    return instructions >= at

at = 1
while interrupted(at):
    at += 1
print(at)
"""
SIGNALS = [signal.SIGTERM, signal.SIGINT]


@contextmanager
def working() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert said(process) == "ready"
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_lets_a_process_finish_what_it_has_begun(number: signal.Signals) -> None:
    with working() as process:
        process.send_signal(number)
        assert said(process) == "finishing"
        out, error = process.communicate("\n", timeout=10)

    assert (process.returncode, out, error) == (0, "finished\n", "")


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_the_second_signal_ends_it_at_once_and_without_a_traceback(
    first: signal.Signals, second: signal.Signals
) -> None:
    with working() as process:
        process.send_signal(first)
        assert said(process) == "finishing"
        process.send_signal(second)

        assert process.wait(10) == -second
        assert process.communicate() == ("", "")


def test_a_signal_between_any_two_instructions_of_a_wait_is_heard() -> None:
    done = subprocess.run([sys.executable, "-c", EVERYWHERE], capture_output=True, text=True, timeout=20, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 10


def test_all_who_wait_hear_of_a_request_once_it_is_made() -> None:
    stop = StopRequest()
    with ThreadPoolExecutor(3) as threads:
        waits = [threads.submit(stop.wait, 20) for _ in range(3)]
        stop.ask()
        assert [wait.result(10) for wait in waits] == [True] * 3


def test_a_request_is_made_without_a_signal_too() -> None:
    stop = StopRequest()
    assert [stop.asked(), stop.wait(0.0)] == [False, False]
    stop.ask()
    assert [stop.asked(), stop.wait(0.0)] == [True, True]
