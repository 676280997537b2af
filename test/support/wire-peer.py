# Clients made with Debian's python3-websockets, as many as are asked for: each line on stdin is JSON,
# {"id", "open": url, "deflate"} or {"id", "close": code}; each line on stdout tells of one of them:
# {"id", "open"}, {"id", "came": [kind, bytes in base64, or their SHA-256 if they are many]}, {"id", "closed": [code, reason]}.
import asyncio
import base64
import hashlib
import json
import ssl
import sys

import websockets
from websockets.frames import OP_PING, OP_PONG

INLINE = 256

sockets = {}


def tell(**what):
    print(json.dumps(what), flush=True)


class Observed(websockets.WebSocketClientProtocol):
    """Tells of messages and of control frames where they are read: recv() would hide their order."""

    def came(self, kind, data):
        few = len(data) <= INLINE
        body = base64.b64encode(data).decode() if few else hashlib.sha256(data).hexdigest()
        tell(id=self.name, came=[kind, len(data), body])

    async def read_frame(self, max_size):
        frame = await super().read_frame(max_size)
        if frame.opcode in (OP_PING, OP_PONG):
            self.came('ping' if frame.opcode == OP_PING else 'pong', frame.data)
        return frame

    async def read_message(self):
        message = await super().read_message()
        if message is not None:
            text = isinstance(message, str)
            self.came('text' if text else 'binary', message.encode() if text else message)
        return message


async def run(name, url, deflate):
    context = None
    if url.startswith('wss:'):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE

    def make(*args, **kwargs):
        made = Observed(*args, **kwargs)
        made.name = name
        return made

    try:
        socket = await websockets.connect(
            url, create_protocol=make, ssl=context, compression='deflate' if deflate else None,
            max_size=None, ping_interval=None, close_timeout=5)
    except Exception as error:
        tell(id=name, closed=[0, repr(error)])
        return
    sockets[name] = socket
    tell(id=name, open=True)
    try:
        async for _ in socket:
            pass
    except websockets.ConnectionClosed:
        pass
    await socket.wait_closed()
    tell(id=name, closed=[socket.close_code, socket.close_reason])
    del sockets[name]


async def main():
    tasks = set()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = json.loads(line)
        if 'open' in order:
            task = run(order['id'], order['open'], order['deflate'])
        else:
            task = sockets[order['id']].close(order['close'])
        task = asyncio.create_task(task)
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
