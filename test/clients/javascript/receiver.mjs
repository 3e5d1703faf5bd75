// A receiver verifies every request with the client's own verifier and reports it on standard output, for the Go test to
// verify it once more.
import { createServer } from "node:http";
import { once } from "node:events";

const limit = 120_000; // milliseconds until a delivery must be there: seconds on an idle machine

export const report = (line) => process.stdout.write(JSON.stringify(line) + "\n");

export class Receiver {
  constructor(Webhook) {
    this.Webhook = Webhook;
    this.secrets = new Map(); // by path: all that must verify
    this.got = []; // {path, id, headers, body}
    this.waiting = new Set();
    this.server = createServer((request, response) => this.take(request, response));
  }

  async listen() {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.url = `http://127.0.0.1:${this.server.address().port}`;
  }

  async take(request, response) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const raw = Buffer.concat(parts);
    const path = request.url.slice(1);
    const secrets = this.secrets.get(path) ?? [];
    try {
      if (secrets.length === 0) throw new Error(`a request to /${path}, where none was expected`);
      for (const secret of secrets) new this.Webhook(secret).verify(raw.toString(), request.headers);
    } catch (error) {
      report({ kind: "bad", path, error: String(error) });
    }
    report({ kind: "request", path, secrets, headers: request.headers, body: raw.toString("base64") });
    response.writeHead(204).end();
    const id = request.headers["webhook-id"] ?? request.headers["svix-id"];
    this.got.push({ path, id, headers: request.headers, body: JSON.parse(raw.toString()) });
    for (const check of this.waiting) check();
  }

  // wait returns the request of an event at a path, once it is there.
  wait(path, id) {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = this.got.find((r) => r.path === path && r.id === id);
        if (!found) return;
        clearTimeout(timer);
        this.waiting.delete(check);
        resolve(found);
      };
      const timer = setTimeout(() => {
        this.waiting.delete(check);
        reject(new Error(`${id} did not come to /${path}; what came: ${this.got.map((r) => `/${r.path} ${r.id}`)}`));
      }, limit);
      this.waiting.add(check);
      check();
    });
  }

  count = (path, id) => this.got.filter((r) => r.path === path && r.id === id).length;

  async close() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }
}
