// node-redis (npm's redis) against the server at the port given; see checks.js.
//
//   client_redis.js PORT SOCKET HOSTS

"use strict";

const assert = require("node:assert/strict");
const { createClient, createCluster, commandOptions } = require("redis");
const { check, rejected, restarted, run, within } = require("./checks.js");

const [port, path, hosts] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];
let client;

async function connect(options) {
  const one = createClient({ url: `redis://127.0.0.1:${port}`, ...options });
  one.on("error", () => {});
  await within(one.connect(), 10, "connection");
  return one;
}

check("connects and is ready", async () => {
  client = await connect();
  assert.equal(client.isReady, true);
  assert.equal(await client.ping(), "PONG");
});

check("sets and gets", async () => {
  assert.equal(await client.set("nr:a", "\u20ac 1"), "OK");
  assert.equal(await client.get("nr:a"), "\u20ac 1");
  assert.equal(await client.get("nr:none"), null);
  assert.equal(await client.incr("nr:n"), 1);
  assert.equal(await client.hSet("nr:h", { f: "v", g: "w" }), 2);
  assert.deepEqual({ ...await client.hGetAll("nr:h") }, { f: "v", g: "w" });
  assert.equal(await client.zAdd("nr:z", [{ score: 1, value: "x" }, { score: 2, value: "y" }]), 2);
  assert.deepEqual(await client.zRange("nr:z", 0, -1), ["x", "y"]);
});

check("reads statistics, and works as a cluster of one", async () => {
  assert.match(await client.info("commandstats"), /^cmdstat_set:calls=\d+,usec=\d+/m);
  assert.match(await client.memoryDoctor(), /^Nydus/);
  assert.equal((await client.sendCommand(["NYDUS", "HOSTS"])).length, hosts);
  const cluster = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${port}` }] });
  await within(cluster.connect(), 10, "connection of the cluster");
  assert.equal(await cluster.set("nr:cluster", "1"), "OK");
  assert.equal(await cluster.get("nr:cluster"), "1");
  await cluster.disconnect();
});

check("takes several keys", async () => {
  const keys = Array.from({ length: 200 }, (_, i) => `nr:m${i}`);
  assert.equal(await client.mSet(keys.map((key) => [key, key + "!"])), "OK");
  assert.deepEqual(await client.mGet([...keys, "nr:none", "nr:m0"]), [...keys.map((key) => key + "!"), null, "nr:m0!"]);
  assert.equal(await client.exists([...keys, "nr:m3"]), 201);
  assert.equal(await client.del(keys), 200);
});

check("pipelines in order", async () => {
  const pipeline = client.multi();
  for (let i = 0; i < 500; i++) pipeline.set(`nr:p${i}`, i.toString()).get(`nr:p${i}`);
  const replies = await pipeline.execAsPipeline();
  assert.equal(replies.length, 1000);
  for (let i = 0; i < 500; i++) assert.deepEqual(replies.slice(2 * i, 2 * i + 2), ["OK", String(i)]);
});

check("keeps order in its automatic pipelines", async () => {
  const replies = await Promise.all(Array.from({ length: 1000 }, (_, i) => client.echo(`nr ${i}`)));
  replies.forEach((reply, i) => assert.equal(reply, `nr ${i}`));
});

check("passes binary keys and values", async () => {
  const value = Buffer.concat([Buffer.from(Array.from({ length: 256 }, (_, i) => i)), Buffer.from("\r\n$-1\r\n")]);
  const key = Buffer.from([0x6e, 0, 13, 10, 255, 254]);
  const buffers = commandOptions({ returnBuffers: true });
  assert.equal(await client.set(key, value), "OK");
  assert.ok(value.equals(await client.get(buffers, key)));
  const big = Buffer.alloc(4 * 1024 * 1024, value);
  await client.set("nr:big", big);
  assert.ok(big.equals(await client.get(buffers, "nr:big")));
});

check("gets errors as errors", async () => {
  await client.set("nr:e", "text");
  const error = await rejected(client.lPush("nr:e", "x"), /^WRONGTYPE/);
  assert.equal(error.constructor.name, "ErrorReply");
  await rejected(client.sendCommand(["NOSUCH", "x"]), /unknown command/);
  if (hosts > 1) await rejected(client.sUnion(Array.from({ length: 20 }, (_, i) => `nr:c${i}`)), /^CROSSSLOT/);
  const results = await Promise.allSettled([client.get("nr:e"), client.incr("nr:e"), client.get("nr:none")]);
  assert.deepEqual(results.map((result) => result.status), ["fulfilled", "rejected", "fulfilled"]);
});

check("uses databases, names and a unix socket", async () => {
  const other = await connect({ url: undefined, socket: { path }, database: 3, name: "nr-three" });
  await client.set("nr:db", "zero");
  await other.set("nr:db", "three");
  assert.equal(await client.get("nr:db"), "zero");
  assert.equal(await other.get("nr:db"), "three");
  assert.equal(await other.clientGetName(), "nr-three");
  assert.equal(await other.dbSize(), 1);
  await client.select(3);
  assert.equal(await client.get("nr:db"), "three");
  await client.select(0);
  assert.equal(await client.get("nr:db"), "zero");
  assert.equal(await other.quit(), "OK");
});

check("runs transactions", async () => {
  assert.deepEqual(await client.multi().set("nr:{t}:a", "1").incr("nr:{t}:a").get("nr:{t}:b").exec(), ["OK", 2, null]);
  const watched = client.executeIsolated(async (isolated) => {
    await isolated.watch("nr:{t}:a");
    await client.incr("nr:{t}:a");
    return isolated.multi().get("nr:{t}:a").exec();
  });
  await rejected(watched, /watched keys/);
  if (hosts > 1) {
    const wide = client.multi();
    for (let i = 0; i < 20; i++) wide.set(`nr:t${i}`, String(i));
    await rejected(wide.exec(), /CROSSSLOT|EXECABORT/);
  }
  assert.equal(await client.get("nr:{t}:a"), "3");
});

check("blocks", async () => {
  const popped = client.blPop(commandOptions({ isolated: true }), "nr:queue", 10);
  await client.rPush("nr:queue", "job");
  assert.deepEqual({ ...await within(popped, 10, "element") }, { key: "nr:queue", element: "job" });
  assert.equal(await client.brPop(commandOptions({ isolated: true }), "nr:queue", 0.05), null);
});

check("walks", async () => {
  const keys = Array.from({ length: 300 }, (_, i) => `nr:w${i}`);
  await client.mSet(keys.map((key) => [key, "1"]));
  const seen = new Set();
  for await (const key of client.scanIterator({ MATCH: "nr:w*", COUNT: 50 })) seen.add(key);
  assert.deepEqual([...seen].sort(), keys.sort());
});

check("subscribes and publishes", async () => {
  const subscriber = await connect();
  const messages = [];
  const channels = Array.from({ length: 10 }, (_, i) => `nr:c${i}`);
  await subscriber.subscribe(channels, (text, channel) => messages.push([channel, text]));
  await subscriber.pSubscribe("nr:p*", (text, channel) => messages.push([channel, text]));
  for (const channel of channels) assert.equal(await client.publish(channel, `to ${channel}`), 1);
  await client.publish("nr:pattern", "hello");
  const all = async () => {
    while (messages.length < 11) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await within(all(), 10, "messages");
  const expected = [...channels.map((channel) => [channel, `to ${channel}`]), ["nr:pattern", "hello"]];
  assert.deepEqual(messages.sort(), expected.sort());
  await subscriber.unsubscribe(channels);
  await subscriber.pUnsubscribe("nr:p*");
  assert.equal(await subscriber.get("nr:none"), null);
  await subscriber.quit();
});

check("connects again after the server's restart", async () => {
  await client.set("nr:kept", "still there");
  const lost = new Promise((resolve) => client.once("reconnecting", resolve));
  assert.equal(await restarted(lost, () => client.get("nr:kept")), "still there");
  assert.equal(client.isReady, true);
});

check("quits and disconnects", async () => {
  assert.equal(await client.quit(), "OK");
  assert.equal(client.isOpen, false);
  const other = await connect();
  await other.disconnect();
  assert.equal(other.isOpen, false);
});

run();
