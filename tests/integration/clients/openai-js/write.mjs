// usage: node write.mjs BASE_URL MODEL MESSAGES SCHEMA; prints what came back as JSON.
import OpenAI from "openai";

const [baseURL, model, asked, schema] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const request = { model, messages: JSON.parse(asked), max_tokens: 16, temperature: 0 };
const plain = await client.chat.completions.create(request);
let streamed = "";
let usage = null;
for await (const event of await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } })) {
  streamed += event.choices[0]?.delta?.content ?? "";
  usage = event.usage ?? usage;
}
const two = await client.chat.completions.create({ ...request, temperature: 1.5, n: 2, seed: 1 });
const json = await client.chat.completions.create({
  ...request,
  max_tokens: 200,
  response_format: { type: "json_schema", json_schema: { name: "fault", strict: true, schema: JSON.parse(schema) } },
});
const long = await client.chat.completions.create({ ...request, max_tokens: 4000, temperature: 1, stream: true });
for await (const event of long) {
  if (event.choices[0]?.delta?.content) break; // leaves the stream, which aborts the request
}
let wrong = null;
try {
  await client.chat.completions.create({ ...request, temperature: 9 });
} catch (e) {
  wrong = { status: e.status, param: e.param };
}
console.log(
  JSON.stringify({
    plain: plain.choices[0].message.content,
    streamed,
    usage,
    two: two.choices.map((c) => c.message.content),
    json: json.choices[0].message.content,
    wrong,
  }),
);
