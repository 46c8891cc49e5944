// Run by ../test_other_clients.py: openai-node before a gateway, its last line a JSON document.
import { readFileSync } from "node:fs";
import OpenAI from "openai";

const about = new URL("node_modules/openai/package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(about, "utf8"));
const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 2 });
const messages = [{ role: "user", content: "where is the Louvre ?" }];
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const found = { version };

const chat = await client.chat.completions.create({ model: "m", messages });
found.chat = chat.choices[0].message.content;
found.billed = chat.bursar.spent.tokens_out;

found.stream = "";
const stream = await client.chat.completions.create({
  model: "m", messages, stream: true, stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  found.stream += chunk.choices[0]?.delta?.content ?? "";
  if (chunk.usage) found.usage = chunk.usage.completion_tokens;
}

const tools = [{ type: "function", function: { name: "weather", parameters } }];
const asked = await client.chat.completions.create({ model: "m", messages, tools });
const call = asked.choices[0].message.tool_calls[0];
found.arguments = call.function.arguments;
const after = await client.chat.completions.create({
  model: "m",
  tools,
  messages: [
    ...messages,
    asked.choices[0].message,
    { role: "tool", tool_call_id: call.id, content: "sunny" },
  ],
});
found.tool = after.choices[0].message.content;

const response = await client.responses.create({ model: "m", input: "where ?", store: false });
found.response = response.output_text;
found.events = [];
const events = await client.responses.create({ model: "m", input: "where ?", stream: true });
for await (const event of events) {
  if (event.type !== "response.output_text.delta") found.events.push(event.type);
}
const vectors = await client.embeddings.create({ model: "m", input: ["a b", "c"] });
found.embedding = vectors.data[1].embedding;
found.models = (await client.models.list()).data.map((model) => model.id);

found.errors = {};
for (const [name, ask] of Object.entries({
  missing: () => client.chat.completions.create({ model: "gpt-none", messages }),
  budget: () =>
    client.chat.completions.create(
      { model: "m", messages }, { headers: { "x-bursar-budget": "3 tokens" } },
    ),
  earlier: () =>
    client.responses.create({ model: "m", input: "x", previous_response_id: "resp_1" }),
})) {
  try {
    await ask();
  } catch (error) {
    found.errors[name] = [error.constructor.name, error.status, error.code];
  }
}
const key = { idempotencyKey: "once-and-only-once", headers: { "idempotency-key": "once" } };
const first = await client.chat.completions.create({ model: "m", messages }, key);
const again = await client.chat.completions.create({ model: "m", messages }, key);
found.once = first.bursar.entry === again.bursar.entry;

const began = Date.now();
found.retried = (await client.chat.completions.create({ model: "m", messages: [
  { role: "user", content: "busy at first" },
] })).choices[0].message.content;
found.waited = Date.now() - began >= 1000;
console.log(JSON.stringify(found));
