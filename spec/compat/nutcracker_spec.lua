-- Nydus in the place of a running twemproxy: what one has written, the other
-- finds. One nutcracker with a pool for each case, one Nydus with a cluster for
-- each, the same redis-servers behind both.

local support = require("support")
local sys = require("support.sys")
local routers = require("support.routers")

local KEYS = 2000 -- that each of the two writes in each case

-- Ports are given here, as their digits matter; so the addresses are this run's alone.
local network = ("127.%d.%d."):format(math.floor(sys.getpid() / 250) % 250 + 2, sys.getpid() % 250 + 2)

-- Their order by text, by length and by port are all different ones.
local addresses = {
  { ip = network .. "1", port = 10001 },
  { ip = network .. "1", port = 9999 },
  { ip = network .. "10", port = 11211 },
  { ip = network .. "9", port = 11211 },
  { ip = network .. "9", port = 10001 },
}
local names = { "zz", "redis-10", "redis-9", "a-much-longer-name", "B" }

-- ------------------------------------------------------------- keys

-- Numbers that are the same in every run.
local function generator(seed)
  return function(limit)
    seed = seed * 16807 % 2147483647
    return seed % limit
  end
end

local function random_bytes(random, size)
  local bytes = {}
  for i = 1, size do bytes[i] = string.char(random(256)) end
  return table.concat(bytes)
end

-- What applications use, and what hash functions trip over: bytes from 0x80 on,
-- every length of a tail, blanks and line ends.
local function plain_keys(set)
  local random = generator(set == "a" and 4711 or 815)
  local shapes = {
    function(i) return "key" .. i end,
    function(i) return ("user:%d:profile"):format(i * 7919) end,
    function(i) return ("%08x-%04x"):format(i * 2654435761 % 4294967296, i) end,
    function(i) return "\195\169t\195\169:" .. i .. "\255\128\254" end,
    function(i) return i .. random_bytes(random, i % 40 + 1) end,
    function(i) return ("long%d:"):format(i) .. ("x"):rep(i % 300) end,
  }
  local keys = {}
  for i = 1, KEYS do keys[i] = set .. shapes[i % #shapes + 1](i) end
  return keys
end

-- Keys with a tag (between the two brackets), with several, and with what only looks like one.
local function tagged_keys(set, tag)
  local shapes = {
    "(user%d):name", "x(%d)y(other)", "()%d", "%d)(", "(%d", "%d)", "(\195\169%d)", "(%d))", "((%d)", "no tag %d",
  }
  local marks = { ["("] = tag:sub(1, 1), [")"] = tag:sub(2, 2) }
  local keys = {}
  for i = 1, KEYS do
    local shape = shapes[i % #shapes + 1]:gsub("[()]", marks)
    keys[i] = shape:format(i % 100) .. set .. i
  end
  return keys
end

-- ------------------------------------------------------------ pools

local cases = {}

-- One for ketama and one for modula. members: { at = index in addresses, unix=, name=, weight= } in the order of
-- the configuration.
local function case(name, members, options)
  for _, kind in ipairs({ "ketama", "modula" }) do
    local one = { members = members, kind = kind, title = kind .. ", " .. name }
    one.hash, one.tag = options and options.hash or "fnv1a_64", options and options.tag
    cases[#cases + 1] = one
  end
end

local function members_of(indices, give)
  local members = {}
  for i, index in ipairs(indices) do
    members[i] = give and give(i, index) or {}
    members[i].at = index
  end
  return members
end

local function named(i) return { name = names[i] } end

local five = { 1, 2, 3, 4, 5 }
for _, hash in ipairs({
  "fnv1a_64", "md5", "crc16", "murmur", "one_at_a_time", "hsieh", "jenkins", "crc32a", "crc32", "fnv1_64", "fnv1_32",
  "fnv1a_32",
}) do
  case("three names, " .. hash, members_of({ 1, 2, 3 }, named), { hash = hash })
end
case("weights 1 to 5 and names", members_of(five, function(i) return { name = names[i], weight = i } end),
  { hash = "murmur" })
case("weights 5 to 1 without names", members_of(five, function(i) return { weight = 6 - i } end), { hash = "md5" })
case("hash tag {}", members_of({ 1, 2, 3 }, named), { tag = "{}" })
case("hash tag $$", members_of({ 1, 2, 3 }, named), { tag = "$$", hash = "md5" })
case("host:port without names", members_of({ 1, 2, 3 }), { hash = "md5" })
case("addresses out of order", members_of({ 5, 3, 1, 2 }), { hash = "jenkins" })
case("memcached's port on two hosts", members_of({ 4, 3, 5 }), { hash = "one_at_a_time" })
case("unix sockets and an address", members_of({ 1, 2, 3 }, function(_, index) return { unix = index < 3 } end),
  { hash = "murmur" })
case("a name on a unix socket", members_of({ 2, 1 }, function(i) return { unix = true, name = names[i] } end),
  { hash = "crc16" })

-- --------------------------------------------------- the programs

-- Debian keeps it where only root looks.
local path = (os.getenv("PATH") or "") .. ":/usr/sbin:/usr/local/sbin"

local function is_installed()
  for folder in path:gmatch("[^:]+") do
    if support.read_file(folder .. "/nutcracker") then return true end
  end
  return false
end

local servers, sockets, nydus, nutcracker

local function redis_start(index, address)
  local dir = support.temp_dir()
  local server = { ip = address.ip, port = address.port, path = ("%s/%s.sock"):format(dir, index == 1 and "s" or "r") }
  server.process = support.start({
    name = "redis-" .. index,
    argv = {
      "redis-server", "--port", server.port, "--bind", server.ip, "--unixsocket", server.path, "--save", "",
      "--appendonly", "no", "--dir", dir, "--protected-mode", "no",
    },
  })
  support.wait_until(function()
    local ok, client = pcall(support.client, { host = server.ip, port = server.port })
    server.client = ok and client
    return ok or not server.process:alive()
  end, 10, "redis-server to listen")
  assert(server.client, server.process:log())
  server.client.timeout = 20
  return server
end

local function nutcracker_config()
  local text = {}
  for i, one in ipairs(cases) do
    text[#text + 1] = ("pool%d:\n  listen: %s/n%d\n  hash: %s\n  distribution: %s"):format(i, sockets, i, one.hash,
      one.kind)
    text[#text + 1] = "  redis: true\n  auto_eject_hosts: false\n  timeout: 20000"
    if one.tag then text[#text + 1] = ("  hash_tag: \"%s\""):format(one.tag) end
    text[#text + 1] = "  servers:"
    for _, member in ipairs(one.members) do
      local server = servers[member.at]
      local place = member.unix and server.path or ("%s:%d"):format(server.ip, server.port)
      local name = member.name and " " .. member.name or ""
      text[#text + 1] = ("   - %s:%d%s"):format(place, member.weight or 1, name)
    end
  end
  return table.concat(text, "\n") .. "\n"
end

local function nutcracker_start()
  local dir = support.temp_dir()
  local conf = support.write_file(dir .. "/nutcracker.yml", nutcracker_config())
  local process = support.start({
    name = "nutcracker",
    env = { PATH = path },
    argv = {
      "nutcracker", "-c", conf, "-o", dir .. "/log", "-p", dir .. "/pid", "-s", support.free_port(), "-a", "127.0.0.1",
    },
  })
  local last = ("%s/n%d"):format(sockets, #cases)
  support.wait_until(function() return not process:alive() or pcall(support.client, last) end, 10,
    "nutcracker to listen")
  assert(process:alive(), process:log() .. (support.read_file(dir .. "/log") or ""))
  return process
end

local function nydus_host(member)
  local server = servers[member.at]
  local host = { weight = member.weight, identifier = member.name }
  if member.unix then
    host.unix_socket_path = server.path
  else
    host.host, host.port = server.ip, server.port
  end
  return host
end

local function router_name(kind)
  return kind == "modula" and "modulus" or kind
end

local function nydus_start()
  local clusters = {}
  for i, one in ipairs(cases) do
    local hosts = {}
    for j, member in ipairs(one.members) do hosts[j] = nydus_host(member) end
    clusters["pool" .. i] = {
      listen = ("unix:%s/y%d"):format(sockets, i),
      router = { router_name(one.kind), compat = "twemproxy", hash = one.hash, hash_tag = one.tag },
      hosts = hosts,
      defaults = { timeout = 20 },
    }
  end
  return support.nydus({ config = { clusters = clusters }, wait = ("%s/y%d"):format(sockets, #cases) })
end

-- ------------------------------------------------------ the exchange

local function words_of(command, keys, value)
  local list = {}
  for i, key in ipairs(keys) do list[i] = { command, key, value and value .. i } end
  return list
end

local function write(client, keys, value)
  for i, reply in ipairs(client:pipeline(words_of("SET", keys, value))) do
    if reply ~= "OK" then error(("SET of %q: %s"):format(keys[i], reply.err or tostring(reply)), 2) end
  end
end

-- How many are not what they were written as, and the first of them.
local function read(client, keys, value)
  local wrong, first = 0, nil
  for i, reply in ipairs(client:pipeline(words_of("GET", keys))) do
    if reply ~= value .. i then
      wrong, first = wrong + 1, first or ("%q is %s"):format(keys[i], tostring(reply and reply.err or reply))
    end
  end
  return wrong, first
end

-- Which server holds each key, and how many keys there are on all of them.
local function where()
  local at, count = {}, 0
  for i, server in ipairs(servers) do
    for _, key in ipairs(server.client:call("KEYS", "*")) do
      at[key], count = i, count + 1
    end
  end
  return at, count
end

-- The router of the library, as Nydus's own choice.
local function expected_of(one)
  local members = {}
  for i, member in ipairs(one.members) do
    local server = servers[member.at]
    members[i] = { identifier = member.name, named = member.name ~= nil, weight = member.weight }
    members[i].address = member.unix and server.path or ("%s:%d"):format(server.ip, server.port)
    members[i].port = member.unix and 0 or server.port
  end
  return assert(routers.new(router_name(one.kind), members,
    { compat = "twemproxy", hash = one.hash, hash_tag = one.tag }))
end

local function count_misplaced(one, at, keys)
  local router, wrong, used = expected_of(one), 0, {}
  for _, key in ipairs(keys) do
    local choice = one.members[router:pick(key) + 1].at
    used[choice] = true
    if at[key] ~= choice then wrong = wrong + 1 end
  end
  local count = 0
  for _ in pairs(used) do count = count + 1 end
  return wrong, count
end

local function keys_for(one, set)
  if one.tag then return tagged_keys(set, one.tag) end
  return plain_keys(set)
end

local function client_of(kind, index)
  local client = support.client(("%s/%s%d"):format(sockets, kind, index))
  client.timeout = 20
  return client
end

describe("nutcracker", function()
  if not is_installed() then
    it("and Nydus find each other's keys", function() pending("no nutcracker") end)
    return
  end

  setup(function()
    servers = {}
    for i, address in ipairs(addresses) do servers[i] = redis_start(i, address) end
    sockets = support.temp_dir()
    nutcracker = nutcracker_start()
    nydus = nydus_start()
  end)

  before_each(function()
    for _, server in ipairs(servers) do server.client:call("FLUSHALL") end
  end)

  for index, one in ipairs(cases) do
    it(("and Nydus find each other's keys: %s"):format(one.title), function()
      local theirs, ours = client_of("n", index), client_of("y", index)
      local by_them, by_us = keys_for(one, "a"), keys_for(one, "b")
      write(theirs, by_them, "theirs ")
      write(ours, by_us, "ours ")

      local at, count = where()
      assert.equal(2 * KEYS, count)
      local wrong, used = count_misplaced(one, at, by_them)
      assert.equal(0, wrong, "keys of nutcracker are not where Nydus would put them")
      assert.equal(0, (count_misplaced(one, at, by_us)), "keys of Nydus are not where its router says")
      local one_server = one.hash == "crc32" and one.kind == "ketama" -- 15 bits: all fall on one point
      assert.equal(one_server and 1 or #one.members, used)

      assert.same({ 0 }, { read(ours, by_them, "theirs ") })
      assert.same({ 0 }, { read(theirs, by_us, "ours ") })
    end)
  end

  it("and Nydus run to the end", function()
    assert.is_true(nutcracker:alive())
    assert.is_true(nydus.process:alive())
  end)
end)
