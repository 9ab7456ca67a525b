// ioredis against the server at the port given; see checks.js.
//
//   client_ioredis.js PORT SOCKET HOSTS

"use strict";

const assert = require("node:assert/strict");
const Redis = require("ioredis");
const { check, rejected, restarted, run, within } = require("./checks.js");

const [port, path, hosts] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];
let redis;

function once(emitter, event) {
  return new Promise((resolve) => emitter.once(event, resolve));
}

check("connects and is ready", async () => {
  redis = new Redis(port);
  redis.on("error", () => {});
  await within(once(redis, "ready"), 10, "ready event");
  assert.equal(redis.status, "ready");
  assert.match(await redis.info(), /^redis_mode:standalone\r$/m);
  assert.equal(await redis.ping(), "PONG");
});

check("sets and gets", async () => {
  assert.equal(await redis.set("io:a", "\u20ac 1"), "OK");
  assert.equal(await redis.get("io:a"), "\u20ac 1");
  assert.equal(await redis.get("io:none"), null);
  assert.equal(await redis.incr("io:n"), 1);
  assert.equal(await redis.hset("io:h", { f: "v", g: "w" }), 2);
  assert.deepEqual(await redis.hgetall("io:h"), { f: "v", g: "w" });
  assert.equal(await redis.zadd("io:z", 1, "x", 2, "y"), 2);
  assert.deepEqual(await redis.zrange("io:z", 0, -1, "WITHSCORES"), ["x", "1", "y", "2"]);
});

check("reads the slow log and statistics, and works as a cluster of one", async () => {
  assert.ok(Array.isArray(await redis.slowlog("GET", 5)));
  assert.match(await redis.info("commandstats"), /^cmdstat_set:calls=\d+,usec=\d+/m);
  assert.deepEqual(await redis.latency("LATEST"), []);
  const cluster = new Redis.Cluster([{ host: "127.0.0.1", port }]);
  assert.equal(await within(cluster.set("io:cluster", "1"), 10, "reply of the cluster"), "OK");
  assert.equal(await cluster.get("io:cluster"), "1");
  assert.equal(cluster.nodes().length, 1);
  cluster.disconnect();
});

check("takes several keys", async () => {
  const keys = Array.from({ length: 200 }, (_, i) => `io:m${i}`);
  assert.equal(await redis.mset(Object.fromEntries(keys.map((key) => [key, key + "!"]))), "OK");
  assert.deepEqual(await redis.mget(...keys, "io:none", "io:m0"), [...keys.map((key) => key + "!"), null, "io:m0!"]);
  assert.equal(await redis.exists(...keys, "io:m3"), 201);
  assert.equal(await redis.del(...keys), 200);
});

check("pipelines in order", async () => {
  const pipeline = redis.pipeline();
  for (let i = 0; i < 500; i++) pipeline.set(`io:p${i}`, i).get(`io:p${i}`);
  const replies = await pipeline.exec();
  assert.equal(replies.length, 1000);
  for (let i = 0; i < 500; i++) {
    assert.deepEqual(replies[2 * i], [null, "OK"]);
    assert.deepEqual(replies[2 * i + 1], [null, String(i)]);
  }
});

check("keeps order without a pipeline, and with automatic ones", async () => {
  for (const client of [redis, new Redis(port, { enableAutoPipelining: true })]) {
    const replies = await Promise.all(Array.from({ length: 1000 }, (_, i) => client.echo(`io ${i}`)));
    replies.forEach((reply, i) => assert.equal(reply, `io ${i}`));
    if (client !== redis) await client.quit();
  }
});

check("passes binary keys and values", async () => {
  const value = Buffer.concat([Buffer.from(Array.from({ length: 256 }, (_, i) => i)), Buffer.from("\r\n$-1\r\n")]);
  const key = Buffer.from([0x69, 0, 13, 10, 255, 254]);
  assert.equal(await redis.set(key, value), "OK");
  assert.ok(value.equals(await redis.getBuffer(key)));
  const big = Buffer.alloc(4 * 1024 * 1024, value);
  await redis.set("io:big", big);
  assert.ok(big.equals(await redis.getBuffer("io:big")));
});

check("gets errors as errors", async () => {
  await redis.set("io:e", "text");
  const error = await rejected(redis.lpush("io:e", "x"), /^WRONGTYPE/);
  assert.equal(error.name, "ReplyError");
  await rejected(redis.call("NOSUCH", "x"), /unknown command/);
  if (hosts > 1) await rejected(redis.sunion(Array.from({ length: 20 }, (_, i) => `io:c${i}`)), /^CROSSSLOT/);
  const replies = await redis.pipeline().get("io:e").incr("io:e").get("io:none").exec();
  assert.equal(replies[0][1], "text");
  assert.match(replies[1][0].message, /not an integer/);
  assert.deepEqual(replies[2], [null, null]);
});

check("runs scripts by their hash", async () => {
  redis.defineCommand("addTo", { numberOfKeys: 1, lua: "return redis.call('incrby', KEYS[1], ARGV[1])" });
  assert.equal(await redis.addTo("io:lua", 5), 5);
  assert.equal(await redis.addTo("io:lua", 7), 12);
});

check("uses databases, names and a unix socket", async () => {
  const other = new Redis(path, { db: 3, connectionName: "io-three" });
  await redis.set("io:db", "zero");
  await other.set("io:db", "three");
  assert.equal(await redis.get("io:db"), "zero");
  assert.equal(await other.get("io:db"), "three");
  assert.equal(await other.client("GETNAME"), "io-three");
  assert.equal(await other.dbsize(), 1);
  assert.equal(await other.quit(), "OK");
});

check("runs transactions", async () => {
  const replies = await redis.multi().set("io:{t}:a", 1).incr("io:{t}:a").get("io:{t}:b").exec();
  assert.deepEqual(replies, [[null, "OK"], [null, 2], [null, null]]);
  const mixed = await redis.multi({ pipeline: true }).get("io:{t}:a").lpush("io:{t}:a", "x").exec();
  assert.equal(mixed[0][1], "2");
  assert.match(mixed[1][0].message, /^WRONGTYPE/);
  const watcher = new Redis(port);
  await watcher.watch("io:{t}:a");
  await redis.incr("io:{t}:a");
  assert.equal(await watcher.multi().get("io:{t}:a").exec(), null);
  await watcher.watch("io:{t}:a");
  assert.deepEqual(await watcher.multi().get("io:{t}:a").exec(), [[null, "3"]]);
  if (hosts > 1) {
    const wide = redis.multi();
    for (let i = 0; i < 20; i++) wide.set(`io:t${i}`, i);
    await rejected(wide.exec(), /CROSSSLOT|EXECABORT/);
  }
  await watcher.quit();
});

check("blocks", async () => {
  const waiting = new Redis(port);
  const popped = waiting.blpop("io:queue", 10);
  await redis.rpush("io:queue", "job");
  assert.deepEqual(await within(popped, 10, "element"), ["io:queue", "job"]);
  assert.equal(await waiting.brpop("io:queue", 0.05), null);
  const read = waiting.xread("BLOCK", 5000, "STREAMS", "io:x", "0");
  await redis.xadd("io:x", "1-1", "f", "v");
  assert.deepEqual(await within(read, 10, "entry"), [["io:x", [["1-1", ["f", "v"]]]]]);
  await waiting.quit();
});

check("walks", async () => {
  const keys = Array.from({ length: 300 }, (_, i) => `io:w${i}`);
  await redis.mset(Object.fromEntries(keys.map((key) => [key, 1])));
  const seen = new Set();
  for await (const page of redis.scanStream({ match: "io:w*", count: 50 })) page.forEach((key) => seen.add(key));
  assert.deepEqual([...seen].sort(), keys.sort());
});

check("subscribes and publishes", async () => {
  const subscriber = new Redis(port);
  const messages = [];
  subscriber.on("message", (channel, text) => messages.push([channel, text]));
  subscriber.on("pmessage", (pattern, channel, text) => messages.push([pattern, channel, text]));
  const channels = Array.from({ length: 10 }, (_, i) => `io:c${i}`);
  assert.equal(await subscriber.subscribe(...channels), 10);
  assert.equal(await subscriber.psubscribe("io:p*"), 11);
  for (const channel of channels) assert.equal(await redis.publish(channel, `to ${channel}`), 1);
  await redis.publish("io:pattern", "hello");
  const all = async () => {
    while (messages.length < 11) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await within(all(), 10, "messages");
  const plain = messages.filter((message) => message.length === 2);
  assert.deepEqual(plain.sort(), channels.map((channel) => [channel, `to ${channel}`]).sort());
  assert.deepEqual(messages.filter((message) => message.length === 3), [["io:p*", "io:pattern", "hello"]]);
  assert.equal(await subscriber.unsubscribe(...channels), 1);
  assert.equal(await subscriber.punsubscribe("io:p*"), 0);
  assert.equal(await subscriber.get("io:none"), null);
  await subscriber.quit();
});

check("connects again after the server's restart", async () => {
  await redis.set("io:kept", "still there");
  const lost = once(redis, "close");
  assert.equal(await restarted(lost, () => redis.get("io:kept")), "still there");
  assert.equal(redis.status, "ready");
});

check("quits and disconnects", async () => {
  const ended = once(redis, "end");
  assert.equal(await redis.quit(), "OK");
  await within(ended, 5, "end event");
  const other = new Redis(port);
  await within(once(other, "ready"), 5, "ready event");
  const gone = once(other, "end");
  other.disconnect();
  await within(gone, 5, "end event");
});

run();
