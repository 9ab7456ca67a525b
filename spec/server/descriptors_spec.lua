-- A worker that has run out of file descriptors: it says no, does not spin,
-- and goes on when there are some again.

local support = require("support")
local pair = require("support.pair")

-- No descriptor of the worker's may have this number or a higher one any more.
local function allow(worker, limit)
  local code, _, err = support.run({ "prlimit", "--pid", worker, ("--nofile=%d:"):format(limit) })
  assert.equal(0, code, err)
end

describe("descriptors", function()
  it("that are used up are no reason to spin or to stop listening", function()
    if not support.has("prlimit") then
      pending("no prlimit")
      return
    end
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis } } })
    local worker, first = pair.worker(nydus), nydus:client()
    assert.equal("OK", first:call("SET", "k", "v"))
    allow(worker, support.fds(worker) + 5)

    local clients, served, refused = {}, 0, 0
    for i = 1, 12 do clients[i] = nydus:client() end
    support.wait_until(function() return nydus:log():find("no file descriptors left for clients", 1, true) end)
    local cpu, start = support.cpu(worker), support.now()
    support.wait_until(function() return support.now() - start > 1 end)
    assert.is_true(support.cpu(worker) - cpu < 0.3, ("used %.2f s of CPU"):format(support.cpu(worker) - cpu))
    assert.equal("v", first:call("GET", "k"))

    for _, client in ipairs(clients) do
      client:command("PING")
      local ok, reply = pcall(client.read, client, 1)
      if ok and reply == "PONG" then
        served = served + 1
      elseif ok then
        assert.same({ err = "ERR max number of clients reached" }, reply)
        refused = refused + 1
      end
    end
    assert.equal(12, served + refused)
    assert.is_true(served >= 4 and refused >= 1, served .. " served")

    for _, client in ipairs(clients) do client:close() end
    support.wait_until(function()
      local client = nydus:client()
      local ok, reply = pcall(client.call, client, "GET", "k")
      client:close()
      return ok and reply == "v"
    end, 3, "clients to be taken again")
    local _, times = nydus:log():gsub("no file descriptors left", "")
    assert.is_true(times <= 5, times .. " lines in the log")
  end)

  it("that are used up fail a broken link in words, and it comes back when there are some", function()
    if not support.has("prlimit") then
      pending("no prlimit")
      return
    end
    local redis = support.redis()
    local nydus = support.nydus({ config = { hosts = { redis } } })
    local worker, client = pair.worker(nydus), nydus:client()
    assert.equal("OK", client:call("SET", "k", "v"))
    allow(worker, 3)
    redis:call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    support.wait_until(function()
      local reply = client:call("GET", "k")
      return type(reply) == "table" and reply.err:find("Too many open files", 1, true)
    end, 3, "the error")
    allow(worker, 1000)
    support.wait_until(function() return client:call("GET", "k") == "v" end, 3, "the link to come back")
  end)
end)
