"""The line of the page's work: one at a time, bounded, and left by those who have gone."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from residual_encoder.apps.web import limits

pytest.importorskip("starlette", reason="Starlette is not installed")


def test_the_line_is_bounded_and_one_at_a_time() -> None:
    async def crowd() -> list[Any]:
        line, inside, most = limits.Line(2), [], []
        lock = threading.Lock()

        def work() -> str:
            with lock:
                inside.append(1)
                most.append(len(inside))
            threading.Event().wait(0.02)
            with lock:
                inside.pop()
            return "done"

        answers = await asyncio.gather(*[line.run(work) for _ in range(8)], return_exceptions=True)
        assert max(most) == 1
        assert await line.run(work) == "done"
        return answers

    answers = asyncio.run(crowd())
    assert answers.count("done") == 3
    assert sum(isinstance(one, limits.Busy) for one in answers) == 5


def test_who_has_gone_leaves_the_line() -> None:
    """Work that nobody waits for is not begun, and takes no place of others."""

    async def crowd() -> list[Any]:
        line, begun, left, may_end = limits.Line(3), [], asyncio.Event(), threading.Event()

        def work(name: str) -> str:
            begun.append(name)
            assert may_end.wait(60)
            return name

        async def gone() -> None:
            await left.wait()

        async def stays() -> None:
            await asyncio.Event().wait()

        first = asyncio.create_task(line.run(work, "begun", gone=gone))
        while not begun:
            await asyncio.sleep(0.001)
        abandoned = [asyncio.create_task(line.run(work, "late", gone=gone)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(limits.Busy):
            await line.run(work, "too many")
        left.set()
        ends = await asyncio.gather(*abandoned, return_exceptions=True)
        assert [type(end) for end in ends] == [limits.Gone] * 3
        others = [asyncio.create_task(line.run(work, "other", gone=stays)) for _ in range(3)]
        await asyncio.sleep(0)
        may_end.set()
        assert await asyncio.gather(first, *others) == ["begun", *["other"] * 3]
        return begun

    assert asyncio.run(crowd()) == ["begun", "other", "other", "other"]


def test_a_request_tells_that_its_visitor_has_gone() -> None:
    from starlette.requests import Request

    from residual_encoder.apps.web import answers, routes

    sent = [{"type": "http.request", "body": b"{}"}, {"type": "http.disconnect"}]

    async def asked() -> int:
        async def receive() -> dict[str, Any]:
            return sent.pop(0)

        request = Request({"type": "http", "method": "POST", "headers": []}, receive)

        @answers.answering
        async def handler(site: Any, request: Request) -> Any:
            line = limits.Line()
            await line._lock.acquire()  # somebody else's turn
            await line.run(pytest.fail, gone=lambda: routes._left(request))

        return (await handler(None, request)).status_code

    assert asyncio.run(asked()) == 400 and not sent
