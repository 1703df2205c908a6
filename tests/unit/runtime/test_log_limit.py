import logging

from runtime.log_limit import RepeatLimit


class Written:
    def __init__(self, most: int = 3, interval_seconds: float = 60.0) -> None:
        self.now = 0.0
        self.limit = RepeatLimit(most, interval_seconds, lambda: self.now)
        self.lines: list[str] = []

    def log(self, message: str, *args: object, name: str = "a", level: int = logging.WARNING) -> None:
        record = logging.LogRecord(name, level, "", 0, message, args, None)
        if self.limit.filter(record):
            self.lines.append(record.getMessage())


def test_lines_of_one_kind_are_bounded_whatever_their_arguments() -> None:
    written = Written()
    for number in range(100):
        written.log("request %d failed", number)
    assert written.lines == ["request 0 failed", "request 1 failed", "request 2 failed"]


def test_the_next_interval_says_how_many_were_not_written() -> None:
    written = Written()
    for number in range(100):
        written.log("request %d failed", number)
    written.now = 60.0
    written.log("request %d failed", 100)
    assert written.lines[-1] == "request 100 failed (97 more like it were not written)"


def test_other_kinds_are_not_held_back_by_a_loud_one() -> None:
    written = Written(most=1)
    for _ in range(10):
        written.log("loud")
    written.log("quiet")
    written.log("loud", name="b")
    written.log("loud", level=logging.ERROR)
    assert written.lines == ["loud", "quiet", "loud", "loud"]
