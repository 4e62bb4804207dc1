"""An endpoint that speaks OpenAI's protocol, in small.

    python small_endpoint.py PORT

Transcriptions: a word for every stretch of sound, where it is. The model "silent" gives
words without times, "busy" is too busy. Chat: one reply, however many are asked for, 1 to
the first question, 2 to the next. GET /asked: how often anything was asked.
"""

from __future__ import annotations

import io
import sys

import numpy as np
import soundfile
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

asked = 0


async def transcribe(request):
    global asked
    asked += 1
    form = await request.form()
    if form["model"] == "busy":
        return JSONResponse({"error": {"message": "busy"}}, 429)
    assert form["response_format"] == "verbose_json"
    assert form["timestamp_granularities[]"] == "word"
    wave, rate = soundfile.read(io.BytesIO(await form["file"].read()))
    loud = np.flatnonzero(np.abs(wave) > 0.01)
    cuts = np.flatnonzero(np.diff(loud) > 0.2 * rate) if len(loud) else []
    starts = [*loud[:1], *(loud[i + 1] for i in cuts)]
    ends = [*(loud[i] for i in cuts), *loud[-1:]]
    words = [
        {"word": f" word{i}", "start": a / rate, "end": b / rate}
        for i, (a, b) in enumerate(zip(starts, ends, strict=True))
    ]
    text = "".join(word["word"] for word in words)
    reply = {"text": text, "language": "en", "duration": len(wave) / rate, "words": words}
    if form["model"] == "silent":
        del reply["words"]
    return JSONResponse(reply)


async def chat(request):
    global asked
    asked += 1
    message = {"role": "assistant", "content": str(asked)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    about = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    return JSONResponse(about | {"choices": [choice]})


async def told(request):
    return JSONResponse(asked)


routes = [
    Route("/v1/audio/transcriptions", transcribe, methods=["POST"]),
    Route("/v1/chat/completions", chat, methods=["POST"]),
    Route("/asked", told),
]

if __name__ == "__main__":
    app = Starlette(routes=routes)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical")
