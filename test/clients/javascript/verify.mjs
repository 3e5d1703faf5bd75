// Says of each request on standard input, a line of JSON, whether a library accepts it.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(process.env.POSTRIDER_CLIENT + "/");
const load = async (name) => (await import(pathToFileURL(require.resolve(name)).href)).Webhook;
const libraries = { standardwebhooks: await load("standardwebhooks"), svix: await load("svix") };

for await (const line of createInterface({ input: process.stdin })) {
  const { library, secret, headers, body } = JSON.parse(line);
  const webhook = new libraries[library](secret);
  let accepted = true;
  try {
    webhook.verify(Buffer.from(body, "base64").toString(), headers);
  } catch {
    accepted = false;
  }
  process.stdout.write(`${accepted}\n`);
}
