"""How the runner of a flow meets parts that are away."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from connectors.errors import Unavailable
from flows.delivery.process_set import FlowOptions, FlowProcessSet
from marketplace.flows import CLICKS_FLOW
from marketplace.settings import Urls
from runtime.sections import Settings


class Runner(FlowProcessSet):
    """One whose first start finds a part away, after it may have fenced the flow before it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(CLICKS_FLOW, Settings(Urls("", "", "", ""), PurePosixPath(folder)), FlowOptions())
        self.starts = 0
        self.watched = False

    def start(self) -> None:
        self.starts += 1
        if self.starts == 1:
            raise Unavailable("ClickHouse is still working on 1 inserts")

    def watch(self) -> None:
        self.watched = True


def test_a_start_that_finds_a_part_away_is_tried_again_instead_of_leaving_nobody_to_count(tmp_path: Path) -> None:
    runner = Runner(tmp_path)

    runner.run(lambda: runner.watched)

    assert runner.starts == 2
