# Bunny uses a broker and says what worked: bunny_driver.rb HOST PORT prints "ok NAME" or "not ok NAME: why".
require "bunny"

WAIT_S = 20

def expect(is, wanted)
  raise "#{is.inspect} instead of #{wanted.inspect}" unless is == wanted
end

def next_of(queue)
  Timeout.timeout(WAIT_S) { queue.pop }
end

# A queue of its own, empty, gone afterwards.
def with_queue(channel, arguments = {})
  queue = channel.queue("bunny.#{rand(1 << 64).to_s(36)}", durable: true, arguments: arguments)
  yield queue
ensure
  queue.delete if channel.open?
end

CASES = {
  "confirms and acks" => lambda do |channel|
    with_queue(channel) do |queue|
      channel.confirm_select
      100.times { |i| queue.publish("#{i}", persistent: true) }
      expect(channel.wait_for_confirms, true)
      got = Queue.new
      queue.subscribe(manual_ack: true) { |info, _, body| got << body; channel.ack(info.delivery_tag) }
      100.times { |i| expect(next_of(got), i.to_s) }
      expect(queue.message_count, 0)
    end
  end,
  "prefetch" => lambda do |channel|
    with_queue(channel) do |queue|
      channel.prefetch(3)
      10.times { |i| queue.publish("#{i}") }
      got = Queue.new
      queue.subscribe(manual_ack: true) { |info, _, body| got << info.delivery_tag }
      tags = Array.new(3) { next_of(got) }
      sleep 0.2
      expect(got.size, 0)
      channel.ack(tags.last, true)
      3.times { next_of(got) }
    end
  end,
  "requeue" => lambda do |channel|
    with_queue(channel) do |queue|
      %w[a b].each { |body| queue.publish(body) }
      info, _, body = queue.pop(manual_ack: true)
      expect([body, info.redelivered?], ["a", false])
      channel.nack(info.delivery_tag, false, true)
      info, _, body = queue.pop(manual_ack: false)
      expect([body, info.redelivered?], ["a", true])
    end
  end,
  "returns" => lambda do |channel|
    returned = Queue.new
    exchange = channel.default_exchange
    exchange.on_return { |info, _, body| returned << [info.reply_code, body] }
    exchange.publish("lost", routing_key: "bunny.nowhere", mandatory: true)
    expect(next_of(returned), [312, "lost"])
  end,
  "exchanges" => lambda do |channel|
    topic = channel.topic("bunny.topic", auto_delete: true)
    headers = channel.headers("bunny.headers", auto_delete: true)
    with_queue(channel) do |queue|
      queue.bind(topic, routing_key: "a.*.#")
      queue.bind(headers, arguments: { "x-match" => "any", "one" => 1, "two" => 2 })
      topic.publish("1", routing_key: "a.b.c")
      topic.publish("2", routing_key: "b.b.c")
      headers.publish("3", headers: { "two" => 2 })
      headers.publish("4", headers: { "two" => 1 })
      expect([queue.pop.last, queue.pop.last, queue.pop.last], ["1", "3", nil])
    end
  end,
  "properties" => lambda do |channel|
    with_queue(channel) do |queue|
      sent = { content_type: "text/plain", content_encoding: "gzip", priority: 3, correlation_id: "c",
               reply_to: "r", expiration: "60000", message_id: "m", timestamp: 1_700_000_000,
               type: "t", app_id: "a", persistent: true,
               headers: { "s" => "text", "i" => -5, "f" => 1.5, "b" => true, "n" => nil,
                          "t" => Time.at(1_700_000_001), "l" => [1, "two"], "h" => { "x" => "y" } } }
      queue.publish("body", sent)
      _, properties, body = queue.pop
      expect(body, "body")
      expect(properties.delivery_mode, 2)
      expect(properties.timestamp, Time.at(sent[:timestamp]))
      (sent.keys - %i[persistent timestamp]).each { |key| expect(properties[key], sent[key]) }
    end
  end,
  "dead letters" => lambda do |channel|
    with_queue(channel) do |graves|
      with_queue(channel, "x-message-ttl" => 50, "x-dead-letter-exchange" => "",
                          "x-dead-letter-routing-key" => graves.name) do |queue|
        queue.publish("late")
        got = Queue.new
        graves.subscribe { |_, properties, body| got << [body, properties.headers["x-death"][0]] }
        body, death = next_of(got)
        expect([body, death["queue"], death["reason"], death["count"]], ["late", queue.name, "expired", 1])
      end
    end
  end,
  "transactions" => lambda do |channel|
    with_queue(channel) do |queue|
      channel.tx_select
      queue.publish("never")
      channel.tx_rollback
      queue.publish("committed")
      expect(queue.message_count, 0)
      channel.tx_commit
      expect(queue.pop.last, "committed")
      channel.tx_commit
    end
  end,
  "cancellation" => lambda do |channel|
    told = Queue.new
    queue = channel.queue("bunny.short", durable: true)
    queue.subscribe(on_cancellation: ->(*) { told << :cancelled }) {}
    queue.delete
    expect(next_of(told), :cancelled)
  end,
  "errors" => lambda do |channel|
    begin
      channel.queue("bunny.never", passive: true)
      raise "no error"
    rescue Bunny::NotFound => e
      expect(e.message, "NOT_FOUND - no queue 'bunny.never' in vhost '/'")
    end
    expect([channel.open?, channel.connection.open?], [false, true])
  end
}

connection = Bunny.new(host: ARGV[0], port: ARGV[1].to_i, continuation_timeout: WAIT_S * 1000)
connection.start
bad = CASES.reject do |name, test|
  channel = connection.create_channel
  test.call(channel)
  puts "ok #{name}"
  channel.close if channel.open?
  true
rescue StandardError => e
  puts "not ok #{name}: #{e.class} #{e.message}"
  false
end
connection.close
exit bad.empty?
