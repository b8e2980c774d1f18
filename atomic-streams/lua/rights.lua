#!lua flags=no-writes,allow-stale
-- rights: what the calling user may do. Nothing is read or written: names are arguments and no keys.
-- ARGV  for each question: how many words, and the command with its arguments, as words
-- Reply one number for each question: 1 allowed, 0 denied, -1 the server knows no such command
local answers, at = {}, 1
while ARGV[at] do
  local words = {}
  for i = 1, tonumber(ARGV[at]) do words[i] = ARGV[at + i] end
  at = at + 1 + #words
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  answers[#answers + 1] = not known and -1 or (allowed and 1 or 0)
end
return answers
