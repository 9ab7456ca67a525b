-- SPDX-License-Identifier: Apache-2.0
-- Who may log in to a cluster and what may be run: `password`, `users`, `deny`.
--
--   access.read(r, path, given, names)   sets of given: password, users, deny
--     r       a reader, see nydus.config.reader
--     names   { commands = { "get", "config|get", … }, categories = { "read", … } }; nil: any name is right
--   returns users, deny:
--     users   { { name, password (plain or "sha256:…"; nil: none is needed), commands = { "+@read", … },
--             keys = { "user:*", … } (nil: all keys) }, … } sorted by name
--     deny    { "+flushall", "+@dangerous", … }
local schema = require("nydus.config.schema")
local suggest = require("nydus.config.suggest")
local types = require("nydus.config.types")

local M = {}

local MAX_USERS, MAX_RULES = 10000, 1000
local MAX_PASSWORD = 16384 -- more cannot be sent before a login
-- Who cannot run these could not even log in, or leave.
local ALWAYS = { auth = true, hello = true, quit = true, reset = true }

local RULES = { list = "a list of rules", item = "a rule like \"+@read\" or \"-keys\"" }
local PATTERNS = { list = "a list of patterns", item = "a pattern like \"user:*\"" }
local DENIALS = { list = "a list of commands", item = "a command like \"flushall\" or \"@dangerous\"" }

-- types.show takes what stands before an @ for a password.
local function show(text)
  return type(text) == "string" and text:find("^[+-]?@[%w_|.-]*$") and '"' .. text .. '"' or types.show(text)
end

-- Nothing that was written goes into the message.
local function read_password(self, path, value)
  local hash = type(value) == "string" and value:match("^[sS][hH][aA]256:(.*)$")
  if type(value) ~= "string" then
    self:problem(path, types.kind(value) .. " is not a password")
  elseif value == "" then
    self:problem(path, "it is empty; is an environment variable not set?")
  elseif hash and not (#hash == 64 and hash:find("^%x+$")) then
    self:problem(path, "behind \"sha256:\" there have to be 64 hexadecimal digits")
  elseif #value > MAX_PASSWORD then
    self:problem(path, "it is longer than " .. MAX_PASSWORD .. " bytes")
  elseif value:find("\0", 1, true) then
    self:problem(path, "it has a NUL byte")
  else
    return hash and "sha256:" .. hash:lower() or value
  end
end

-- The texts of a list, each through read(); nil where there is no list.
local function read_list(self, path, value, kind, read)
  if value == nil then
    return nil
  elseif type(value) == "string" then
    self:problem(path, show(value) .. " is not " .. kind.list .. "; write it into braces: { \"…\" }")
    return {}
  elseif not self:plain(path, value, kind.list .. " ({ … }), each " .. kind.item) then
    return {}
  end
  local list = {}
  for i, key in ipairs(self.sorted_keys(value)) do
    local place, text = self.join(path, key), rawget(value, key)
    if key ~= i then
      self:problem(place, "a list has the keys 1, 2, 3 and so on")
    elseif i > MAX_RULES then
      self:problem(path, "more than " .. MAX_RULES .. " are too many")
      break
    elseif type(text) ~= "string" or text == "" or text:find("\0", 1, true) then
      self:problem(place, show(text) .. " is not " .. kind.item)
    else
      list[#list + 1] = read(self, place, text)
    end
  end
  return list
end

local function is_known(words, name)
  for _, word in ipairs(words) do
    if word == name then
      return true
    end
  end
  return name == "all" -- the category
end

-- "@read", "get" or "config|get" in lower case; nil after a problem. A name with
-- a dot is that of a module's command, which only the hosts know.
local function read_name(self, path, text, names)
  local name = text:lower()
  local category = name:match("^@(.*)$")
  if not names then
    return name
  elseif category then
    if not is_known(names.categories, category) then
      self:problem(path, show(text) .. " is not a category of commands"
        .. suggest.hint(category, names.categories):gsub("'", "'@", 1))
      return nil
    end
  elseif name == "all" or not is_known(names.commands, name) and not name:find("^[%w_-]+%.[%w_.|-]+$") then
    local hint = is_known(names.categories, name) and "; did you mean '@" .. name .. "'?"
      or suggest.hint(name, names.commands)
    self:problem(path, show(text) .. " is not a command" .. hint)
    return nil
  end
  return name
end

local function rule_reader(names)
  return function(self, path, text)
    local sign, what = text:match("^([+-])(.+)$")
    if not sign then
      self:problem(path, ("%s is not a rule; write \"+…\" to allow, \"-…\" to forbid"):format(show(text)))
      return nil
    end
    local name = read_name(self, path, what, names)
    return name and sign .. name
  end
end

local function denial_reader(names)
  return function(self, path, text)
    if text:find("^[+-]") then
      self:problem(path, show(text) .. " has a sign; name what is denied, as in \"flushall\"")
      return nil
    elseif ALWAYS[text:lower()] then
      self:problem(path, show(text) .. " cannot be denied: it is needed to log in and to leave")
      return nil
    end
    local name = read_name(self, path, text, names)
    return name and "+" .. name
  end
end

local function read_pattern(self, path, text)
  if text:find("^~") or text:find("^%%[RW]+~") then
    self:problem(path, show(text) .. " begins as in ACL SETUSER; write only the pattern, as in \"user:*\"")
    return nil
  end
  return text
end

-- Rules that begin by taking something away take it from everything.
local function read_commands(self, path, value, names)
  local rules = read_list(self, path, value, RULES, rule_reader(names))
  if not rules or rules[1] and rules[1]:sub(1, 1) == "-" then
    rules = rules or {}
    table.insert(rules, 1, "+@all")
  end
  return rules
end

-- inherited: the cluster's password, for the default user.
local function read_login(self, path, user, given, inherited)
  if given == false and user.name == "default" and not inherited then
    return nil
  elseif given ~= nil and inherited then
    self:problem(path, "given here and for the whole cluster, keep one of them")
  elseif given ~= nil then
    return read_password(self, path, given)
  elseif not inherited then
    self:problem(path, user.name == "default" and "missing; give one, or false so that clients need none"
      or "missing; nobody could log in")
  end
  return inherited
end

local function read_user(self, path, name, given, names, inherited)
  local fields, user = self:fields(path, given, schema.user), { name = name }
  user.password = read_login(self, self.join(path, "password"), user, fields.password, inherited)
  user.commands = read_commands(self, self.join(path, "commands"), fields.commands, names)
  user.keys = read_list(self, self.join(path, "keys"), fields.keys, PATTERNS, read_pattern)
  return user
end

local function is_name(name)
  return type(name) == "string" and #name <= 128 and name:find("^[!-~\128-\255]+$") ~= nil
end

local function read_users(self, path, value, names, inherited)
  local users = {}
  if value == nil or not self:plain(path, value, "a table of users ({ name = { password = … } })") then
    return users
  end
  if next(value) == nil then
    self:problem(path, "empty; leave it out, or nobody could log in")
  end
  for _, name in ipairs(self.sorted_keys(value)) do
    local place, given = self.join(path, name), rawget(value, name)
    if not is_name(name) then
      self:problem(place, "the name of a user is up to 128 characters without spaces")
    elseif #users >= MAX_USERS then
      self:problem(path, "more than " .. MAX_USERS .. " are too many")
      break
    elseif self:plain(place, given, "a user ({ password = …, commands = { … }, keys = { … } })") then
      users[#users + 1] = read_user(self, place, name, given, names, name == "default" and inherited or nil)
    end
  end
  return users
end

local function has_default(users)
  for _, user in ipairs(users) do
    if user.name == "default" then
      return true
    end
  end
  return false
end

function M.read(self, path, given, names)
  local password
  if given.password ~= nil then
    password = read_password(self, self.join(path, "password"), given.password) or ""
  end
  local users = read_users(self, self.join(path, "users"), given.users, names, password)
  if password and not has_default(users) then
    users[#users + 1] = { name = "default", password = password, commands = { "+@all" } }
    table.sort(users, function(a, b) return a.name < b.name end)
  end
  local deny = read_list(self, self.join(path, "deny"), given.deny, DENIALS, denial_reader(names))
  return users, deny or {}
end

return M
