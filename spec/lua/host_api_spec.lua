-- What router scripts know of hosts and do to them, where there is no server.

local script = require("support.script")

local HEAD = "local cluster = ... local nydus = require(\"nydus\")\n"

local function new(body)
  local s = script.new({ router = HEAD .. body })
  s:begin()
  return s
end

local function refused(body)
  return script.refused({ router = HEAD .. body })
end

describe("a host of a router script", function()
  it("has a state", function()
    local s = new("return function(req) return nydus.reply(cluster.hosts[1].state) end")
    assert.equal("reply $4\r\nidle\r\n", s:route("GET", "k"))
    s:close()
  end)

  it("that is marked down is not chosen by routers, until it is taken back", function()
    local s = new([[local ring = nydus.ketama(cluster)
      local host = ring:pick("k")
      return function(req)
        if req.command == "set" then host:down() elseif req.command == "del" then host:up() end
        if req.command == "get" then return ring end
        return nydus.reply(host.state)
      end]])
    local home = s:route("GET", "k")
    assert.equal("reply $4\r\ndown\r\n", s:route("SET", "k", "v"))
    assert.not_equal(home, s:route("GET", "k"))
    assert.equal("reply $4\r\nidle\r\n", s:route("DEL", "k"))
    assert.equal(home, s:route("GET", "k"))
    s:close()
  end)

  it("may be marked at load", function()
    local s = new([[cluster:host("b"):down()
      local ring = nydus.first{ cluster:host("b"), cluster:host("c") }
      return ring]])
    assert.equal("host c", s:route("GET", "k"))
    s:close()
  end)

  it("is seen by on_host when it changes, after the decision", function()
    local s = new([[local said = {}
      nydus.on_host(function(host, state, why) said[#said + 1] = host.identifier .. " " .. state .. ": " .. why end)
      return function(req)
        if req.command == "set" then cluster.hosts[2]:down() cluster.hosts[3]:down() cluster.hosts[3]:up() end
        return nydus.reply(table.concat(said, ", "))
      end]])
    assert.equal("reply $0\r\n\r\n", s:route("SET", "k", "v"))
    assert.equal("reply $0\r\n\r\n", s:route("GET", "k"))
    s:advance(0)
    assert.equal("reply $31\r\nb down: a router script says so\r\n", s:route("GET", "k"))
    s:close()
  end)

  it("may be marked by who is told of it: others are told, too, and errors of one keep nobody from it", function()
    local s = new([[local said = {}
      nydus.on_host(function(host) said[#said + 1] = "first " .. host.identifier error("oops") end)
      nydus.on_host(function(host)
        said[#said + 1] = "second " .. host.identifier
        cluster.hosts[host.identifier == "a" and 2 or 3]:down()
      end)
      return function(req)
        if req.command == "set" then cluster.hosts[1]:down() end
        return nydus.reply(table.concat(said, ", "))
      end]])
    s:route("SET", "k", "v")
    for _ = 1, 5 do s:advance(1) end
    assert.matches("first a, second a, first b, second b, first c, second c\r\n", s:route("GET", "k"))
    s:close()
  end)

  it("says what is wrong with what is asked of it", function()
    for body, expected in pairs({
      ["cluster.hosts[1]:down('1')"] = "bad argument #1 to 'down' (seconds are expected, got a string)",
      ["cluster.hosts[1]:down(0)"] = "bad argument #1 to 'down' (seconds above 0 are expected, got 0)",
      ["cluster.hosts[1]:down(-1)"] = "bad argument #1 to 'down' (seconds above 0 are expected, got -1)",
      ["cluster.hosts[1]:down(0/0)"] = "bad argument #1 to 'down' (seconds above 0 are expected, got " ..
        tostring(0 / 0) .. ")",
      ["cluster.hosts[1].down()"] = "write host:down(), with a colon",
      ["cluster.hosts[1].up(cluster)"] = "write host:up(), with a colon",
      ["cluster.hosts[1].state = 'up'"] = "a host cannot be changed (field 'state')",
      ["print(cluster.hosts[1].stat)"] = "a host has no field 'stat'; did you mean 'state'?",
      ["cluster:down()"] = "a cluster has no field 'down'",
      ["nydus.on_host()"] = "bad argument #1 to 'on_host' (a function is expected, got nil)",
      ["nydus.on_host(cluster)"] = "bad argument #1 to 'on_host' (a function is expected, got cluster main)",
      ["for i = 1, 101 do nydus.on_host(print) end"] = "nydus.on_host: more than 100 functions",
    }) do
      assert.equal("main.lua:2: " .. expected, refused(body .. " return cluster"), body)
    end
    local s = new("return function(req) nydus.on_host(print) return cluster.hosts[1] end")
    assert.matches("nydus%.on_host: say it at load, outside of the function that decides", s:route("GET", "k"))
    s:close()
  end)
end)
