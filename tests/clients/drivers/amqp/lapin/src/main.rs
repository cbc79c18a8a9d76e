//! lapin uses a broker and says what worked: lapin-driver HOST PORT prints "ok NAME" or "not ok NAME: why".
use futures_lite::{future, StreamExt};
use lapin::{
    message::Delivery,
    options::*,
    types::{AMQPValue, FieldTable, ShortString},
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind,
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn expect<T: PartialEq + std::fmt::Debug>(is: T, wanted: T) -> Outcome {
    if is == wanted {
        Ok(())
    } else {
        Err(format!("{is:?} instead of {wanted:?}").into())
    }
}

async fn queue(channel: &Channel, name: &str, arguments: FieldTable) -> Outcome {
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_delete(name, QueueDeleteOptions::default()).await?;
    channel.queue_declare(name, options, arguments).await?;
    Ok(())
}

async fn publish(channel: &Channel, queue: &str, body: &str) -> Outcome {
    let properties = BasicProperties::default().with_delivery_mode(2);
    channel
        .basic_publish("", queue, BasicPublishOptions::default(), body.as_bytes(), properties)
        .await?
        .await?;
    Ok(())
}

async fn consume(channel: &Channel, queue: &str, no_ack: bool) -> Result<Consumer, lapin::Error> {
    let options = BasicConsumeOptions { no_ack, ..Default::default() };
    channel.basic_consume(queue, "", options, FieldTable::default()).await
}

async fn next(consumer: &mut Consumer) -> Result<Delivery, Box<dyn std::error::Error>> {
    Ok(consumer.next().await.ok_or("the consumer has ended")??)
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.data).into_owned()
}

async fn confirms_and_acks(channel: Channel) -> Outcome {
    queue(&channel, "lapin.work", FieldTable::default()).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut confirms = Vec::new();
    for i in 0..100 {
        let options = BasicPublishOptions::default();
        let body = i.to_string();
        confirms.push(
            channel.basic_publish("", "lapin.work", options, body.as_bytes(), BasicProperties::default()).await?,
        );
    }
    for confirm in confirms {
        expect(confirm.await?.is_ack(), true)?;
    }
    channel.basic_qos(10, BasicQosOptions::default()).await?;
    let mut consumer = consume(&channel, "lapin.work", false).await?;
    for i in 0..100 {
        let delivery = next(&mut consumer).await?;
        expect(text(&delivery), i.to_string())?;
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

async fn requeue(channel: Channel) -> Outcome {
    queue(&channel, "lapin.back", FieldTable::default()).await?;
    publish(&channel, "lapin.back", "a").await?;
    publish(&channel, "lapin.back", "b").await?;
    let first = channel.basic_get("lapin.back", BasicGetOptions::default()).await?.ok_or("empty")?;
    expect((text(&first.delivery), first.redelivered), ("a".into(), false))?;
    first.nack(BasicNackOptions { requeue: true, ..Default::default() }).await?;
    let again = channel.basic_get("lapin.back", BasicGetOptions { no_ack: true }).await?.ok_or("empty")?;
    expect((text(&again.delivery), again.redelivered), ("a".into(), true))
}

async fn returns(channel: Channel) -> Outcome {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let confirm =
        channel.basic_publish("", "lapin.nowhere", options, b"lost", BasicProperties::default()).await?.await?;
    let returned = confirm.take_message().ok_or("nothing was returned")?;
    expect((returned.reply_code, text(&returned.delivery)), (312, "lost".into()))
}

async fn exchanges_and_headers(channel: Channel) -> Outcome {
    let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
    channel.exchange_declare("lapin.topic", ExchangeKind::Topic, options, FieldTable::default()).await?;
    queue(&channel, "lapin.bound", FieldTable::default()).await?;
    let bind = QueueBindOptions::default();
    channel.queue_bind("lapin.bound", "lapin.topic", "a.*.#", bind, FieldTable::default()).await?;
    let mut headers = FieldTable::default();
    headers.insert("long".into(), AMQPValue::LongLongInt(-7));
    headers.insert("text".into(), AMQPValue::LongString("words".into()));
    headers.insert("nothing".into(), AMQPValue::Void);
    let properties = BasicProperties::default()
        .with_headers(headers)
        .with_timestamp(1_700_000_000)
        .with_content_type(ShortString::from("text/plain"));
    let publish = BasicPublishOptions::default();
    channel.basic_publish("lapin.topic", "b.b", publish, b"no", properties.clone()).await?.await?;
    channel.basic_publish("lapin.topic", "a.b.c", publish, b"yes", properties.clone()).await?.await?;
    let mut consumer = consume(&channel, "lapin.bound", true).await?;
    let delivery = next(&mut consumer).await?;
    expect(text(&delivery), "yes".into())?;
    expect(delivery.properties, properties)
}

async fn dead_letters(channel: Channel) -> Outcome {
    queue(&channel, "lapin.dead", FieldTable::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(50));
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
    arguments.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString("lapin.dead".into()));
    queue(&channel, "lapin.ttl", arguments).await?;
    publish(&channel, "lapin.ttl", "late").await?;
    let delivery = next(&mut consume(&channel, "lapin.dead", true).await?).await?;
    let headers = delivery.properties.headers().clone().ok_or("no headers")?;
    let reason = headers.inner().get("x-first-death-reason").and_then(AMQPValue::as_long_string);
    expect(reason.map(ToString::to_string), Some("expired".into()))
}

async fn transactions(channel: Channel) -> Outcome {
    queue(&channel, "lapin.tx", FieldTable::default()).await?;
    channel.tx_select().await?;
    publish(&channel, "lapin.tx", "never").await?;
    channel.tx_rollback().await?;
    publish(&channel, "lapin.tx", "committed").await?;
    channel.tx_commit().await?;
    let got = channel.basic_get("lapin.tx", BasicGetOptions { no_ack: true }).await?.ok_or("empty")?;
    expect((text(&got.delivery), got.message_count), ("committed".into(), 0))
}

async fn cancellation(channel: Channel) -> Outcome {
    queue(&channel, "lapin.short", FieldTable::default()).await?;
    let mut consumer = consume(&channel, "lapin.short", false).await?;
    channel.queue_delete("lapin.short", QueueDeleteOptions::default()).await?;
    expect(consumer.next().await.is_none(), true)
}

async fn errors(channel: Channel) -> Outcome {
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    match channel.queue_declare("lapin.never", options, FieldTable::default()).await {
        Err(lapin::Error::ProtocolError(error)) => expect(error.get_id(), 404)?,
        other => return Err(format!("{other:?}").into()),
    }
    expect(channel.status().connected(), false)
}

async fn run(host: &str, port: &str) -> bool {
    let address = format!("amqp://guest:guest@{host}:{port}/%2f");
    let connection = Connection::connect(&address, ConnectionProperties::default()).await.expect("connect");
    let mut good = true;
    macro_rules! case {
        ($name:ident) => {
            let channel = connection.create_channel().await.expect("channel");
            let name = stringify!($name).replace('_', " ");
            match $name(channel).await {
                Ok(()) => println!("ok {name}"),
                Err(error) => {
                    good = false;
                    println!("not ok {name}: {error}");
                }
            }
        };
    }
    case!(confirms_and_acks);
    case!(requeue);
    case!(returns);
    case!(exchanges_and_headers);
    case!(dead_letters);
    case!(transactions);
    case!(cancellation);
    case!(errors);
    connection.close(200, "done").await.expect("close");
    good
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let good = future::block_on(run(&arguments[1], &arguments[2]));
    std::process::exit(i32::from(!good));
}
