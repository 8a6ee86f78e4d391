"""The app in Firefox, driven by WebDriver BiDi, which it speaks itself: curves, a zoom and the way back, without an error."""

import asyncio
import json
import shutil
import subprocess
import time
from contextlib import asynccontextmanager

import pytest

from tests.app.browser import serving

FIREFOX = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
PATIENCE_S = 60

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(FIREFOX is None, reason="Firefox is not installed (Debian: apt-get install firefox-esr)"),
]


class Page:
    """One page of Firefox: commands and their answers, and the errors that it logged."""

    def __init__(self, socket):
        self.socket, self.sent, self.errors, self.context = socket, 0, [], ""

    async def command(self, method: str, **parameters):
        self.sent += 1
        await self.socket.write_message(json.dumps({"id": self.sent, "method": method, "params": parameters}))
        while True:
            answer = json.loads(await self.socket.read_message())
            if answer.get("method") == "log.entryAdded" and answer["params"]["level"] == "error":
                self.errors.append(answer["params"]["text"])
            if answer.get("id") == self.sent:
                assert answer["type"] == "success", answer
                return answer["result"]

    async def ask(self, expression: str):
        said = await self.command(
            "script.evaluate", expression=f"JSON.stringify({expression})", target={"context": self.context}, awaitPromise=True
        )  # fmt: skip
        return json.loads(said["result"].get("value", "null"))

    async def until(self, expression: str):
        end = time.monotonic() + PATIENCE_S
        while not await self.ask(f"!!({expression})"):
            assert time.monotonic() < end, expression
            await asyncio.sleep(0.3)

    async def mouse(self, *actions):
        pointer = {"type": "pointer", "id": "mouse", "actions": list(actions)}
        await self.command("input.performActions", context=self.context, actions=[pointer])


@asynccontextmanager
async def firefox(profile):
    from tornado.websocket import websocket_connect

    command = [FIREFOX, "--headless", "--remote-debugging-port=0", "--profile", str(profile), "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        place = next(line.split()[-1] for line in process.stderr if "WebDriver BiDi listening on" in line)
        page = Page(await websocket_connect(f"{place}/session", max_message_size=1 << 28))
        await page.command("session.new", capabilities={})
        await page.command("session.subscribe", events=["log.entryAdded"])
        page.context = (await page.command("browsingContext.getTree"))["contexts"][0]["context"]
        await page.command("browsingContext.setViewport", context=page.context, viewport={"width": 1440, "height": 900})
        yield page
    finally:
        process.terminate()
        process.wait(20)


CHART = "document.querySelector('[data-testid=stVegaLiteChart]')"


async def look(address: str, profile) -> list[str]:
    async with firefox(profile) as page:
        await page.command("browsingContext.navigate", context=page.context, url=f"{address}?open=divergence", wait="complete")  # fmt: skip
        await page.until(f"{CHART}?.querySelector('canvas')?.height > 300")
        await asyncio.sleep(2)  # until it stands still
        assert "too high" in await page.ask("document.querySelector('[aria-label=verdict]').innerText")
        box = await page.ask(f"{CHART}.getBoundingClientRect()")

        def to(share, duration=0):
            x, y = int(box["x"] + share * box["width"]), int(box["y"]) + 250
            return {"type": "pointerMove", "x": x, "y": y, "duration": duration}

        down, up = ({"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp"))
        await page.mouse(to(0.3), down, to(0.45, 200), to(0.6, 200), up)
        await page.until("location.search.includes('steps=')")
        await asyncio.sleep(2)
        await page.mouse(to(0.5), down, up, down, up)
        await page.until("!location.search.includes('steps=')")
        return page.errors


def test_curves_are_drawn_zoomed_by_a_drag_and_back_by_a_double_click(tmp_path):
    with serving() as address:
        assert asyncio.run(look(address, tmp_path)) == []
