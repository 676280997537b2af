# A client made with Debian's python3-websockets. Told "block", it sleeps for a second where its event loop runs.
import asyncio
import sys
import time

import websockets


async def main():
    async with websockets.connect(sys.argv[1]) as socket:
        async for message in socket:
            if message == 'block':
                time.sleep(1)


print(websockets.__version__, flush=True)
asyncio.run(main())
