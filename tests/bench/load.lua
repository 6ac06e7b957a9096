-- SPDX-License-Identifier: Apache-2.0
-- What wrk sends: PUTs of 500 bytes for a thousand groups, in turn.  Its last line is JSON.

local GROUPS = 1000
local body = string.rep("batch_duration_seconds 12.5\n", 18):sub(1, 499) .. "\n"
local requests = {}
local at = 0

function init()
    for i = 1, GROUPS do
        local path = string.format("/metrics/job/batch_%d/instance/host-%04d", i, i * 7919 % 10000)
        requests[i] = wrk.format("PUT", path, nil, body)
    end
end

function request()
    at = at % GROUPS + 1
    return requests[at]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "duration_us": %d, "errors": %d, "p50_us": %d, "p99_us": %d, ' ..
        '"p999_us": %d, "max_us": %d}\n',
        summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
