local source = require("style.source")

local LONGEST_FUNCTION, LONGEST_FILE, MEDIAN = 80, 800, 16

describe("size", function()
  it("of a file stays below 800 lines", function()
    local wrong = {}
    for _, folder in ipairs({ "src", "lua", "routers", "spec", "bench" }) do
      for _, file in ipairs(source.files(folder, "%.[chl]u?a?$")) do
        if #file.lines > LONGEST_FILE then wrong[#wrong + 1] = ("%s: %d lines"):format(file.path, #file.lines) end
      end
    end
    source.complain(wrong)
  end)

  it("of a function stays within 80 lines, of most about 12", function()
    local wrong, lengths, longest = {}, {}, { length = 0 }
    for _, file in ipairs(source.files("src", "%.[ch]$")) do
      for _, fn in ipairs(source.functions(file)) do
        lengths[#lengths + 1] = fn.length
        if fn.length > longest.length then longest = fn end
        if fn.length > LONGEST_FUNCTION then
          wrong[#wrong + 1] = ("%s:%d: %s has %d lines"):format(file.path, fn.line, fn.name, fn.length)
        end
      end
    end
    source.complain(wrong)
    table.sort(lengths)
    local function share(p) return lengths[math.max(1, math.ceil(#lengths * p))] or 0 end
    print(("          %d functions: median %d lines, 90 %% up to %d, longest %d (%s)"):format(
      #lengths, share(0.5), share(0.9), longest.length, longest.name or "none"))
    assert.is_true(share(0.5) <= MEDIAN, "the median function has more than 16 lines")
  end)
end)

describe("functions", function()
  local text = [[
static int one(void)
{
    return 1;
}

int two(int a,
        int b) {
    return a;
}

static inline int three(void) { return 3; }

static const int table[] = {
    1, (2), 3,
};
int declared(int a);
]]

  it("finds each one with its length", function()
    local lines = {}
    for line in text:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
    assert.same({
      { name = "one", line = 1, length = 4 },
      { name = "two", line = 6, length = 4 },
      { name = "three", line = 11, length = 1 },
    }, source.functions({ lines = lines }))
  end)
end)
