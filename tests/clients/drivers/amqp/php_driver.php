<?php
// php-amqplib uses a broker and says what worked: php_driver.php HOST PORT prints "ok NAME" or "not ok NAME: why".
require '/usr/share/php/PhpAmqpLib/autoload.php';

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

const WAIT_S = 20;

function expect($is, $wanted)
{
    if ($is !== $wanted)
        throw new Exception(json_encode($is) . ' instead of ' . json_encode($wanted));
}

// Handle what comes until the condition holds.
function wait_until($channel, callable $condition)
{
    while (!$condition())
        $channel->wait(null, false, WAIT_S);
}

// A durable queue of its own with these arguments; the name.
function declare_queue($channel, array $arguments = [])
{
    $name = uniqid('php.');
    $channel->queue_declare($name, false, true, false, false, false, new AMQPTable($arguments));
    return $name;
}

$cases = [
    'confirms and acks' => function ($channel) {
        $queue = declare_queue($channel);
        $confirmed = 0;
        $got = [];
        $channel->set_ack_handler(function () use (&$confirmed) { $confirmed++; });
        $channel->confirm_select();
        for ($i = 0; $i < 100; $i++)
            $channel->basic_publish(new AMQPMessage("$i", ['delivery_mode' => 2]), '', $queue);
        $channel->wait_for_pending_acks(WAIT_S);
        expect($confirmed, 100);
        $channel->basic_consume($queue, '', false, false, false, false, function ($message) use (&$got) {
            $got[] = (int)$message->body;
            $message->ack();
        });
        wait_until($channel, function () use (&$got) { return count($got) === 100; });
        expect($got, range(0, 99));
        $channel->queue_delete($queue);
    },
    'prefetch' => function ($channel) {
        $queue = declare_queue($channel);
        $got = [];
        for ($i = 0; $i < 10; $i++)
            $channel->basic_publish(new AMQPMessage("$i"), '', $queue);
        $channel->basic_qos(0, 3, false);
        $channel->basic_consume($queue, '', false, false, false, false, function ($message) use (&$got) {
            $got[] = $message;
        });
        wait_until($channel, function () use (&$got) { return count($got) === 3; });
        try {
            $channel->wait(null, false, 0.2);
            throw new Exception('a fourth message came');
        } catch (PhpAmqpLib\Exception\AMQPTimeoutException $e) {
        }
        $got[2]->ack(true);
        wait_until($channel, function () use (&$got) { return count($got) === 6; });
        $channel->queue_delete($queue);
    },
    'requeue' => function ($channel) {
        $queue = declare_queue($channel);
        $channel->basic_publish(new AMQPMessage('a'), '', $queue);
        $channel->basic_publish(new AMQPMessage('b'), '', $queue);
        $message = $channel->basic_get($queue);
        expect([$message->body, $message->isRedelivered()], ['a', false]);
        $message->nack(true);
        $message = $channel->basic_get($queue, true);
        expect([$message->body, $message->isRedelivered(), $message->getMessageCount()], ['a', true, 1]);
        $channel->queue_delete($queue);
    },
    'returns' => function ($channel) {
        $returned = [];
        $channel->set_return_listener(function ($code, $text, $exchange, $key, $message) use (&$returned) {
            $returned = [$code, $key, $message->body];
        });
        $channel->basic_publish(new AMQPMessage('lost'), '', 'php.nowhere', true);
        wait_until($channel, function () use (&$returned) { return $returned; });
        expect($returned, [312, 'php.nowhere', 'lost']);
    },
    'properties' => function ($channel) {
        $queue = declare_queue($channel);
        $headers = ['s' => 'text', 'i' => -5, 'b' => true, 'n' => null, 'l' => [1, 'two'], 'h' => ['x' => 'y']];
        $sent = ['content_type' => 'text/plain', 'content_encoding' => 'gzip', 'priority' => 3,
                 'correlation_id' => 'c', 'reply_to' => 'r', 'expiration' => '60000', 'message_id' => 'm',
                 'timestamp' => 1700000000, 'type' => 't', 'user_id' => 'guest', 'app_id' => 'a',
                 'delivery_mode' => 2];
        $channel->basic_publish(
            new AMQPMessage('body', $sent + ['application_headers' => new AMQPTable($headers)]), '', $queue);
        $message = $channel->basic_get($queue, true);
        foreach ($sent as $name => $value)
            expect($message->get($name), $value);
        expect($message->get('application_headers')->getNativeData(), $headers);
        $channel->queue_delete($queue);
    },
    'dead letters' => function ($channel) {
        $graves = declare_queue($channel);
        $queue = declare_queue($channel, ['x-dead-letter-exchange' => '',
                                          'x-dead-letter-routing-key' => $graves]);
        $channel->basic_publish(new AMQPMessage('refused'), '', $queue);
        $channel->basic_get($queue)->reject(false);
        $got = null;
        $channel->basic_consume($graves, '', false, true, false, false,
                                function ($message) use (&$got) { $got = $message; });
        wait_until($channel, function () use (&$got) { return $got; });
        $death = $got->get('application_headers')->getNativeData()['x-death'][0];
        expect([$got->body, $death['queue'], $death['reason'], $death['count']],
               ['refused', $queue, 'rejected', 1]);
        $channel->queue_delete($queue);
        $channel->queue_delete($graves);
    },
    'transactions' => function ($channel) {
        $queue = declare_queue($channel);
        $channel->tx_select();
        $channel->basic_publish(new AMQPMessage('never'), '', $queue);
        $channel->tx_rollback();
        $channel->basic_publish(new AMQPMessage('committed'), '', $queue);
        expect($channel->basic_get($queue, true), null);
        $channel->tx_commit();
        expect($channel->basic_get($queue, true)->body, 'committed');
        $channel->tx_commit();
        $channel->queue_delete($queue);
    },
    'errors' => function ($channel) {
        $connection = $channel->getConnection();
        try {
            $channel->queue_declare('php.never', true);
            throw new Exception('no error');
        } catch (AMQPProtocolChannelException $e) {
            expect([$e->amqp_reply_code, $e->amqp_reply_text],
                   [404, "NOT_FOUND - no queue 'php.never' in vhost '/'"]);
        }
        expect([$channel->is_open(), $connection->isConnected()], [false, true]);
    },
];

$connection = new AMQPStreamConnection($argv[1], $argv[2], 'guest', 'guest');
$good = true;
foreach ($cases as $name => $case) {
    try {
        $channel = $connection->channel();
        $case($channel);
        echo "ok $name\n";
        if ($channel->is_open())
            $channel->close();
    } catch (Throwable $e) {
        $good = false;
        echo "not ok $name: " . get_class($e) . ' ' . $e->getMessage() . "\n";
    }
}
$connection->close();
exit($good ? 0 : 1);
