"""Money: a whole number of minor units of an ISO 4217 currency; it is never a float."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_NO_DECIMALS: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_TWO_DECIMALS: Final = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP "
    "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
    "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN "
    "NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
    "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW ZWG"
)
_THREE_DECIMALS: Final = "BHD IQD JOD KWD LYD OMR TND"

EXPONENTS: Final[Mapping[str, int]] = {
    code: exponent
    for exponent, codes in ((0, _NO_DECIMALS), (2, _TWO_DECIMALS), (3, _THREE_DECIMALS))
    for code in codes.split()
}
"""Decimals of each currency (ISO 4217, table A.1, without funds and metals)."""

MAX_MINOR: Final = 10**11
"""The highest amount: sums of a hundred thousand of them still fit into 64 bits, and into a float without loss."""

_SYMBOLS: Final[Mapping[str, str]] = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹"}
_AMOUNT: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,3}))?", re.ASCII)


class InvalidMoney(ValueError):
    """A currency or an amount is not valid; the message says why."""


def exponent_of(currency: str) -> int:
    """How many decimals a currency has.

    Raises:
        InvalidMoney: It is no currency of ISO 4217.
    """
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise InvalidMoney(f"currency {currency!r}: give a code of ISO 4217, such as EUR") from None


def checked_minor(minor: int) -> int:
    """Check an amount in minor units.

    Raises:
        InvalidMoney: It is negative or too high.
    """
    if not 0 <= minor <= MAX_MINOR:
        raise InvalidMoney(f"an amount is between 0 and {MAX_MINOR} minor units")
    return minor


def minor_of(text: str, currency: str) -> int:
    """The minor units of an amount that is written with a decimal point, such as ``12.50``.

    Args:
        text: Digits, and at most as many decimals as the currency has.
        currency: A code of ISO 4217.

    Raises:
        InvalidMoney: It is no amount of that currency: nothing is rounded.
    """
    exponent = exponent_of(currency)
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or len(found[2] or "") > exponent:
        example = plain_amount(1250, currency)
        raise InvalidMoney(f"amount {text[:40]!r}: give it with a decimal point, such as {example}")
    return checked_minor(int(found[1] + (found[2] or "").ljust(exponent, "0")))


def plain_amount(minor: int, currency: str) -> str:
    """An amount with a decimal point and all its decimals, for machines; :func:`minor_of` reads it back."""
    exponent = exponent_of(currency)
    sign, digits = "-" if minor < 0 else "", str(abs(minor)).rjust(exponent + 1, "0")
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else f"{sign}{digits}"


def shown_amount(minor: int, currency: str) -> str:
    """An amount for people: ``€1,250.00``, ``CHF 12.50``, ``¥1,250``, ``KWD 1.250``."""
    whole, dot, decimals = plain_amount(abs(minor), currency).partition(".")
    symbol = _SYMBOLS.get(currency, f"{currency} ")
    # A space that does not break keeps the amount on one line.
    sign = "\N{MINUS SIGN}" if minor < 0 else ""
    return f"{sign}{symbol}{int(whole):,}{dot}{decimals}".replace(" ", "\N{NO-BREAK SPACE}")
