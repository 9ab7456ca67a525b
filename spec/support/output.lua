-- busted's report as plain lines: each file with its time, each failure with
-- the logs of the servers it ran against, and at the very end, alone on a
-- line, "N passed, N failed" (", N skipped"). With -Xoutput FILE that goes into
-- the file, for run.lua to sum up.

local LONGEST = 240 -- seconds for one test; one that hangs ends the run

return function(options)
  local busted = require("busted")
  local scope = require("support.scope")
  local sys = require("support.sys")
  local pretty = require("pl.pretty")
  local handler = require("busted.outputHandlers.base")()

  local counts = { passed = 0, failed = 0, skipped = 0 }
  local file = { failed = {}, skipped = {} }
  local slow = {}
  local last -- the name of the test that ran last

  -- Where run.lua reads the counts, the running test should this process die, and the slowest ones.
  local note = options.arguments[1]

  local function take_note(text)
    local out = note and io.open(note, "w")
    if not out then return end
    out:write(("%d %d %d\n%s\n"):format(counts.passed, counts.failed, counts.skipped, text))
    for i = 1, math.min(5, #slow) do out:write(("%.2f %s\n"):format(slow[i][1], slow[i][2])) end
    out:close()
  end

  local function say(format, ...)
    io.stdout:write(select("#", ...) > 0 and format:format(...) or format, "\n")
    io.stdout:flush()
  end

  local function to_text(message)
    if type(message) == "string" then return message end
    if message == nil then return "nil error" end
    if type(message) == "table" and message.message then return to_text(message.message) end
    return pretty.write(message)
  end

  local function report(name, place, message, trace)
    counts.failed = counts.failed + 1
    say("\nFAILED %s\n  %s\n%s", name, place or "", to_text(message))
    if trace and options.verbose then say("%s", trace) end
    local logs = scope.logs()
    if logs ~= "" then say("%s", logs) end
    say("")
  end

  -- A test's things end after it does, so this is asked when the next begins.
  local function problems()
    for _, text in ipairs(scope.take_problems()) do report(last or "the run", "while cleaning up", text) end
  end

  local function place_of(element, trace)
    local where = element.trace or trace
    return where and ("%s:%s"):format(where.short_src, where.currentline)
  end

  local function failed(element, parent, message, trace)
    report(handler.getFullName(element), place_of(element, trace), message, trace and trace.traceback)
    return nil, true, parent
  end

  function handler.fileStart(element)
    file = { name = element.name, start = busted.monotime(), before = counts.passed, skipped = {} }
    return nil, true
  end

  function handler.fileEnd()
    problems()
    say("%6.2f s  %s  %d", busted.monotime() - file.start, file.name, counts.passed - file.before)
    for _, text in ipairs(file.skipped) do say("          skipped: %s", text) end
    return nil, true
  end

  function handler.testStart(element)
    problems()
    last = handler.getFullName(element)
    take_note(last)
    sys.alarm(LONGEST)
    file.test = busted.monotime()
    return nil, true
  end

  function handler.testEnd(element, _, status)
    slow[#slow + 1] = { busted.monotime() - (file.test or 0), handler.getFullName(element) }
    if status == "success" then
      counts.passed = counts.passed + 1
    elseif status == "pending" then
      counts.skipped = counts.skipped + 1
      file.skipped[#file.skipped + 1] = handler.getFullName(element) .. (file.why and ": " .. file.why or "")
      file.why = nil
    end
    return nil, true
  end

  function handler.pending(_, _, message)
    file.why = message and to_text(message)
    return nil, true
  end

  function handler.suiteEnd()
    problems()
    sys.alarm(0)
    table.sort(slow, function(a, b) return a[1] > b[1] end)
    take_note("the end")
    local skipped = counts.skipped > 0 and (", %d skipped"):format(counts.skipped) or ""
    if not note then say("\n%d passed, %d failed%s", counts.passed, counts.failed, skipped) end
    local result = rawget(_G, "NYDUS_SPEC_RESULT")
    if result then result.clean = counts.failed == 0 and counts.passed > 0 end
    return nil, true
  end

  busted.subscribe({ "file", "start" }, handler.fileStart)
  busted.subscribe({ "file", "end" }, handler.fileEnd)
  busted.subscribe({ "test", "start" }, handler.testStart, { predicate = handler.cancelOnPending })
  busted.subscribe({ "test", "end" }, handler.testEnd, { predicate = handler.cancelOnPending })
  busted.subscribe({ "pending" }, handler.pending)
  busted.subscribe({ "failure" }, failed)
  busted.subscribe({ "error" }, failed)
  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  return handler
end
