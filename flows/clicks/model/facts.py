"""Accepted events, with what their sessions, their numbers and the flow's memory need of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from flows.arrays.types import I32, I64, U8, U64, Bools
from flows.clicks.model.columns import Columns
from flows.clicks.model.encoded_column import EncodedColumn
from marketplace.clicks.outcomes import OUTCOMES, REFIRE, Outcome

OUTCOME_NAMES: Final = [outcome.name for outcome in OUTCOMES]


def outcome_code(outcome: Outcome | str) -> int:
    """What stands for an outcome, or its name, in arrays."""
    return OUTCOME_NAMES.index(outcome if isinstance(outcome, str) else outcome.name)


_REFIRE: Final = outcome_code(REFIRE)


@dataclass(frozen=True)
class Facts:
    """Accepted events of a batch in order of arrival, decided just now or read back.

    Attributes:
        stores: Slugs.
        imported: Which come from an access log.
        key, dedupe_hour: By which copies are recognised.
        visitor: 64-bit visitor ids.
        pair: Hashes of visitor and target.
        received_ms, occurred_ms: Epoch milliseconds; the second is corrected.
        outcome: Codes of outcomes.
        is_bot: 0 or 1.
        is_view: Which are page views.
        codes: Codes, one column per enrichment.
    """

    stores: EncodedColumn
    imported: Bools
    key: U64
    dedupe_hour: I64
    visitor: U64
    pair: U64
    received_ms: I64
    occurred_ms: I64
    outcome: U8
    is_bot: U8
    is_view: Bools
    codes: I32

    def __len__(self) -> int:
        return len(self.key)

    @staticmethod
    def concat(parts: Sequence[Facts]) -> Facts:
        """Facts of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        arrays = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Facts)[1:]}
        return Facts(EncodedColumn.concat([part.stores for part in parts]), **arrays)

    @property
    def refire(self) -> Bools:
        """Which repeat an event instead of being one."""
        return np.asarray(self.outcome == _REFIRE, dtype=np.bool_)

    @property
    def counts(self) -> I32:
        """For each event a one in one of three columns: page views, actions, re-fires."""
        refire = self.refire
        return np.stack((self.is_view & ~refire, ~self.is_view & ~refire, refire), axis=1).astype(np.int32)


@dataclass(frozen=True)
class Details:
    """What else the fact table keeps of events that were decided just now."""

    columns: Columns
    bot_reasons: EncodedColumn
    bot_kind: EncodedColumn
    time_note: EncodedColumn

    @staticmethod
    def concat(parts: Sequence[Details]) -> Details:
        """Details of all parts, in order."""
        return Details(
            Columns.concat([part.columns for part in parts]),
            EncodedColumn.concat([part.bot_reasons for part in parts]),
            EncodedColumn.concat([part.bot_kind for part in parts]),
            EncodedColumn.concat([part.time_note for part in parts]),
        )
