-- SPDX-License-Identifier: Apache-2.0
-- What `require` is in our states: it runs modules of ours from Lua, so that a slice (src/script/slices.h) may end
-- within one. Inside of the library's own, which is C, none could.
--
--   chunk(find, system) -> require     find(name): the module as a function; system: the library's require
local find, system = ...
local loaded = package.loaded

return function(name)
  if loaded[name] ~= nil then
    return loaded[name]
  elseif type(name) ~= "string" or not name:find("^nydus%.") then
    return system(name)
  end
  local chunk = find(name)
  if type(chunk) ~= "function" then
    return system(name) -- says where it has looked
  end
  local value = chunk(name)
  loaded[name] = value == nil and true or value
  return loaded[name]
end
