package main

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

var saramaClient = client{"producer": newSaramaProducer, "consumer": newSaramaConsumer, "admin": newSaramaAdmin}

func decimal(number int32) string {
	return strconv.Itoa(int(number))
}

func saramaConfig(r *request) *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.ClientID = r.Name
	return config
}

// Where a partition is asked for, one producer; where the key decides, another.
type saramaProducer struct{ manual, hashed sarama.SyncProducer }

func newSaramaProducer(r *request, _ *handle) (thing, error) {
	config := saramaConfig(r)
	codecs := map[string]sarama.CompressionCodec{"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
		"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}
	acks := map[string]sarama.RequiredAcks{"0": sarama.NoResponse, "1": sarama.WaitForLocal,
		"all": sarama.WaitForAll}
	config.Producer.RequiredAcks = acks[r.Acks]
	config.Producer.Compression = codecs[r.Codec]
	config.Producer.Return.Successes = true
	config.Producer.Flush.Frequency = milliseconds(r.LingerMs)
	config.Producer.Idempotent = r.Idempotent
	config.Producer.Retry.Max = 50
	if r.Idempotent {
		config.Net.MaxOpenRequests = 1
	}
	if r.MaxBytes > 0 {
		config.Producer.MaxMessageBytes = r.MaxBytes
	}
	if r.Retries != nil {
		config.Producer.Retry.Max = *r.Retries
	}
	hashed, err := sarama.NewSyncProducer([]string{r.Servers}, config)
	if err != nil {
		return nil, err
	}
	other := *config
	other.Producer.Partitioner = sarama.NewManualPartitioner
	manual, err := sarama.NewSyncProducer([]string{r.Servers}, &other)
	return &saramaProducer{manual, hashed}, err
}

func (p *saramaProducer) execute(op string, r *request) (fields, error) {
	if op == "close" {
		return nil, first(p.manual.Close(), p.hashed.Close())
	}
	chosen := p.hashed
	messages := make([]*sarama.ProducerMessage, len(r.Records))
	for i, one := range r.Records {
		messages[i] = &sarama.ProducerMessage{Topic: r.Topic, Metadata: i}
		if one.Key != nil {
			messages[i].Key = sarama.ByteEncoder(one.keyBytes())
		}
		if one.Value != nil {
			messages[i].Value = sarama.ByteEncoder(one.valueBytes())
		}
		if one.Partition != nil {
			chosen, messages[i].Partition = p.manual, *one.Partition
		}
		if one.Time != 0 {
			messages[i].Timestamp = time.UnixMilli(one.Time)
		}
	}
	err := chosen.SendMessages(messages)
	results := make([]fields, len(messages))
	for i, one := range messages {
		results[i] = sent(one.Partition, one.Offset, nil)
	}
	failed, some := err.(sarama.ProducerErrors)
	if err != nil && !some {
		return nil, err
	}
	for _, one := range failed {
		results[one.Msg.Metadata.(int)] = described(one.Err)
	}
	return fields{"results": results}, nil
}

func newSaramaConsumer(r *request, h *handle) (thing, error) {
	config := saramaConfig(r)
	config.Consumer.Return.Errors = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	if r.Reset == "latest" {
		config.Consumer.Offsets.Initial = sarama.OffsetNewest
	}
	config.Consumer.Offsets.AutoCommit.Enable = r.AutoCommit
	config.Consumer.Offsets.AutoCommit.Interval = 200 * time.Millisecond
	config.Consumer.MaxWaitTime = milliseconds(r.WaitMs)
	config.Consumer.Fetch.Min = r.MinBytes
	config.Consumer.Fetch.Default = r.FetchBytes
	config.Consumer.Retry.Backoff = 200 * time.Millisecond
	config.Consumer.Group.Session.Timeout = milliseconds(r.SessionMs)
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	config.Consumer.Group.Rebalance.Retry.Backoff = 200 * time.Millisecond
	config.Consumer.Group.InstanceId = r.Instance
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{saramaStrategy(r.Strategy)}
	client, err := sarama.NewClient([]string{r.Servers}, config)
	if err != nil {
		return nil, err
	}
	if r.Group == "" {
		return newSaramaReader(r, h, client)
	}
	return newSaramaMember(r, h, client)
}

func saramaStrategy(name string) sarama.BalanceStrategy {
	switch name {
	case "cooperative":
		return sarama.NewBalanceStrategyCooperativeSticky()
	case "roundrobin":
		return sarama.NewBalanceStrategyRoundRobin()
	}
	return sarama.NewBalanceStrategyRange()
}

// A member of a group.
type saramaMember struct {
	h      *handle
	client sarama.Client
	inner  sarama.ConsumerGroup
	group  string
	stop   context.CancelFunc
	lock   sync.Mutex
	now    sarama.ConsumerGroupSession
}

func newSaramaMember(r *request, h *handle, client sarama.Client) (thing, error) {
	inner, err := sarama.NewConsumerGroupFromClient(r.Group, client)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(background)
	m := &saramaMember{h: h, client: client, inner: inner, group: r.Group, stop: stop}
	go func() {
		for err := range inner.Errors() {
			h.failed(err)
		}
	}()
	go func() {
		for ctx.Err() == nil {
			if err := inner.Consume(ctx, r.Topics, m); err != nil {
				h.failed(err)
				time.Sleep(200 * time.Millisecond)
			}
		}
	}()
	return m, nil
}

func (m *saramaMember) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.now = session
	return nil
}

func (m *saramaMember) Cleanup(sarama.ConsumerGroupSession) error {
	return nil
}

func (m *saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	mine := map[string][]int32{claim.Topic(): {claim.Partition()}}
	m.h.happened("+", mine)
	defer m.h.happened("-", mine)
	for one := range claim.Messages() {
		m.h.saw(one.Topic, one.Partition, one.Offset, one.Key, one.Value, one.Timestamp.UnixMilli())
		session.MarkMessage(one, "")
	}
	return nil
}

func (m *saramaMember) execute(op string, r *request) (fields, error) {
	switch op {
	case "commit":
		m.lock.Lock()
		defer m.lock.Unlock()
		m.now.Commit()
		return nil, nil
	case "committed":
		admin, err := sarama.NewClusterAdminFromClient(m.client)
		if err != nil {
			return nil, err
		}
		found, err := admin.ListConsumerGroupOffsets(m.group, map[string][]int32{r.Topic: {r.Partition}})
		if err != nil {
			return nil, err
		}
		return fields{"offset": found.GetBlock(r.Topic, r.Partition).Offset}, nil
	case "close":
		m.stop()
		return nil, first(m.inner.Close(), m.client.Close())
	}
	return nil, unknown(op)
}

// A reader of one partition.
type saramaReader struct {
	h       *handle
	client  sarama.Client
	inner   sarama.Consumer
	reading sarama.PartitionConsumer
}

func newSaramaReader(r *request, h *handle, client sarama.Client) (thing, error) {
	inner, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return nil, err
	}
	reader := &saramaReader{h: h, client: client, inner: inner}
	offset := map[string]int64{"earliest": sarama.OffsetOldest, "latest": sarama.OffsetNewest}
	switch at := r.Assign[2].(type) {
	case float64:
		return reader, reader.read(r.Assign[0].(string), int32(r.Assign[1].(float64)), int64(at))
	case string:
		return reader, reader.read(r.Assign[0].(string), int32(r.Assign[1].(float64)), offset[at])
	}
	return nil, unknown("assign")
}

func (c *saramaReader) read(topic string, partition int32, offset int64) error {
	if c.reading != nil {
		c.reading.Close()
	}
	reading, err := c.inner.ConsumePartition(topic, partition, offset)
	if err != nil {
		return err
	}
	c.reading = reading
	go func() {
		for err := range reading.Errors() {
			c.h.failed(err)
		}
	}()
	go func() {
		for one := range reading.Messages() {
			c.h.saw(one.Topic, one.Partition, one.Offset, one.Key, one.Value, one.Timestamp.UnixMilli())
		}
	}()
	return nil
}

func (c *saramaReader) execute(op string, r *request) (fields, error) {
	switch op {
	case "seek":
		return nil, c.read(r.Topic, r.Partition, r.Offset)
	case "seek_time":
		offset, err := c.client.GetOffset(r.Topic, r.Partition, r.Time)
		if err != nil {
			return nil, err
		}
		return fields{"offset": offset}, c.read(r.Topic, r.Partition, offset)
	case "close":
		return nil, first(c.reading.Close(), c.inner.Close(), c.client.Close())
	}
	return nil, unknown(op)
}

type saramaAdmin struct{ inner sarama.ClusterAdmin }

func newSaramaAdmin(r *request, _ *handle) (thing, error) {
	inner, err := sarama.NewClusterAdmin([]string{r.Servers}, saramaConfig(r))
	return &saramaAdmin{inner}, err
}

func (a *saramaAdmin) execute(op string, r *request) (fields, error) {
	switch op {
	case "create_topic":
		config := map[string]*string{}
		for key, value := range r.Config {
			config[key] = &value
		}
		return nil, a.inner.CreateTopic(r.Topic, &sarama.TopicDetail{NumPartitions: r.Partitions,
			ReplicationFactor: r.Replicas, ConfigEntries: config}, false)
	case "delete_topic":
		return nil, a.inner.DeleteTopic(r.Topic)
	case "list_topics":
		found, err := a.inner.ListTopics()
		counts := map[string]int32{}
		for name, one := range found {
			counts[name] = one.NumPartitions
		}
		return fields{"topics": counts}, err
	case "add_partitions":
		return nil, a.inner.CreatePartitions(r.Topic, r.Partitions, nil, false)
	case "describe_config":
		found, err := a.inner.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: r.Topic})
		values := map[string]string{}
		for _, one := range found {
			values[one.Name] = one.Value
		}
		return fields{"config": values}, err
	case "alter_config":
		change := sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet,
			Value: &r.Value}
		return nil, a.inner.IncrementalAlterConfig(sarama.TopicResource, r.Topic,
			map[string]sarama.IncrementalAlterConfigsEntry{r.Key: change}, false)
	case "delete_records":
		err := a.inner.DeleteRecords(r.Topic, map[int32]int64{r.Partition: r.Offset})
		return fields{"low": r.Offset}, err // the client keeps the answer to itself
	case "close":
		return nil, a.inner.Close()
	}
	return a.executeForGroup(op, r)
}

func (a *saramaAdmin) executeForGroup(op string, r *request) (fields, error) {
	switch op {
	case "list_groups":
		found, err := a.inner.ListConsumerGroups()
		groups := []string{}
		for name := range found {
			groups = append(groups, name)
		}
		return fields{"groups": groups}, err
	case "describe_group":
		found, err := a.inner.DescribeConsumerGroups([]string{r.Group})
		if err != nil {
			return nil, err
		}
		members := map[string]any{}
		for _, one := range found[0].Members {
			members[one.ClientId] = nil
		}
		states := map[string]string{"Stable": "STABLE", "Empty": "EMPTY"}
		return fields{"state": states[found[0].State], "members": members}, nil
	case "group_offsets":
		found, err := a.inner.ListConsumerGroupOffsets(r.Group, nil)
		if err != nil {
			return nil, err
		}
		offsets := map[string]int64{}
		for topic, partitions := range found.Blocks {
			for partition, block := range partitions {
				offsets[topic+"/"+decimal(partition)] = block.Offset
			}
		}
		return fields{"offsets": offsets}, nil
	case "delete_group":
		return nil, a.inner.DeleteConsumerGroup(r.Group)
	}
	return nil, unknown(op)
}
