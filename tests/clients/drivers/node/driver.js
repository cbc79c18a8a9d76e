// kafkajs behind lines of JSON, whose language ../../README.md has.
'use strict'
const crypto = require('crypto')
const readline = require('readline')
const modules = process.argv[2]
const load = name => require(`${modules}/${name}`)
const { Kafka, CompressionTypes, CompressionCodecs, Partitioners, logLevel } = load('kafkajs')

const LONG = 1000 // bytes; of a longer value only the digest goes over the line

// kafkajs brings gzip alone; what it asks of a codec is a pair of functions.
function addCodecs (zstd) {
  const lz4 = load('lz4-napi')
  const codec = (compress, decompress) => () =>
    ({ compress: async encoder => Buffer.from(await compress(encoder.buffer)),
      decompress: async buffer => Buffer.from(await decompress(buffer)) })
  CompressionCodecs[CompressionTypes.Snappy] = load('kafkajs-snappy')
  CompressionCodecs[CompressionTypes.LZ4] = codec(lz4.compressFrame, lz4.decompressFrame)
  CompressionCodecs[CompressionTypes.ZSTD] = codec(zstd.compress, zstd.decompress)
}

const CODECS = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

function shown (data) {
  if (data === null || data === undefined) return null
  if (data.length <= LONG) return data.toString()
  return 'md5:' + crypto.createHash('md5').update(data).digest('hex')
}

function described (error) {
  const inner = error.errors?.[0] ?? (error.code === undefined && error.cause ? error.cause : error)
  const known = typeof inner.code === 'number' && inner.code >= 0
  return { code: known ? inner.code : null, text: String(error) }
}

function kafka (request) {
  return new Kafka({ clientId: request.name, brokers: [request.servers], logLevel: logLevel.NOTHING,
    retry: { retries: 20, initialRetryTime: 50, maxRetryTime: 500 } })
}

function answer (request, fields) {
  process.stdout.write(JSON.stringify({ id: request.id, ...fields }) + '\n')
}

class Producer {
  constructor (request) {
    this.request = request
    const config = { idempotent: Boolean(request.idempotent), createPartitioner: Partitioners.DefaultPartitioner,
      metadataMaxAge: 2000 }
    if (request.idempotent) config.maxInFlightRequests = 1
    if (request.retries !== undefined) config.retry = { retries: request.retries }
    this.inner = kafka(request).producer(config)
  }

  open () {
    return this.inner.connect()
  }

  async send ({ topic, records }) {
    const messages = records.map(one => ({ key: one.key ?? null, partition: one.partition,
      value: one.value === null ? null : one.value.repeat(one.repeat ?? 1),
      timestamp: one.time === undefined ? undefined : String(one.time) }))
    // One call is one batch.
    const batches = records.some(one => one.repeat) ? messages.map(one => [one]) : [messages]
    const acks = { 0: 0, 1: 1, all: -1 }[this.request.acks ?? 'all']
    const compression = CODECS[this.request.codec ?? 'none']
    try {
      for (const batch of batches) await this.inner.send({ topic, messages: batch, acks, compression })
      return { results: records.map(() => ({ partition: -1, offset: -1 })) }
    } catch (error) {
      return { results: records.map(() => described(error)) }
    }
  }

  close () {
    return this.inner.disconnect()
  }
}

let readers = 0

class Consumer {
  constructor (request) {
    this.request = request
    this.records = []
    this.events = []
    this.errors = []
    this.next = {}
    // Without a group it reads nothing: a partition of one's own is a group of one's own.
    this.group = request.group ?? `reader-${process.pid}-${++readers}`
    this.kafka = kafka(request)
    this.inner = this.kafka.consumer({ groupId: this.group, sessionTimeout: request.session_ms ?? 6000,
      heartbeatInterval: 500, minBytes: request.min_bytes ?? 1, maxWaitTimeInMs: request.wait_ms ?? 500,
      maxBytesPerPartition: request.fetch_bytes ?? 1 << 20, metadataMaxAge: 2000,
      retry: { retries: 20, initialRetryTime: 50, maxRetryTime: 500, restartOnFailure: async () => true } })
  }

  async open () {
    const { GROUP_JOIN, CRASH } = this.inner.events
    this.inner.on(GROUP_JOIN, ({ payload }) => this.events.push('+' + this.named(payload.memberAssignment)))
    this.inner.on(CRASH, ({ payload }) => this.errors.push(described(payload.error)))
    await this.inner.connect()
    const topics = this.request.topics ?? [this.request.assign[0]]
    await this.inner.subscribe({ topics, fromBeginning: this.request.reset !== 'latest' })
    await this.inner.run({ autoCommit: Boolean(this.request.auto_commit), autoCommitInterval: 200,
      eachBatchAutoResolve: true, eachBatch: async arrived => this.saw(arrived) })
  }

  named (assignment) {
    return Object.entries(assignment).flatMap(([topic, partitions]) => partitions.map(one => `${topic}/${one}`))
      .sort().join(',')
  }

  saw ({ batch }) {
    for (const one of batch.messages) {
      this.records.push({ topic: batch.topic, partition: batch.partition, offset: Number(one.offset),
        key: shown(one.key), value: shown(one.value), time: Number(one.timestamp) })
    }
    if (batch.messages.length) {
      this.next[`${batch.topic}/${batch.partition}`] = { topic: batch.topic, partition: batch.partition,
        offset: String(BigInt(batch.lastOffset()) + 1n) }
    }
  }

  take () {
    const taken = { records: this.records, events: this.events, errors: this.errors }
    this.records = []
    this.events = []
    this.errors = []
    return taken
  }

  async commit () {
    await this.inner.commitOffsets(Object.values(this.next))
  }

  async admin (task) {
    const admin = this.kafka.admin()
    await admin.connect()
    try {
      return await task(admin)
    } finally {
      await admin.disconnect()
    }
  }

  async committed ({ topic, partition }) {
    const [found] = await this.admin(admin => admin.fetchOffsets({ groupId: this.group, topics: [topic] }))
    return { offset: Number(found.partitions.find(one => one.partition === partition).offset) }
  }

  async seek ({ topic, partition, offset }) {
    this.inner.seek({ topic, partition, offset: String(offset) })
  }

  async seek_time ({ topic, partition, time }) {
    const found = await this.admin(admin => admin.fetchTopicOffsetsByTimestamp(topic, time))
    const { offset } = found.find(one => one.partition === partition)
    this.inner.seek({ topic, partition, offset })
    return { offset: Number(offset) }
  }

  close () {
    return this.inner.disconnect()
  }
}

class Admin {
  constructor (request) {
    this.inner = kafka(request).admin({ retry: { retries: 2 } })
  }

  open () {
    return this.inner.connect()
  }

  async create_topic ({ topic, partitions, replicas, config }) {
    const configEntries = Object.entries(config ?? {}).map(([name, value]) => ({ name, value }))
    const made = await this.inner.createTopics({ topics: [{ topic, numPartitions: partitions ?? 1,
      replicationFactor: replicas ?? 1, configEntries }] })
    // This one refusal is no error to kafkajs.
    if (!made) throw Object.assign(new Error('TOPIC_ALREADY_EXISTS'), { code: 36 })
  }

  async delete_topic ({ topic }) {
    await this.inner.deleteTopics({ topics: [topic] })
  }

  async list_topics () {
    const { topics } = await this.inner.fetchTopicMetadata()
    return { topics: Object.fromEntries(topics.map(one => [one.name, one.partitions.length])) }
  }

  async add_partitions ({ topic, partitions }) {
    await this.inner.createPartitions({ topicPartitions: [{ topic, count: partitions }] })
  }

  async describe_config ({ topic }) {
    const { resources } = await this.inner.describeConfigs({ includeSynonyms: false,
      resources: [{ type: 2, name: topic }] })
    return { config: Object.fromEntries(resources[0].configEntries.map(one =>
      [one.configName, one.configValue])) }
  }

  async alter_config ({ topic, key, value }) {
    await this.inner.alterConfigs({ validateOnly: false,
      resources: [{ type: 2, name: topic, configEntries: [{ name: key, value }] }] })
  }

  async delete_records ({ topic, partition, offset }) {
    await this.inner.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] })
    return { low: offset } // kafkajs keeps the answer to itself
  }

  async list_groups () {
    return { groups: (await this.inner.listGroups()).groups.map(one => one.groupId) }
  }

  async describe_group ({ group }) {
    const { groups: [found] } = await this.inner.describeGroups([group])
    return { state: found.state.toUpperCase(),
      members: Object.fromEntries(found.members.map(one => [one.clientId, null])) }
  }

  async group_offsets ({ group }) {
    const found = await this.inner.fetchOffsets({ groupId: group })
    return { offsets: Object.fromEntries(found.flatMap(({ topic, partitions }) =>
      partitions.map(one => [`${topic}/${one.partition}`, Number(one.offset)]))) }
  }

  async delete_group ({ group }) {
    try {
      await this.inner.deleteGroups([group])
    } catch (error) {
      throw error.groups ? Object.assign(error, { code: error.groups[0].errorCode }) : error
    }
  }

  close () {
    return this.inner.disconnect()
  }
}

async function execute (handle, request) {
  try {
    answer(request, await handle[request.op](request))
  } catch (error) {
    if (described(error).code === null) process.stderr.write(error.stack + '\n')
    answer(request, { error: described(error) })
  }
}

async function main () {
  const zstd = load('@bokuweb/zstd-wasm')
  await zstd.init()
  addCodecs(zstd)
  const kinds = { producer: Producer, consumer: Consumer, admin: Admin }
  const handles = {}
  const busy = {}
  for await (const text of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(text)
    const { on, op } = request
    if (op === 'take') {
      answer(request, handles[on].take())
      continue
    }
    if (kinds[op]) {
      handles[on] = new kinds[op](request)
      request.op = 'open'
    }
    // The requests of one handle run in order.
    busy[on] = (busy[on] ?? Promise.resolve()).then(() => execute(handles[on], request))
  }
  process.exit(0)
}

main()
