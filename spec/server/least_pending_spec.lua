-- The router least_pending, where hosts answer at different speeds.

local testing = require("nydus.testing")

describe("least_pending", function()
  local t
  before_each(function()
    t = testing.load("least_pending", { hosts = { "a", "b", "c" }, cluster = { defaults = { timeout = 50 } } })
  end)
  after_each(function() t:close() end)

  local function counts()
    local out = {}
    for _, host in ipairs(t.ordered) do out[#out + 1] = #t:requests(host) end
    return out
  end

  it("leaves a host alone that does not answer", function()
    t:on("b", function() return testing.silence end)
    local stuck = t:client()
    for _ = 1, 3 do stuck:send("GET", "k") end -- one of them stays with b
    counts()
    for _ = 1, 20 do assert.equal(testing.null, t:client():call("GET", "k")) end
    local of = counts()
    assert.is_true(of[1] > 5 and of[2] == 0 and of[3] > 5, table.concat(of, " "))
  end)

  it("spreads what arrives together", function()
    local client = t:client()
    local bytes = ("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"):rep(30)
    client:raw(bytes)
    assert.same({ 10, 10, 10 }, counts())
  end)

  it("goes past a host that is down", function()
    t:down("a")
    t:call("GET", "k")
    t:call("GET", "k")
    counts()
    for _ = 1, 10 do t:call("GET", "k") end
    assert.same({ 0, 5, 5 }, counts())
  end)
end)
