# A client made with Debian's python3-websockets, as other people's clients are: it connects, says
# "open", and leaves as the next line on its stdin tells it: `close CODE REASON`, or waits to be killed.
import asyncio
import sys

import websockets


async def main():
    async with websockets.connect(sys.argv[1]) as socket:
        print('open', flush=True)
        line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        verb, code, reason = line.rstrip('\n').split(' ', 2)
        if verb == 'close':
            await socket.close(int(code), reason)


asyncio.run(main())
