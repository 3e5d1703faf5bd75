// What a customer of the npm package "svix" does, against POSTRIDER_URL with the operator's key POSTRIDER_TOKEN. The package
// is in the directory POSTRIDER_CLIENT.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Receiver, report } from "./receiver.mjs";

const { POSTRIDER_URL: serverUrl, POSTRIDER_TOKEN: token, POSTRIDER_CLIENT: directory } = process.env;
const { Svix, Webhook, ApiException } = await import(pathToFileURL(createRequire(directory + "/").resolve("svix")).href);
const client = new Svix(token, { serverUrl });
const receiver = new Receiver(Webhook);
const uid = "javascript";
const type = (name) => `javascript.${name}`;

// all reads a list page by page.
async function all(list, limit = 2) {
  const found = [];
  for (let iterator = undefined, pages = 1; ; pages++) {
    assert(pages < 1000, "a list does not end");
    const page = await list({ limit, iterator });
    assert(page.data.length <= limit);
    found.push(...page.data);
    if (page.done) return found;
    iterator = page.iterator;
  }
}

async function refused(code, promise, about) {
  const error = await promise.then(() => assert.fail(`want ${code}`), (e) => e);
  assert(error instanceof ApiException, String(error));
  assert.equal(error.code, code, JSON.stringify(error.body));
  if (code === 422) assert(JSON.stringify(error.body.detail[0].loc).includes(about), JSON.stringify(error.body));
  else assert(error.body.code && error.body.detail, JSON.stringify(error.body));
}

// own calls what is Postrider's own, which the client does not know, and returns once every router and deliverer has what was
// changed until then.
async function own(method, path, body) {
  const response = await fetch(`${serverUrl}/api/v1/app/${uid}${path}?wait=applied`, {
    method, body: JSON.stringify(body), headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
  });
  assert.equal(response.status, 200, await response.text());
  assert.equal(response.headers.get("postrider-applied"), "all");
}

const settle = () => own("PATCH", "", {});

async function applications() {
  const made = await client.application.create({ name: "JavaScript", uid, metadata: { plan: "a" } });
  assert.match(made.id, /^app_[A-Za-z0-9]{27}$/);
  assert(made.createdAt instanceof Date && !Number.isNaN(made.createdAt.getTime()));
  assert.deepEqual(await client.application.get(uid), await client.application.get(made.id));
  assert.equal((await client.application.getOrCreate({ name: "other", uid })).id, made.id);
  await refused(409, client.application.create({ name: "again", uid }));
  await refused(422, client.application.create({ name: "" }), "name");
  await refused(404, client.application.get("nobody"));

  const replaced = await client.application.upsert(uid, { name: "Replaced", uid, throttleRate: 500 });
  assert.deepEqual([replaced.id, replaced.name, replaced.throttleRate, replaced.metadata], [made.id, "Replaced", 500, {}]);
  const patched = await client.application.patch(uid, { metadata: { plan: "b" }, throttleRate: null });
  assert.deepEqual([patched.name, patched.throttleRate ?? null, patched.metadata], ["Replaced", null, { plan: "b" }]);

  const more = [];
  for (let n = 0; n < 4; n++) more.push((await client.application.create({ name: `More ${n}` })).id);
  const ids = (await all((options) => client.application.list(options))).map((a) => a.id);
  assert.equal(new Set(ids).size, ids.length, "an application came twice");
  for (const id of [made.id, ...more]) assert(ids.includes(id), `${id} is missing`);
  const newest = await client.application.list({ limit: 250, order: "descending" });
  assert.deepEqual(newest.data.map((a) => a.id).filter((id) => more.includes(id)), more.reverse());
  for (const id of more) await client.application.delete(id);
  await own("PUT", "/delivery-policy", { profile: "svix" }); // its header names, and payloads without an envelope
}

async function eventTypes() {
  const schemas = { 1: { type: "object", properties: { id: { type: "string" } }, required: ["id"], examples: [{ id: "example" }] } };
  for (const name of ["contact.created", "contact.updated", "order.created", "old"]) {
    await client.eventType.create({ name: type(name), description: name, schemas, groupName: "javascript" });
  }
  await refused(409, client.eventType.create({ name: type("old"), description: "again" }));
  const got = await client.eventType.get(type("contact.created"));
  assert.deepEqual([got.description, got.groupName, got.deprecated, got.schemas["1"].required], ["contact.created", "javascript", false, ["id"]]);
  const patched = await client.eventType.patch(type("old"), { description: "patched", deprecated: true });
  assert.deepEqual([patched.description, patched.deprecated, patched.groupName], ["patched", true, "javascript"]);
  const upserted = await client.eventType.upsert(type("old"), { description: "replaced" });
  assert.equal(upserted.description, "replaced");

  await client.eventType.delete(type("old"));
  const names = async (options) => (await all((page) => client.eventType.list({ ...page, ...options }))).map((e) => e.name);
  assert(!(await names({})).includes(type("old")), "archived ones are listed");
  assert((await names({ includeArchived: true })).includes(type("old")));
  assert.equal((await client.eventType.get(type("old"))).archived, true);
  const withContent = await client.eventType.list({ withContent: true, limit: 250 });
  assert(withContent.data.find((e) => e.name === type("order.created")).schemas["1"]);
  await client.eventType.delete(type("old"), { expunge: true });
  await refused(404, client.eventType.get(type("old")));
}

async function endpoints() {
  const contacts = await client.endpoint.create(uid, {
    url: `${receiver.url}/contacts`, uid: "contacts", description: "Contacts", metadata: { team: "crm" },
    eventTypes: [type("contact.created"), type("contact.updated")], headers: { "X-First": "1" },
  });
  const channel = await client.endpoint.create(uid, { url: `${receiver.url}/channel`, uid: "channel", channels: ["berlin"] });
  assert.match(contacts.id, /^ep_[A-Za-z0-9]{27}$/);
  assert.deepEqual(contacts.eventTypes, [type("contact.created"), type("contact.updated")]);
  assert.deepEqual(channel.channels, ["berlin"]);
  assert.equal(contacts.disabled, false);
  await refused(409, client.endpoint.create(uid, { url: `${receiver.url}/x`, uid: "contacts" }));
  await refused(422, client.endpoint.create(uid, { url: "no url" }), "url");
  const listed = await all((options) => client.endpoint.list(uid, options), 1);
  assert.deepEqual(listed.map((e) => e.id), [contacts.id, channel.id]);

  await client.endpoint.setHeaders(uid, "contacts", { headers: { "X-Second": "2", "X-Third": "3", Authorization: "Bearer hidden" } });
  const set = await client.endpoint.getHeaders(uid, "contacts");
  assert.deepEqual(set, { headers: { "X-Second": "2", "X-Third": "3" }, sensitive: ["Authorization"] });
  await client.endpoint.patchHeaders(uid, "contacts", { headers: { "X-Fourth": "4" }, deleteHeaders: ["X-Third"] });
  assert.deepEqual((await client.endpoint.getHeaders(uid, "contacts")).headers, { "X-Second": "2", "X-Fourth": "4" });

  for (const name of ["contacts", "channel"]) {
    const { key } = await client.endpoint.getSecret(uid, name);
    assert.match(key, /^whsec_[A-Za-z0-9+/=]{32,}$/);
    receiver.secrets.set(name, [key]);
  }
  await settle();
}

async function messages() {
  const payload = { id: "42", name: "Zoë" };
  const first = await client.message.create(uid, { eventType: type("contact.created"), payload }, { idempotencyKey: "one", withContent: true });
  assert.match(first.id, /^msg_[A-Za-z0-9]{27}$/);
  assert.deepEqual(first.payload, payload);
  const again = await client.message.create(uid, { eventType: type("contact.created"), payload }, { idempotencyKey: "one", withContent: true });
  assert.equal(again.id, first.id);
  const got = await receiver.wait("contacts", first.id);
  assert.deepEqual(got.body, payload);
  assert.deepEqual([got.headers["x-second"], got.headers["x-fourth"], got.headers["x-third"], got.headers.authorization], ["2", "4", undefined, "Bearer hidden"]);

  const named = { eventType: type("contact.updated"), eventId: "e-1", payload, tags: ["blue"] };
  const second = await client.message.create(uid, named);
  assert.equal(second.eventId, "e-1");
  await refused(409, client.message.create(uid, named));
  const third = await client.message.create(uid, { eventType: type("order.created"), payload, channels: ["berlin", "paris"] });
  const paris = await client.message.create(uid, { eventType: type("order.created"), payload, channels: ["paris"] });
  await receiver.wait("contacts", second.id);
  await receiver.wait("channel", third.id);
  assert.equal(receiver.count("contacts", third.id) + receiver.count("channel", second.id) + receiver.count("channel", paris.id), 0);

  const ids = (await all((options) => client.message.list(uid, options), 1)).map((m) => m.id);
  assert.deepEqual(ids, [paris.id, third.id, second.id, first.id], "newest first");
  const list = async (options) => (await client.message.list(uid, options)).data.map((m) => m.id);
  assert.deepEqual(await list({ eventTypes: [type("contact.created"), type("contact.updated")] }), [second.id, first.id]);
  assert.deepEqual(await list({ channel: "berlin" }), [third.id]);
  assert.deepEqual(await list({ tag: "blue" }), [second.id]);
  assert.deepEqual(await list({ before: new Date(first.timestamp.getTime() - 60_000) }), []);
  assert.deepEqual((await client.message.get(uid, first.id, { withContent: true })).payload, payload);
  assert.deepEqual((await client.message.get(uid, first.id)).payload, {});
  assert.equal((await client.message.get(uid, "e-1")).id, second.id);
  await refused(404, client.message.get(uid, "nothing"));
  await refused(422, client.message.create(uid, { eventType: "no spaces", payload }), "eventType");

  const example = await client.endpoint.sendExample(uid, "contacts", { eventType: type("contact.created") });
  assert.deepEqual((await receiver.wait("contacts", example.id)).body, { id: "example" });
}

// until polls until something is there.
async function until(look) {
  for (let n = 0; n < 1200; n++) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail("it did not come");
}

// finished waits for the end of a background task and returns how many deliveries it was about.
async function finished(task, started) {
  assert.match(started.id, /^qtask_[A-Za-z0-9]{27}$/);
  assert.equal(started.task, task);
  const ended = await until(async () => {
    const now = await client.backgroundTask.get(started.id);
    return now.status !== "running" && now;
  });
  assert.equal(ended.status, "finished", JSON.stringify(ended.data));
  assert((await all((options) => client.backgroundTask.list(options))).some((t) => t.id === started.id));
  return ended.data.done;
}

async function again() {
  const since = new Date(Date.now() - 3_600_000);
  const sent = await client.message.create(uid, { eventType: type("contact.created"), payload: { id: "again" } });
  await receiver.wait("contacts", sent.id);
  await client.messageAttempt.resend(uid, sent.id, "contacts");
  report({ kind: "resend", path: "contacts", name: sent.id });
  await until(() => receiver.count("contacts", sent.id) === 2);
  await refused(404, client.messageAttempt.resend(uid, "nothing", "contacts"));
  assert.equal(await finished("endpoint.recover", await client.endpoint.recover(uid, "contacts", { since })), 0);
  assert.equal(await finished("endpoint.replay", await client.endpoint.replayMissing(uid, "contacts", { since })), 0);

  await client.endpoint.create(uid, { url: `${receiver.url}/late`, uid: "late", eventTypes: [type("contact.created")] });
  receiver.secrets.set("late", [(await client.endpoint.getSecret(uid, "late")).key]);
  await settle();
  assert.equal(await finished("endpoint.replay", await client.endpoint.replayMissing(uid, "late", { since })), 2);
  await receiver.wait("late", sent.id);
  await client.endpoint.delete(uid, "late");
  await refused(422, client.endpoint.recover(uid, "contacts", { since: new Date(Date.now() + 3_600_000) }), "since");
}

// attempted waits until an endpoint's attempts can be found: the views are a moment behind.
function attempted(endpoint, count) {
  return until(async () => {
    const found = await all((options) => client.messageAttempt.listByEndpoint(uid, endpoint, { ...options, withMsg: true, withContent: true }));
    return found.length >= count && found;
  });
}

async function attempts() {
  const found = await attempted("contacts", 3); // contact.created, contact.updated and the example
  assert.deepEqual(found.map((a) => [a.statusText, a.status, a.responseStatusCode]), Array(3).fill(["success", 0, 204]));
  assert(found.every((a) => a.timestamp instanceof Date && /^atmpt_[A-Za-z0-9]{27}$/.test(a.id) && a.endpointId.startsWith("ep_")));
  const updated = found.find((a) => a.msg.eventType === type("contact.updated"));
  assert.deepEqual([updated.msg.eventId, updated.msg.payload, updated.msg.tags], ["e-1", { id: "42", name: "Zoë" }, ["blue"]]);
  const ids = async (options) => (await client.messageAttempt.listByEndpoint(uid, "contacts", options)).data.map((a) => a.id);
  assert.deepEqual(await ids({ status: 2 }), []);
  assert.deepEqual(await ids({ statusCodeClass: 500 }), []);
  assert.deepEqual(await ids({ tag: "blue", status: 0, statusCodeClass: 200 }), [updated.id]);
  assert.deepEqual(await ids({ eventTypes: [type("contact.updated")] }), [updated.id]);
  assert.deepEqual(await ids({ before: new Date(updated.timestamp.getTime() - 60_000) }), []);

  const first = await client.messageAttempt.listByEndpoint(uid, "contacts", { limit: 2 });
  const second = await client.messageAttempt.listByEndpoint(uid, "contacts", { limit: 2, iterator: first.iterator });
  const back = await client.messageAttempt.listByEndpoint(uid, "contacts", { limit: 2, iterator: second.prevIterator });
  assert.deepEqual(back.data.map((a) => a.id), first.data.map((a) => a.id));

  const byMessage = await client.messageAttempt.listByMsg(uid, "e-1");
  assert.deepEqual(byMessage.data.map((a) => a.id), [updated.id]);
  const one = await client.messageAttempt.get(uid, updated.msgId, updated.id);
  assert.deepEqual([one.id, one.msgId, one.url], [updated.id, updated.msgId, `${receiver.url}/contacts`]);
  const messages = await all((options) => client.messageAttempt.listAttemptedMessages(uid, "contacts", options));
  assert.deepEqual(messages.map((m) => [m.id, m.statusText]), found.map((a) => [a.msgId, "success"]));
  const destinations = await client.messageAttempt.listAttemptedDestinations(uid, "e-1");
  assert.deepEqual(destinations.data.map((e) => [e.uid, e.statusText]), [["contacts", "success"]]);
  const stats = await client.endpoint.getStats(uid, "contacts");
  assert.deepEqual([stats.success, stats.fail, stats.pending, stats.sending], [3, 0, 0, 0]);
  await refused(404, client.messageAttempt.get(uid, "e-1", `atmpt_${"0".repeat(27)}`));
  await refused(409, client.messageAttempt.expungeContent(uid, "e-1", updated.id));
}

async function rotation() {
  const [before] = receiver.secrets.get("contacts");
  await client.endpoint.rotateSecret(uid, "contacts", {});
  const { key } = await client.endpoint.getSecret(uid, "contacts");
  assert.notEqual(key, before);
  await settle();
  receiver.secrets.set("contacts", [before, key]); // both verify in the grace period
  const sent = await client.message.create(uid, { eventType: type("contact.created"), payload: { id: "rotated" } });
  await receiver.wait("contacts", sent.id);
}

async function portal() {
  const access = await client.authentication.appPortalAccess(uid, { capabilities: ["ViewBase"] });
  assert(access.url.includes(access.token), access.url);
  const customer = new Svix(access.token, { serverUrl });
  assert.equal((await customer.endpoint.list(uid)).data.length, 2);
  await refused(403, customer.application.list());
  await refused(403, customer.endpoint.delete(uid, "contacts"));
  await customer.authentication.logout();
  await refused(401, customer.endpoint.list(uid));
  await refused(401, new Svix("pr_nobody", { serverUrl }).application.list());
}

async function changes() {
  const { url } = await client.endpoint.get(uid, "channel");
  const updated = await client.endpoint.upsert(uid, "channel", { url, uid: "channel", description: "all channels" });
  assert.deepEqual([updated.description, updated.channels ?? null], ["all channels", null]);
  assert.equal((await client.endpoint.patch(uid, "contacts", { disabled: true })).disabled, true);
  await settle();
  const one = await client.message.create(uid, { eventType: type("contact.created"), payload: { id: "disabled" } });
  await receiver.wait("channel", one.id);
  assert.equal((await client.endpoint.patch(uid, "contacts", { disabled: false })).disabled, false);
  await settle();
  const two = await client.message.create(uid, { eventType: type("contact.created"), payload: { id: "enabled" } });
  await receiver.wait("contacts", two.id);
  assert.equal(receiver.count("contacts", one.id), 0, "a disabled endpoint was sent to");

  await client.endpoint.delete(uid, "contacts");
  await refused(404, client.endpoint.get(uid, "contacts"));
  await settle();
  const three = await client.message.create(uid, { eventType: type("contact.created"), payload: { id: "deleted" } });
  await receiver.wait("channel", three.id);
  assert.equal(receiver.count("contacts", three.id), 0, "a deleted endpoint was sent to");
  await client.application.delete(uid);
  await refused(404, client.application.get(uid));
}

await receiver.listen();
for (const step of [applications, eventTypes, endpoints, messages, attempts, again, rotation, portal, changes]) {
  await step();
  report({ kind: "step", name: step.name });
}
await receiver.close();
