-- Names to addresses on a libev loop of the spec's own. Names that need DNS are
-- only asked for as far as every machine agrees on the outcome: ".invalid" has
-- no address, whether DNS says so, is mute, or does not exist.

local ffi = require("ffi")
local support = require("support")

support.cdef([[
typedef unsigned socklen_t;
struct sockaddr_storage { uint16_t ss_family; uint8_t bytes[118]; unsigned long align; };
struct ev_loop *ev_loop_new(unsigned flags);
void ev_loop_destroy(struct ev_loop *loop);
int ev_run(struct ev_loop *loop, int flags);
int setenv(const char *name, const char *value, int overwrite);
int unsetenv(const char *name);
]])
support.header("net/resolve.h")
local C = support.lib()
local ev = ffi.load("libev.so.4")
local ONCE = 2
local DEADLINE = 3.5 -- seconds; the three of the header, and a slow machine

local function texts(addresses, count)
  local out, text = {}, ffi.new("char[128]")
  for i = 0, tonumber(count) - 1 do
    out[i + 1] = ffi.string(C.address_text(addresses + i, text, 128))
  end
  return out
end

describe("resolve", function()
  local loop, callbacks

  before_each(function()
    loop, callbacks = ev.ev_loop_new(0), {}
  end)

  after_each(function()
    ev.ev_loop_destroy(loop)
    for _, callback in ipairs(callbacks) do callback:free() end
  end)

  -- A lookup under way; its `calls` hold what each call of done was given.
  local function start(name, on_done)
    local lookup = { calls = {} }
    local callback = ffi.cast("resolve_done *", function(_, addresses, count, why)
      lookup.calls[#lookup.calls + 1] = {
        addresses = texts(addresses, count),
        error = why ~= nil and ffi.string(why) or nil,
      }
      if on_done then on_done(lookup) end
    end)
    callbacks[#callbacks + 1] = callback
    lookup.resolve = C.resolve_start(loop, name, 6379, callback, nil)
    return lookup
  end

  -- C calls back into Lua from here, which compiled code must not do.
  local function run(flags)
    ev.ev_run(loop, flags or 0)
  end
  jit.off(run)

  local function outcome(name)
    local lookup = start(name)
    assert.equal(0, #lookup.calls, name)
    run() -- ends when the loop has nothing left to watch
    assert.equal(1, #lookup.calls, name)
    return lookup.calls[1]
  end

  describe("resolve_start", function()
    local good = {
      { "127.0.0.1", "127.0.0.1:6379" },
      { "10.1.2.3", "10.1.2.3:6379" },
      { "::1", "[::1]:6379" },
    }
    it("takes numeric addresses as they are", function()
      for _, row in ipairs(good) do
        local got = outcome(row[1])
        assert.is_nil(got.error)
        assert.same({ row[2] }, got.addresses)
      end
    end)

    it("finds localhost, IPv4 first", function()
      local got = outcome("localhost")
      assert.is_nil(got.error)
      assert.equal("127.0.0.1:6379", got.addresses[1])
    end)

    describe("with a hosts file", function()
      before_each(function()
        local path = support.temp_dir() .. "/hosts"
        support.write_file(path, table.concat({
          "fd00::1 twin.invalid",
          "10.0.0.2 other.invalid twin.invalid",
          "10.0.0.1 twin.invalid\n",
        }, "\n"))
        ffi.C.setenv("CARES_HOSTS", path, 1)
      end)
      after_each(function() ffi.C.unsetenv("CARES_HOSTS") end)

      it("gives all addresses of a name, IPv4 first", function()
        assert.same({ "10.0.0.2:6379", "10.0.0.1:6379", "[fd00::1]:6379" }, outcome("twin.invalid").addresses)
        assert.same({ "10.0.0.2:6379" }, outcome("other.invalid").addresses)
      end)
    end)

    local bad = {
      "nowhere.invalid", "nowhere.invalid.", "a..b", "",
      ("x"):rep(64) .. ".invalid", -- a label too long
      ("x."):rep(600), -- a name too long
    }
    it("says in words why there is no address, before the deadline", function()
      for _, name in ipairs(bad) do
        local from = support.now()
        local got = outcome(name)
        assert.is_true(support.now() - from < DEADLINE, name)
        assert.same({}, got.addresses)
        local quoted, reason = got.error:match("^cannot resolve '(.*)': (%l[%w ,]+)$")
        assert.equal(name:sub(1, 256), quoted)
        assert.is_truthy(reason)
      end
    end)

    it("looks up many names at once, each with one outcome", function()
      local lookups = {}
      for i = 1, 60 do lookups[i] = start(i % 2 == 0 and "localhost" or "n" .. i .. ".invalid") end
      run()
      for i, lookup in ipairs(lookups) do
        assert.equal(1, #lookup.calls)
        assert.equal(i % 2 == 0, lookup.calls[1].error == nil)
      end
    end)

    it("can be called from within done", function()
      local second
      start("localhost", function() second = second or start("127.0.0.1") end)
      run()
      assert.same({ "127.0.0.1:6379" }, second.calls[1].addresses)
    end)
  end)

  describe("resolve_cancel", function()
    it("leaves done uncalled and the loop empty", function()
      for _, name in ipairs({ "127.0.0.1", "localhost", "nowhere.invalid" }) do
        local from = support.now()
        local lookup = start(name)
        C.resolve_cancel(lookup.resolve)
        run()
        assert.equal(0, #lookup.calls, name)
        assert.is_true(support.now() - from < 1, name)
      end
    end)

    it("ends one lookup and not the others", function()
      local first, second = start("nowhere.invalid"), start("elsewhere.invalid")
      C.resolve_cancel(first.resolve)
      run()
      assert.equal(0, #first.calls)
      assert.equal(1, #second.calls)
    end)

    it("works from within the done of another, and of its own", function()
      local lookups = {}
      local function cancel_all()
        for _, lookup in ipairs(lookups) do C.resolve_cancel(lookup.resolve) end
      end
      for i, name in ipairs({ "localhost", "127.0.0.1", "nowhere.invalid" }) do
        lookups[i] = start(name, cancel_all)
      end
      run(ONCE)
      run()
      assert.equal(1, #lookups[1].calls + #lookups[2].calls + #lookups[3].calls)
    end)

    it("takes nothing for an answer", function()
      C.resolve_cancel(nil)
    end)
  end)
end)
