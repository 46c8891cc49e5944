"""Run by `test_other_clients.py` in its own environment: agents of pydantic-ai before a gateway."""

import asyncio
import importlib.metadata
import json
import sys

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


class Place(BaseModel):
    city: str
    inhabitants: int


async def main(url: str) -> None:
    found = {"version": importlib.metadata.version("pydantic-ai-slim")}
    provider = OpenAIProvider(base_url=url, api_key="none")
    for kind in (OpenAIChatModel, OpenAIResponsesModel):
        model = kind("m", provider=provider)
        name = kind.__name__
        agent = Agent(model, instructions="be short")

        @agent.tool_plain
        def weather(city: str) -> str:
            """The weather in a city."""
            return f"sunny in {city}"

        found[f"{name} tool"] = (await agent.run("where ?")).output
        async with agent.run_stream("where ?") as stream:
            found[f"{name} stream"] = "".join([t async for t in stream.stream_text(delta=True)])
        shaped = Agent(model, output_type=Place)
        found[f"{name} shape"] = (await shaped.run("where ?")).output.model_dump()
    print(json.dumps(found))


asyncio.run(main(sys.argv[1]))
