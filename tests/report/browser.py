"""A page in headless Chromium, by the DevTools protocol; tests skip where there is none."""
import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
OPTIONS = (
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
    '--no-first-run', '--disable-dev-shm-usage', '--remote-debugging-port=0',
)  # fmt: skip
DRAWN = """
(() => {
  const places = [...document.querySelectorAll('.figure')];
  const canvases = (node) => [...node.querySelectorAll('*')].flatMap((n) =>
    [...(n.tagName === 'CANVAS' ? [n] : []), ...(n.shadowRoot ? canvases(n.shadowRoot) : [])]);
  const inked = (c) => c.width && c.height &&
    c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v);
  return places.map((place) => canvases(place).some(inked));
})()
"""
"""For each place of a figure, whether there is ink on a canvas of it."""


class Browser:
    """One page, opened; what its console says is kept.

    Attributes:
        errors: messages of exceptions, of console.error and of resources that were not found.
        requests: addresses that the page asked for.
    """

    def __init__(self, page: Path, width: int = 1200, height: int = 900, dark: bool = False):
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._page, self._size, self._dark = page, (width, height), dark
        self._number = 0

    def __enter__(self) -> 'Browser':
        program = next((path for name in NAMES if (path := shutil.which(name))), None)
        if program is None:
            pytest.skip(f'no browser is installed: none of {", ".join(NAMES)}')
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [program, *OPTIONS, f'--user-data-dir={self._folder.name}', 'about:blank'],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._loop = asyncio.new_event_loop()
        try:
            self._loop.run_until_complete(self._open())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._loop.close()
        self._folder.cleanup()

    async def _open(self) -> None:
        from tornado.httpclient import AsyncHTTPClient
        from tornado.websocket import websocket_connect

        port_file = Path(self._folder.name, 'DevToolsActivePort')
        until = time.monotonic() + 60
        while not (port_file.is_file() and port_file.read_text().strip()):
            assert self._process.poll() is None, 'the browser has ended'
            assert time.monotonic() < until, 'the browser has not started within a minute'
            await asyncio.sleep(0.1)
        port = port_file.read_text().split()[0]
        answer = await AsyncHTTPClient().fetch(f'http://127.0.0.1:{port}/json')
        target = next(t for t in json.loads(answer.body) if t['type'] == 'page')
        self._socket = await websocket_connect(
            target['webSocketDebuggerUrl'], max_message_size=2**28
        )
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            await self._send(f'{domain}.enable')
        width, height = self._size
        await self._send('Emulation.setDeviceMetricsOverride', width=width, height=height,
                         deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        scheme = 'dark' if self._dark else 'light'
        await self._send('Emulation.setEmulatedMedia',
                         features=[dict(name='prefers-color-scheme', value=scheme)])  # fmt: skip
        await self._send('Page.navigate', url=self._page.absolute().as_uri())
        while not await self._evaluate('document.body && document.body.dataset.figures'):
            assert time.monotonic() < until, f'the figures are not drawn: {self.errors}'
            await asyncio.sleep(0.2)
        # Bokeh paints in the frames after a view is built
        while not all(await self._evaluate(DRAWN)) and time.monotonic() < until:
            await asyncio.sleep(0.2)

    async def _send(self, method: str, **params: object) -> dict:
        self._number += 1
        await self._socket.write_message(
            json.dumps(dict(id=self._number, method=method, params=params))
        )
        while True:
            message = json.loads(await self._socket.read_message())
            self._listen(message)
            if message.get('id') == self._number:
                assert 'error' not in message, message
                return message['result']

    def _listen(self, message: dict) -> None:
        method, params = message.get('method'), message.get('params', {})
        if method == 'Runtime.exceptionThrown':
            self.errors.append(json.dumps(params['exceptionDetails']))
        elif method == 'Runtime.consoleAPICalled' and params['type'] in ('error', 'assert'):
            self.errors.append(json.dumps(params['args']))
        elif method == 'Log.entryAdded' and params['entry']['level'] == 'error':
            self.errors.append(params['entry']['text'])
        elif method == 'Network.requestWillBeSent':
            self.requests.append(params['request']['url'])

    async def _evaluate(self, expression: str) -> object:
        answer = await self._send('Runtime.evaluate', expression=expression, returnByValue=True)
        assert 'exceptionDetails' not in answer, answer
        return answer['result'].get('value')

    def evaluate(self, expression: str) -> object:
        """The value of a JavaScript expression in the page."""
        return self._loop.run_until_complete(self._evaluate(expression))

    def screenshot(self, out: Path, whole: bool = False) -> None:
        """A PNG of what is seen, or of the whole page."""
        options = {}
        if whole:
            width, height = self.evaluate(
                '[document.documentElement.scrollWidth, document.documentElement.scrollHeight]'
            )
            options = dict(captureBeyondViewport=True,
                           clip=dict(x=0, y=0, width=width, height=height, scale=1))  # fmt: skip
        answer = self._loop.run_until_complete(self._send('Page.captureScreenshot', **options))
        out.write_bytes(base64.b64decode(answer['data']))
