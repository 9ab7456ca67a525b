// What client_ioredis.js and client_redis.js share: named checks, a line for
// each that fails, and the wait for a server that is started again.

"use strict";

const assert = require("node:assert/strict");

const checks = [];

function check(name, fn) {
  checks.push({ name, fn });
}

function within(promise, seconds, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// The error that a promise is rejected with.
async function rejected(promise, pattern) {
  const got = await promise.then((value) => value, (error) => error);
  assert.ok(got instanceof Error, `expected an error, got ${String(got).slice(0, 100)}`);
  assert.match(got.message, pattern);
  return got;
}

// Tells the spec to end the server and start it again; `again()` is tried until it works.
async function restarted(lost, again) {
  console.log("restart it");
  await within(lost, 15, "end of the connection");
  const deadline = Date.now() + 15000;
  for (;;) {
    try {
      return await within(again(), 5, "reply");
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function run() {
  let failed = 0;
  for (const { name, fn } of checks) {
    try {
      await within(fn(), 40, "end");
    } catch (error) {
      failed++;
      console.log(`${name}: ${error.stack.split("\n").slice(0, 12).join("\n  ")}`);
    }
  }
  console.log(`${checks.length - failed} of ${checks.length} worked`);
  process.exit(failed > 0 ? 1 : 0);
}

module.exports = { check, rejected, restarted, run, within };
