"""What the demo ends with: where to look, and as whom."""

from __future__ import annotations

from ops.demo.report.addresses import account_lines, url_lines
from ops.demo.report.summary import Summary
from ops.demo.services.demo_accounts import DemoAccount, new_password
from ops.demo.traffic.shops import SHOPS
from tests.kits.demo import accounts_in

OWNER = DemoAccount("owner", f"owner@{SHOPS[0].name}.example", new_password(), (SHOPS[0].name,))
ANALYST = DemoAccount("analyst", f"analyst@{SHOPS[1].name}.example", new_password(), (SHOPS[1].name,))
ADMIN = DemoAccount("admin", "admin@marketplace.example", new_password(), tuple(shop.name for shop in SHOPS[1:]))


def test_each_account_is_one_line_of_a_narrow_terminal_with_all_that_it_takes() -> None:
    lines = list(account_lines([OWNER, ANALYST, ADMIN]))
    assert all(len(line) <= 80 for line in lines), lines
    for line, account in zip(lines, (OWNER, ANALYST, ADMIN), strict=True):
        assert line.split()[:4] == [account.who, account.email, account.password, account.stores[0]]
    assert lines[2].endswith("berlin-bikes + 3 more")


def test_accounts_are_read_from_the_lines_as_they_were_written() -> None:
    assert accounts_in("\n".join(account_lines([OWNER, ANALYST, ADMIN]))) == {
        each.email: each.password for each in (OWNER, ANALYST, ADMIN)
    }


def test_urls_have_a_line_each_and_only_those_that_there_are() -> None:
    assert list(url_lines({"api": "http://a", "api_docs": "http://a/docs", "redis": "redis://r"})) == [
        "  API docs    http://a/docs",
        "  Redis       redis://r",
    ]


def test_passwords_differ_and_an_account_in_a_message_shows_none() -> None:
    assert len({new_password() for _ in range(200)}) == 200
    assert OWNER.password not in repr(OWNER)
    assert OWNER.password not in repr(Summary(accounts=[OWNER]))


def test_the_document_has_the_accounts_with_their_passwords() -> None:
    document = Summary(accounts=[OWNER], urls={"dashboard": "http://d"}).document()
    assert document["accounts"] == [
        {"who": "owner", "email": OWNER.email, "password": OWNER.password, "stores": OWNER.stores}
    ]
    assert document["urls"] == {"dashboard": "http://d"}
    empty = Summary().document()
    assert (empty["accounts"], empty["urls"]) == ([], {})
