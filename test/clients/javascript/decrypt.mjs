// What a receiver does with an encrypted payload: reads lines of JSON {scheme, key, text} on standard input and reports each
// as {plain} in base64, or {error} if the text was changed or is another key's. Voyado's form needs what Node.js has alone,
// JWE the npm package "jose", which is in the directory POSTRIDER_CLIENT.
import { createDecipheriv } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const jose = await import(pathToFileURL(createRequire(process.env.POSTRIDER_CLIENT + "/").resolve("jose")).href);

const decrypt = {
  voyado(key, text) {
    const raw = Buffer.from(text, "base64url");
    const decipher = createDecipheriv("aes-256-cbc", Buffer.from(key), raw.subarray(0, 16));
    return Buffer.concat([decipher.update(raw.subarray(16)), decipher.final()]);
  },
  async jwe(key, text) {
    const jwk = await jose.importJWK({ kty: "oct", k: key }, "dir");
    const only = { keyManagementAlgorithms: ["dir"], contentEncryptionAlgorithms: ["A256GCM"] };
    return Buffer.from((await jose.compactDecrypt(text, jwk, only)).plaintext);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { scheme, key, text } = JSON.parse(line);
  let found;
  try {
    found = { plain: (await decrypt[scheme](key, text)).toString("base64") };
  } catch (error) {
    found = { error: error.code ?? String(error) };
  }
  process.stdout.write(JSON.stringify(found) + "\n");
}
