-- SPDX-License-Identifier: Apache-2.0
local ffi = require("ffi")
local support = require("support")

local C = support.lib()
support.header("server/config.h")
support.cdef([[
  struct lua_State *luaL_newstate(void);
  void luaL_openlibs(struct lua_State *L);
  void lua_close(struct lua_State *L);
  int luaL_loadstring(struct lua_State *L, const char *text);
  int lua_pcall(struct lua_State *L, int arguments, int results, int handler);
  int lua_gettop(struct lua_State *L);
  const char *lua_tolstring(struct lua_State *L, int index, size_t *size);
]])

local CHUNK = [[
  package.path = "./lua/?.lua"
  local files = { ["config.lua"] = %q, ["routers/mine.lua"] = "" }
  local result, problems = require("nydus.config").load(require("nydus.bundle").of(files), "config.lua")
  assert(result, problems and table.concat(problems, "\n"))
  return 1, result, 2
]]

-- The configuration as C reads it, from a Lua state of its own.
local function read(text)
  local L = C.luaL_newstate()
  C.luaL_openlibs(L)
  if C.luaL_loadstring(L, CHUNK:format(text)) ~= 0 or C.lua_pcall(L, 0, 3, 0) ~= 0 then
    error(ffi.string(C.lua_tolstring(L, -1, nil)))
  end
  local config = C.config_read(L, 2)
  assert.equal(3, C.lua_gettop(L))
  C.lua_close(L) -- nothing may point into it
  return ffi.gc(config, C.config_destroy)
end

local function str(pointer)
  return pointer ~= nil and ffi.string(pointer) or nil
end

describe("config in C", function()
  describe("users", function()
    local HEX = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" -- of "secret"

    local function hex(digest)
      return (ffi.string(digest, 32):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
    end

    it("are copied with the digests of their passwords only", function()
      local cluster = read(([[return { listen = 1, hosts = { {} }, deny = { "flushall", "@dangerous" }, users = {
        a = { password = "secret", commands = { "+@read", "-keys" }, keys = { "user:*", "b" } },
        b = { password = "sha256:%s" },
        default = { password = false, keys = {} },
      } }]]):format(HEX:upper())).clusters[0]
      local a, b, default = cluster.users[0], cluster.users[1], cluster.users[2]
      assert.equal(3, tonumber(cluster.user_count))
      assert.same({ "a", "b", "default" }, { str(a.name), str(b.name), str(default.name) })
      assert.same({ HEX, HEX }, { hex(a.digest), hex(b.digest) })
      assert.same({ false, false, true }, { a.open, b.open, default.open })
      assert.same({ false, true, false }, { a.all_keys, b.all_keys, default.all_keys })
      assert.same({ 2, "+@read", "-keys" }, { tonumber(a.command_count), str(a.commands[0]), str(a.commands[1]) })
      assert.same({ 1, "+@all" }, { tonumber(b.command_count), str(b.commands[0]) })
      assert.same({ 2, "user:*", "b" }, { tonumber(a.key_count), str(a.keys[0]), str(a.keys[1]) })
      assert.same({ 2, "+flushall" }, { tonumber(cluster.deny_count), str(cluster.deny[0]) })
    end)
  end)

  describe("config_read", function()
    it("copies every field", function()
      local config = read([[return {
        workers = 3, log = { level = "warn", file = "/var/log/x" }, router_memory = "128mb",
        clusters = {
          b = {
            listen = { "127.0.0.1:1", "[::1]:2", ":3", "unix:/s" },
            router = { "ketama", compat = "twemproxy", hash = "murmur", hash_tag = "<>", signed = false, eject = true },
            hosts = {
              [0] = { host = "h", port = 5, db = 7, user = "u", password = "p", timeout = 0.5, connect_timeout = 2,
                weight = 9, identifier = "i", connections = 4 },
              [12] = "unix:/r?db=1",
            },
            max_connection_retries = 1, retry_timeout = 1.5, failure_limit = 3, max_clients = 4,
            max_request = "4095mb", max_reply_buffer = "5gb", client_timeout = 6.5,
          },
          a = { router = { "routers/mine.lua", x = 1 }, hosts = { "127.0.0.1:6379" } },
        },
      }]])
      assert.same({ 3, "/var/log/x", 2, 128 * 2 ^ 20 }, {
        config.workers, str(config.log_file), tonumber(config.cluster_count), tonumber(config.router_memory),
      })
      assert.equal(C.LOG_WARN, tonumber(config.log_level))

      local a, b = config.clusters[0], config.clusters[1]
      assert.same({ "a", 0, "b", 1, "redis" }, { str(a.name), a.index, str(b.name), b.index, str(b.engine) })
      assert.same({ 1, 1.5, 3, 4, 4095 * 2 ^ 20, 5 * 2 ^ 30, 6.5, true }, {
        b.max_connection_retries, b.retry_timeout, b.failure_limit, b.max_clients, b.max_request,
        tonumber(b.max_reply_buffer), b.client_timeout, b.eject,
      })

      local listens = {}
      for i = 0, tonumber(b.listen_count) - 1 do
        local listen = b.listen[i]
        listens[i + 1] = {
          text = str(listen.text), host = str(listen.host), path = str(listen.path), port = listen.port,
        }
      end
      assert.same({
        { text = "127.0.0.1:1", host = "127.0.0.1", port = 1 },
        { text = "[::1]:2", host = "::1", port = 2 },
        { text = ":3", host = "", port = 3 },
        { text = "unix:/s", path = "/s", port = 0 },
      }, listens)
      assert.equal(0, tonumber(a.listen_count))

      local options = b.router.options
      assert.equal(C.ROUTER_BUILTIN, tonumber(b.router.form))
      assert.same({ C.ROUTER_KETAMA, C.COMPAT_TWEMPROXY, C.HASH_MURMUR, true, "<>" }, {
        tonumber(options.kind), tonumber(options.compat), tonumber(options.hash), options.unsigned_bytes,
        ffi.string(options.hash_tag, 2),
      })
      assert.equal(C.ROUTER_SCRIPT, tonumber(a.router.form))
      assert.same({ "routers/mine.lua", "routers/mine.lua" }, { str(a.router.path), str(a.router.text) })

      local tcp, unix = b.hosts[0], b.hosts[1]
      assert.same({ 0, "h", 5, 7, "u", "p", 0.5, 2, 9, "i", true, 4, "h:5" }, {
        tonumber(tcp.key), str(tcp.host), tcp.port, tcp.db, str(tcp.user), str(tcp.password), tcp.timeout,
        tcp.connect_timeout, tcp.weight, str(tcp.identifier), tcp.named, tcp.connections, str(tcp.address),
      })
      assert.same({ 12, 0, "/r", 1, "redis:///r/1", false, "/r" }, {
        tonumber(unix.key), unix.port, str(unix.unix_socket_path), unix.db, str(unix.identifier), unix.named,
        str(unix.address),
      })
      assert.same({}, { str(unix.host), str(unix.user), str(unix.password) })
    end)

    it("reads every built-in router with its defaults", function()
      for _, name in ipairs({ "first", "jump", "ketama", "modulus", "random", "rendezvous", "round_robin", "slots" }) do
        for _, compat in ipairs({ "nydus", "twemproxy", "redis" }) do
          local router = ('router = { %q, compat = %q }'):format(name, compat)
          if compat == "nydus" then
            router = ("router = %q"):format(name)
          end
          local known = compat ~= "twemproxy" or name == "ketama" or name == "modulus" or name == "random"
          if known and not (compat == "redis" and (name == "first" or name == "round_robin")) then
            local cluster = read("return { listen = 1, hosts = { {} }, " .. router .. " }").clusters[0]
            local options = cluster.router.options
            assert.equal(name, str(C.router_kind_name(options.kind)))
            if C.router_kind_hashes(options.kind) then
              local hash = C.router_default_hash(options.kind, options.compat)
              assert.equal(str(C.hash_kind_name(hash)), str(C.hash_kind_name(options.hash)), router)
            end
            assert.is_false(options.unsigned_bytes)
          end
        end
      end
    end)

    it("reads the router all, and no log file", function()
      local config = read("return { listen = 1, hosts = { {} } }")
      assert.equal(C.ROUTER_ALL, tonumber(config.clusters[0].router.form))
      assert.same({ 0, nil }, { config.workers, str(config.log_file) })
      assert.equal(C.LOG_INFO, tonumber(config.log_level))
    end)
  end)

  describe("config_find", function()
    it("finds a cluster by name", function()
      local config = read("return { clusters = { a = { listen = 1, hosts = { {} } }, b = { hosts = { {} } } } }")
      assert.equal("b", str(C.config_find(config, "b").name))
      assert.is_true(C.config_find(config, "c") == nil)
    end)
  end)

  describe("config_destroy", function()
    it("takes NULL", function()
      C.config_destroy(nil)
    end)
  end)
end)
