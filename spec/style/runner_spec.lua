-- What .ci/run-specs makes of specs that fail: it is the judge of all others.
local support = require("support")

-- Runs one file with this body; returns the exit code and what was printed.
local function run(body)
  local dir = support.temp_dir()
  support.write_file(dir .. "/body_spec.lua", body:gsub("DIR", dir))
  return support.run({ ".ci/run-specs", dir .. "/body_spec.lua" })
end

describe(".ci/run-specs", function()
  it("is red when a spec fails, again when it is run alone", function()
    local code, out = run('it("fails", function() assert.equal(1, 2) end)')
    assert.equal(1, code, out)
    assert.matches("run again, alone: .*FAILED fails.*0 passed, 1 failed\n$", out)
  end)

  it("is green and says so, when what failed passes alone", function()
    local code, out = run([[
      it("fails once", function()
        local file = io.open("DIR/once")
        io.open("DIR/once", "w"):close()
        assert.is_truthy(file)
      end)]])
    assert.equal(0, code, out)
    assert.matches("FAILED fails once.*UNSTABLE, passed when run again: %S*body_spec.lua\n", out)
  end)
end)
