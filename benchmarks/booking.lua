-- Bookings from a file: a line is a path, a tab and a body; without a body it is a look, by GET.
-- Arguments: the file; how many lines to leave out; the Authorization header; "keys" for an Idempotency-Key each, or "-";
-- "confirm" to confirm each hold as soon as it is answered, "read" where there are looks among them, or "-".
local lines, following, at, last = {}, {}, 0, 0
confirmed, used_up = 0, 0
local head, key, first

local function text(path, body, number)
  local with_key = key and number and key .. number or ""
  return "POST " .. path .. head .. with_key .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function setup(thread)
  threads = threads or {}
  table.insert(threads, thread)
end

function init(args)
  local skip = tonumber(args[2])
  first = skip
  head = " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
  if args[3] ~= "-" then head = head .. "\r\nAuthorization: " .. args[3] end
  if args[4] == "keys" then key = "\r\nIdempotency-Key: " .. args[1] .. "-" end
  local n = 0
  for line in io.lines(args[1]) do
    n = n + 1
    if n > skip then lines[#lines + 1] = line end
  end
  last = #lines
  if args[5] == "read" then
    function response(status, headers, body)
      if status == 201 then confirmed = confirmed + 1 end
    end
  elseif args[5] == "confirm" then
    function response(status, headers, body)
      if status == 201 then
        following[#following + 1] = text("/api/bookings/" .. body:match('"id":"([^"]+)"') .. "/confirm", "", nil)
      elseif status == 200 then
        confirmed = confirmed + 1
      end
    end
  end
end

function request()
  local n = #following
  if n > 0 then
    local r = following[n]
    following[n] = nil
    return r
  end
  if at < last then
    at = at + 1
  else
    used_up = 1
  end
  local line = lines[at]
  local tab = line:find("\t", 1, true)
  if tab == #line then return "GET " .. line:sub(1, tab - 1) .. head .. "\r\n\r\n" end
  return text(line:sub(1, tab - 1), line:sub(tab + 1), first + at)
end

-- What wrk has counted, as a line of JSON: its own words are rounded.
function done(summary, latency, all)
  local e, own = summary.errors, 0
  for _, thread in ipairs(threads) do
    own = own + thread:get("confirmed")
    if thread:get("used_up") == 1 then io.stderr:write("all requests were sent before the time was over\n") end
  end
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"failed":%d,"lost":%d,"p50_ms":%.3f,"p99_ms":%.3f,"settled":%d}\n',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, own))
end
