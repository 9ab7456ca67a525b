-- What .ci/run-specs makes of spec files: it is the judge of all others.
local support = require("support")

-- Runs files with these bodies, DIR their folder; returns the exit code, what was printed, and the folder.
local function run(...)
  local dir = support.temp_dir()
  for i, body in ipairs({ ... }) do
    support.write_file(("%s/body%d_spec.lua"):format(dir, i), (body:gsub("DIR", dir)))
  end
  local code, out = support.run({ ".ci/run-specs", dir, env = { NYDUS_SPEC_JOBS = 2 } })
  return code, out, dir
end

local passes = 'it("passes", function() end)'
local fails = 'it("fails", function() assert.equal(1, 2) end)'

-- Passes from the second time on.
local fails_once = [[
it("fails once", function()
  local file = io.open("DIR/once")
  io.open("DIR/once", "w"):close()
  assert.is_truthy(file)
end)]]

-- Writes the file `mine` and waits until there is the file `other`.
local function meets(mine, other)
  return ([[
it("%s", function()
  local support = require("support")
  print("begin %s")
  support.write_file("DIR/%s", "")
  support.wait_until(function() return support.read_file("DIR/%s") end)
  print("end %s")
end)]]):format(mine, mine, mine, other, mine)
end

describe(".ci/run-specs", function()
  it("is red when a spec fails, again when it is run alone", function()
    local code, out = run(passes, fails)
    assert.equal(1, code, out)
    assert.matches("1 passed, 1 failed\n\nrun again, alone: %S*body2_spec.lua\n.*FAILED fails.*0 passed, 1 failed\n$", out)
  end)

  it("is green and says so, when what failed passes alone", function()
    local code, out = run(passes, fails_once, passes)
    assert.equal(0, code, out)
    assert.matches("FAILED fails once.*UNSTABLE, passed when run again: %S*body2_spec.lua\n2 passed at first, 0 failed twice\n$",
      out)
  end)

  it("is red at once when more than two files fail", function()
    local code, out = run(fails, fails, fails)
    assert.equal(1, code, out)
    assert.matches("\n0 passed, 3 failed\n$", out)
    assert.not_matches("run again", out)
  end)

  it("runs files side by side, and prints what each of them has to say in one piece", function()
    local code, out = run(meets("a", "b"), meets("b", "a"), passes)
    assert.equal(0, code, out)
    for _, name in ipairs({ "a", "b" }) do
      assert.matches(("begin %s\nend %s\n *%%d+%%.%%d%%d s  %%S*body%%d_spec.lua  1\n"):format(name, name), out)
    end
    assert.matches("\n%d+%.%d s\n3 passed, 0 failed\n$", out)
  end)

  it("goes on when a file is ended by a signal, and ends with its number and the name of the test", function()
    local dies = 'it("dies", function() require("support.sys").kill(require("support.sys").getpid(), "KILL") end)'
    local code, out, dir = run(passes, "\n" .. passes .. dies, passes)
    assert.equal(128 + 9, code, out)
    assert.matches(("the specs were ended by signal 9, in %s/body2_spec.lua: dies\n3 passed, 1 failed\n$"):format(
      dir:gsub("%-", "%%-")), out)
  end)

  it("is red when a file ends before its last test, whatever the exit code", function()
    local code, out = run(passes, passes .. ' it("leaves", function() os.exit(0) end)')
    assert.equal(1, code, out)
    assert.matches("the specs were ended too early, in %S*body2_spec.lua: leaves\n1 passed, 1 failed\n$", out)
  end)

  it("counts what is skipped, and is red when nothing else is there", function()
    local skips = 'it("skips", function() pending("no such thing") end)'
    local code, out = run(passes, skips)
    assert.equal(0, code, out)
    assert.matches("skipped: skips: .*: no such thing\n.*\n1 passed, 0 failed, 1 skipped\n$", out)
    assert.equal(1, (run(skips)))
    code, out = run("")
    assert.equal(1, code, out)
    assert.matches("no spec ran\n", out)
  end)

  it("says which file is missing", function()
    local code, out = support.run({ ".ci/run-specs", "spec/none_spec.lua" })
    assert.equal(1, code, out)
    assert.matches("none_spec.lua", out)
  end)
end)
