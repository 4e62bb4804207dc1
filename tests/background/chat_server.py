"""A chat-completions endpoint that streams the very bytes it is told to, on a port.

POST /script: a list of replies; each is a list of deltas, of {"finish": why},
{"raw": text}, {"wait_s": seconds} and {"cut": true}, which breaks the connection. GET
/got: what was asked, with which key, and how many replies are on their way.
"""

from __future__ import annotations

import asyncio
import json
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
replies: list = []
got: list = []
open_now = 0


async def script(request):
    replies[:] = await request.json()
    got.clear()
    return JSONResponse({})


async def told(request):
    return JSONResponse({"got": got, "open": open_now})


async def chat(request):
    key = request.headers.get("authorization")
    got.append({"body": await request.json(), "key": key})
    return StreamingResponse(stream(replies.pop(0)), media_type="text/event-stream")


async def stream(reply):
    global open_now
    open_now += 1
    try:
        for piece in reply:
            async for text in written(piece):
                yield text
        yield "data: [DONE]\n\n"
    finally:
        open_now -= 1


async def written(piece):
    finish = piece.pop("finish", None)
    if "wait_s" in piece:
        await asyncio.sleep(piece["wait_s"])
    elif "cut" in piece:
        raise ConnectionAbortedError
    elif "raw" in piece:
        yield f"data: {piece['raw']}\n\n"
    else:
        choice = {"index": 0, "delta": piece, "finish_reason": finish}
        yield f"data: {json.dumps(CHUNK | {'choices': [choice]})}\n\n"


routes = [
    Route("/script", script, methods=["POST"]),
    Route("/got", told),
    Route("/v1/chat/completions", chat, methods=["POST"]),
]

if __name__ == "__main__":
    app = Starlette(routes=routes)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical")
