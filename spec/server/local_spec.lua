-- Commands that Nydus answers itself, side by side with a redis-server.

local support = require("support")

local null = support.null

describe("local", function()
  local redis, nydus, client, peer

  setup(function()
    redis = support.redis()
    nydus = support.nydus({ config = { hosts = { redis } } })
  end)

  before_each(function()
    client, peer = nydus:client(), redis:client()
  end)

  -- Both answer the same, however they are asked.
  local function same(lines)
    for _, words in ipairs(lines) do
      if type(words) == "string" then
        local line = words
        words = {}
        for word in line:gmatch("%S+") do words[#words + 1] = word end
      end
      local expected = peer:call(unpack(words))
      assert.same(expected, client:call(unpack(words)), table.concat(words, " "))
    end
  end

  describe("PING and ECHO", function()
    it("answer as Redis does", function()
      same({
        "PING", "PING hello", "PING a b", "ECHO hello", "ECHO", "ECHO a b", { "ECHO", "" }, { "PING", "a\r\nb\0c" },
      })
    end)

    it("echo what is big", function()
      local big = ("x"):rep(3 * 1024 * 1024)
      assert.equal(big, client:call("ECHO", big))
      assert.equal(big, client:call("PING", big))
    end)

    it("keep their place behind a slow host's reply", function()
      local slow = support.fake({ auto = { PING = "+PONG\r\n" } })
      local other = support.nydus({ config = { hosts = { slow } } }):client()
      other:send(support.encode({ "GET", "k" }) .. support.encode({ "PING" }) .. support.encode({ "ECHO", "me" }))
      slow:expect("GET k")
      assert.equal("", other:pending())
      slow:answer("$1\r\nv\r\n")
      assert.same({ "v", "PONG", "me" }, { other:read(), other:read(), (other:read()) })
    end)
  end)

  describe("QUIT", function()
    it("answers after all that is pending, and the rest of the pipeline is not run", function()
      local bytes = {}
      for _, words in ipairs({ { "SET", "quit", "1" }, { "GET", "quit" }, { "QUIT" }, { "SET", "quit", "2" } }) do
        bytes[#bytes + 1] = support.encode(words)
      end
      client:send(table.concat(bytes))
      client:expect_end("+OK\r\n$1\r\n1\r\n+OK\r\n")
      assert.equal("1", redis:call("GET", "quit"))
    end)
  end)

  describe("RESET", function()
    it("forgets the name and the database", function()
      client:call("CLIENT", "SETNAME", "me")
      client:call("SELECT", "3")
      assert.equal("RESET", client:call("RESET"))
      assert.equal(null, client:call("CLIENT", "GETNAME"))
      assert.matches(" db=0 ", client:call("CLIENT", "INFO"))
    end)
  end)

  describe("CLIENT", function()
    it("answers as Redis does", function()
      same({
        "CLIENT", "CLIENT NONSENSE", "client nonsense a b", "CLIENT GETNAME", "CLIENT SETNAME me", "CLIENT GETNAME",
        { "CLIENT", "SETNAME", "a b" }, { "CLIENT", "SETNAME", "a\nb" }, "CLIENT GETNAME", { "CLIENT", "SETNAME", "" },
        "CLIENT GETNAME", "CLIENT SETNAME a b", "CLIENT GETREDIR", "CLIENT TRACKINGINFO", "CLIENT CACHING yes",
        "CLIENT TRACKING OFF", "CLIENT TRACKING maybe", "CLIENT REPLY ON", "CLIENT REPLY maybe", "CLIENT NO-EVICT on",
        "CLIENT NO-EVICT off", "CLIENT NO-EVICT maybe", "CLIENT UNBLOCK 99999", "CLIENT UNBLOCK x",
        "CLIENT UNBLOCK 99999 maybe", "CLIENT UNBLOCK 99999 TIMEOUT ERROR", "CLIENT LIST TYPE nonsense",
        "CLIENT LIST TYPE pubsub", "CLIENT LIST ID x", "CLIENT LIST ID", "CLIENT LIST nonsense", "CLIENT ID 1",
      })
    end)

    it("takes a library's name and version", function()
      assert.equal("OK", client:call("CLIENT", "SETINFO", "LIB-NAME", "spec"))
      assert.equal("OK", client:call("CLIENT", "SETINFO", "lib-ver", "1.2"))
      assert.matches(" lib%-name=spec lib%-ver=1.2\n$", client:call("CLIENT", "INFO"))
      assert.matches("^ERR lib%-name cannot contain", client:call("CLIENT", "SETINFO", "LIB-NAME", "a b").err)
      assert.matches("^ERR Unrecognized option 'nonsense'", client:call("CLIENT", "SETINFO", "nonsense", "x").err)
    end)

    it("gives each connection an ID of its own", function()
      local other = nydus:client()
      local id = client:call("CLIENT", "ID")
      assert.equal("number", type(id))
      assert.equal(id, client:call("CLIENT", "ID"))
      assert.are_not.equal(id, other:call("CLIENT", "ID"))
    end)

    it("lists the clients of the worker, each as CLIENT INFO shows it", function()
      local other = nydus:client()
      client:call("CLIENT", "SETNAME", "one")
      other:call("CLIENT", "SETNAME", "two")
      local list, id = client:call("CLIENT", "LIST"), client:call("CLIENT", "ID")
      assert.matches("name=one ", list)
      assert.matches("name=two ", list)
      local line = client:call("CLIENT", "LIST", "ID", id)
      assert.matches("^id=" .. id .. " addr=127%.0%.0%.1:%d+ laddr=127%.0%.0%.1:" .. nydus.port .. " ", line)
      assert.matches("name=one .* cmd=client|list user=default .*\n$", line)
      assert.equal("", client:call("CLIENT", "LIST", "ID", 2 ^ 40))
    end)

    it("bounds what a name may hold", function()
      assert.equal("OK", client:call("CLIENT", "SETNAME", ("n"):rep(1024)))
      assert.matches("^ERR Client names cannot be longer", client:call("CLIENT", "SETNAME", ("n"):rep(1025)).err)
    end)

    it("helps", function()
      local help = client:call("CLIENT", "HELP")
      assert.matches("^CLIENT <subcommand>", help[1])
      assert.is_truthy(table.concat(help, "\n"):find("\nGETNAME\n", 1, true))
    end)
  end)

  describe("CONFIG", function()
    it("GET knows what redis-benchmark asks for", function()
      assert.same({ "save", "" }, client:call("CONFIG", "GET", "save"))
      assert.same({ "appendonly", "no" }, client:call("CONFIG", "GET", "appendonly"))
    end)

    it("GET takes several patterns in any case, and gives nothing twice", function()
      same({ "CONFIG GET nonsense", "CONFIG GET", "CONFIG", "CONFIG NONSENSE", "CONFIG GET max?emory",
        { "CONFIG", "GET", "DATABASES" }, "CONFIG GET proto-max-bulk-l[e]n", "CONFIG GET maxmemory maxmemory" })
      assert.same({ "appendonly", "no", "SAVE", "" }, client:call("CONFIG", "GET", "SAVE", "append*", "s?ve"))
    end)

    it("GET tells the cluster's own limits", function()
      local other = support.nydus({
        config = { hosts = { redis }, max_clients = 77, client_timeout = 9, max_request = 1000000 },
      }):client()
      assert.same({ "maxclients", "77" }, other:call("CONFIG", "GET", "maxclients"))
      assert.same({ "timeout", "9" }, other:call("CONFIG", "GET", "timeout"))
      assert.same({ "proto-max-bulk-len", "1000000" }, other:call("CONFIG", "GET", "proto-max-bulk-len"))
    end)
  end)

  describe("TIME and ROLE", function()
    it("answer as one Redis", function()
      local time = client:call("TIME")
      assert.is_true(math.abs(tonumber(time[1]) - tonumber(peer:call("TIME")[1])) <= 2)
      assert.same({ "master", 0, {} }, client:call("ROLE"))
    end)
  end)

  it("reaches no host with any of it", function()
    local host = support.fake({ auto = { PING = "+PONG\r\n" } })
    local other = support.nydus({ config = { hosts = { host } } }):client()
    host:accept()
    for _, words in ipairs({
      { "PING" }, { "ECHO", "x" }, { "SELECT", "0" }, { "AUTH", "x" }, { "HELLO" }, { "CLIENT", "SETNAME", "x" },
      { "CLIENT", "REPLY", "ON" }, { "CLIENT", "LIST" }, { "CLIENT", "PAUSE", "0" }, { "CLIENT", "UNPAUSE" },
      { "CONFIG", "GET", "*" }, { "INFO" }, { "COMMAND" },
      { "COMMAND", "GETKEYS", "GET", "k" }, { "TIME" }, { "ROLE" }, { "RESET" }, { "CLIENT", "NONSENSE" },
    }) do
      other:call(unpack(words))
    end
    host:expect_silence(0.05)
  end)
end)
