# SPDX-License-Identifier: Apache-2.0
#
# push.rb URL mmap|strict - prometheus-client-mmap, or Net::HTTP as client_ruby 3 uses it;
# see clients.py for what it reads and says.

require "net/http"
require "prometheus/client"
require "prometheus/client/push"

class HttpRedirectError < StandardError; end

# client_ruby 3 raises for what is no success; before, it said nothing, as mmap does.
def strict(method, job, size)
  uri = URI("#{ARGV[0]}/metrics/job/#{job}/instance/db1/zone/eu")
  request = Net::HTTP.const_get(method.capitalize).new(uri)
  unless method == "DELETE"
    request.content_type = "text/plain; version=0.0.4"
    request.body = "# HELP rows #{"h" * size}\n# TYPE rows gauge\nrows 3\n"
  end
  answer = Net::HTTP.new(uri.host, uri.port).request(request)
  raise HttpRedirectError, answer.code if answer.is_a?(Net::HTTPRedirection)
  raise "status #{answer.code}" unless answer.is_a?(Net::HTTPSuccess)
end

def mmap(method, job, size)
  push = Prometheus::Client::Push.new(job: job, instance: "db1", gateway: ARGV[0])
  return push.delete if method == "DELETE"

  registry = Prometheus::Client::Registry.new
  registry.gauge(:rows, "h" * size).set({}, 3)
  method == "PUT" ? push.replace(registry) : push.add(registry)
end

$stdout.sync = true
$stdin.each_line do |line|
  method, job, size = line.split
  begin
    send(ARGV[1], method, job, size.to_i)
    puts "ok"
  rescue StandardError => e
    puts "error #{e.inspect}"
  end
end
