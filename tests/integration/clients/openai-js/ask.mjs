// usage: node ask.mjs BASE_URL MODEL TEXT...; prints what came back as JSON.
import OpenAI from "openai";

const [baseURL, model, ...input] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const models = [];
for await (const m of client.models.list()) models.push(m.id);
const { data } = await client.embeddings.create({ model, input });
let wrong = null;
try {
  await client.embeddings.create({ model: "gpt-99", input });
} catch (e) {
  wrong = { status: e.status, code: e.code };
}
console.log(JSON.stringify({ models, vectors: data.map((d) => d.embedding), wrong }));
