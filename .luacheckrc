std = "luajit"
max_line_length = 120
exclude_files = { "build" }

files["spec"] = { std = "+busted", max_line_length = 140 }
files["lua/nydus/meta.lua"] = { ignore = { "212", "241", "631" } } -- declarations: no body, one line per type
