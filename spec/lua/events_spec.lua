local events = require("nydus.events")

describe("what happens to scripts without a request", function()
  local api, now, said

  before_each(function()
    api, now, said = {}, 0, {}
    events.add(api, {
      clock = function() return now end,
      wake = function() end,
      watch_hosts = function() end,
    })
  end)

  local function run()
    local due = now
    while due and due <= now do due = events.step(false) end
    return due
  end

  local function say(...)
    said[#said + 1] = table.concat({ ... }, " ")
  end

  it("is told of a host once, as it is last, where it changes faster than they listen", function()
    api.on_host(function(_, state, why) say(state, why) end)
    events.begin()
    events.host_changed(1, "down", "first")
    events.host_changed(2, "away", "second")
    events.host_changed(1, "up", "third")
    run()
    assert.same({ "up third", "away second" }, said)
    events.host_changed(1, "down", "fourth")
    run()
    assert.same({ "up third", "away second", "down fourth" }, said)
  end)

  it("ends with stop, and what waits is forgotten", function()
    api.every(1, function() say("tick") end)
    api.after(5, function() say("late") end)
    events.begin()
    now = 2.5
    assert.equal(3.5, run())
    events.on_stop(function() say("stop") end)
    events.host_changed(1, "down", "late")
    events.leave()
    api.after(0.001, function() say("never") end)
    assert.is_nil(run())
    now = 100
    assert.is_nil(run())
    assert.same({ "tick", "stop" }, said)
  end)
end)
