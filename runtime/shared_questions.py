"""One question for all who ask at the same time: what each costs a part is shared by many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

AT_ONCE: Final = 4
MOST_KEYS: Final = 200

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class SharedQuestions(Generic[_Key, _Value]):
    """Answers by key, for one event loop. The fewer questions are under way, the fewer keys each has to wait with.

    A key is never in a question that was sent before it was asked for, so no answer is older than its asking.

    Args:
        ask: Answers for some keys; a value that is an error is raised to who asked for that key, and a key without a
            value has none. What it raises is raised to all.
        at_once: Questions under way.
        most_keys: Of one question.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[_Key]], Coroutine[Any, Any, Mapping[_Key, _Value | Exception]]],
        at_once: int = AT_ONCE,
        most_keys: int = MOST_KEYS,
    ) -> None:
        self._ask, self._at_once, self._most_keys = ask, at_once, most_keys
        self._waiting: dict[_Key, asyncio.Future[_Value | None]] = {}
        self._under_way = 0
        # A task that nobody refers to may be collected before it is done.
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, key: _Key) -> _Value | None:
        """The value of a key, or None.

        Raises:
            Exception: What the question raises, or has for this key.
        """
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
            # If whoever waits goes away, an error is raised to nobody.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            if self._under_way < self._at_once:
                self._under_way += 1
                task = asyncio.create_task(self._send())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(future)

    async def _send(self) -> None:
        try:
            while self._waiting:
                await self._send_some()
        finally:
            # In the same step that saw that nobody waits. A callback of the task would be called some steps later, and
            # whoever came in between would wait for a task that sends nothing more.
            self._under_way -= 1

    async def _send_some(self) -> None:
        keys = list(self._waiting)[: self._most_keys]
        futures = {key: self._waiting.pop(key) for key in keys}
        try:
            found = await self._ask(keys)
        except Exception as error:  # raised to all who asked
            found = dict.fromkeys(keys, error)
        except BaseException:
            for future in futures.values():
                future.cancel()
            raise
        for key, future in futures.items():
            value = found.get(key)
            if isinstance(value, Exception):
                future.set_exception(value)
            else:
                future.set_result(value)
