-- A program that runs beside a spec, its log in a file of a private folder.
--
--   process.start{ name=, argv={…}, env=, dir=, stdin= } → process
--   process:signal("HUP")       process:alive()     process:exit_code()
--   process:wait(seconds)       exit code (minus the signal), raises in time
--   process:log()               everything it wrote; log_tail(lines)
--   process:kill()              SIGKILL to its whole group, and gone
--   process.run{ "cmd", "arg", env=, stdin="text", seconds=, merge= }
--                               → exit code, stdout, stderr

local sys = require("support.sys")
local files = require("support.files")

local Process = {}
Process.__index = Process

function Process.start(options)
  local self = setmetatable({}, Process)
  self.name = options.name or options.argv[1]
  self.dir = options.dir or files.temp_dir()
  self.log_path = self.dir .. "/" .. self.name .. ".log"
  self.pid = sys.spawn(options.argv, {
    env = options.env,
    stdin = options.stdin,
    stdout = self.log_path,
    stderr = self.log_path,
  })
  return self
end

-- nil while it runs; else its exit code, or minus the signal that ended it.
function Process:exit_code()
  if self.code == nil then self.code = sys.reap(self.pid) end
  return self.code
end

function Process:alive()
  return self:exit_code() == nil
end

function Process:signal(name)
  if self:alive() then return sys.kill(self.pid, name) end
  return false
end

function Process:wait(seconds)
  sys.wait_until(function() return self:exit_code() ~= nil end, seconds or 5, self.name .. " to end")
  return self.code
end

function Process:log()
  return files.read(self.log_path) or ""
end

function Process:log_tail(lines)
  local all = {}
  for line in self:log():gmatch("[^\n]+") do
    all[#all + 1] = line
  end
  return table.concat(all, "\n", math.max(1, #all - (lines or 25) + 1))
end

-- Also takes down what its group left behind (workers without a master).
function Process:kill()
  sys.kill(-self.pid, "KILL")
  sys.wait_until(function() return self:exit_code() ~= nil end, 5, self.name .. " to be killed")
end

function Process.run(options)
  local dir = files.temp_dir()
  local input = options.stdin and files.write(dir .. "/stdin", options.stdin)
  local out, err = dir .. "/stdout", dir .. "/stderr"
  local pid = sys.spawn(options, { env = options.env, stdin = input, stdout = out, stderr = err })
  local self = setmetatable({ pid = pid, name = options[1], dir = dir }, Process)
  local ok, message = pcall(self.wait, self, options.seconds or 20)
  if not ok then
    self:kill()
    error(message .. "\n" .. (files.read(err) or ""), 2)
  end
  local code, stdout, stderr = self.code, files.read(out), files.read(err)
  files.remove(dir)
  return code, stdout, stderr
end

return Process
