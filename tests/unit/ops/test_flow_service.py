"""What the service of a flow is started with."""

from __future__ import annotations

import pytest

from ops.flow_service import main


@pytest.mark.parametrize("arguments", [[], ["klicks"], ["clicks", "dead_letters"]], ids=["none", "unknown", "two"])
def test_a_service_without_the_name_of_one_flow_ends_and_names_them(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == "the argument is the name of a flow: clicks or dead_letters\n"
