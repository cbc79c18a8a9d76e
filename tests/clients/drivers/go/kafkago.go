package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

var kafkaGoClient = client{"producer": newKafkaGoWriter, "consumer": newKafkaGoReader, "admin": newKafkaGoAdmin}

type kafkaGoWriter struct {
	inner *kafka.Writer
	lock  sync.Mutex
	done  map[int]fields
}

func newKafkaGoWriter(r *request, _ *handle) (thing, error) {
	codecs := map[string]kafka.Compression{"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4,
		"zstd": kafka.Zstd}
	acks := map[string]kafka.RequiredAcks{"0": kafka.RequireNone, "1": kafka.RequireOne, "all": kafka.RequireAll}
	w := &kafkaGoWriter{}
	byKey := kafka.Murmur2Balancer{Consistent: false}
	w.inner = &kafka.Writer{Addr: kafka.TCP(r.Servers), RequiredAcks: acks[r.Acks], Compression: codecs[r.Codec],
		BatchTimeout: milliseconds(max(r.LingerMs, 1)), Completion: w.completed,
		Transport: &kafka.Transport{ClientID: r.Name, MetadataTTL: time.Second},
		Balancer: kafka.BalancerFunc(func(m kafka.Message, partitions ...int) int {
			if asked := m.WriterData.(written).partition; asked != nil {
				return int(*asked)
			}
			return byKey.Balance(m, partitions...)
		})}
	if r.MaxBytes > 0 {
		w.inner.BatchBytes = int64(r.MaxBytes)
	}
	if r.Retries != nil {
		w.inner.MaxAttempts = *r.Retries + 1
	}
	return w, nil
}

// Which of the records asked for a message is, and where it was to go.
type written struct {
	index     int
	partition *int32
}

func (w *kafkaGoWriter) completed(messages []kafka.Message, err error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	for _, one := range messages {
		w.done[one.WriterData.(written).index] = sent(int32(one.Partition), one.Offset, err)
	}
}

func (w *kafkaGoWriter) execute(op string, r *request) (fields, error) {
	if op == "close" {
		return nil, w.inner.Close()
	}
	w.done = map[int]fields{}
	messages := make([]kafka.Message, len(r.Records))
	for i, one := range r.Records {
		messages[i] = kafka.Message{Topic: r.Topic, Key: one.keyBytes(), Value: one.valueBytes(),
			WriterData: written{i, one.Partition}}
		if one.Time != 0 {
			messages[i].Time = time.UnixMilli(one.Time)
		}
	}
	err := w.inner.WriteMessages(background, messages...)
	w.lock.Lock()
	defer w.lock.Unlock()
	results := make([]fields, len(messages))
	for i := range messages {
		results[i] = w.done[i]
		if results[i] == nil && err != nil {
			results[i] = described(err)
		}
	}
	return fields{"results": results}, nil
}

type kafkaGoReader struct {
	inner  *kafka.Reader
	client *kafka.Client
	group  string
	lock   sync.Mutex
	last   map[string]map[int]kafka.Message
}

func newKafkaGoReader(r *request, h *handle) (thing, error) {
	starts := map[string]int64{"earliest": kafka.FirstOffset, "latest": kafka.LastOffset}
	config := kafka.ReaderConfig{Brokers: []string{r.Servers}, MinBytes: int(r.MinBytes),
		MaxBytes: max(int(r.FetchBytes), int(r.MinBytes)), MaxWait: milliseconds(r.WaitMs),
		Dialer:         &kafka.Dialer{ClientID: r.Name, Timeout: 10 * time.Second, DualStack: true},
		ReadBackoffMax: 100 * time.Millisecond, StartOffset: starts[r.Reset]}
	if r.Group == "" {
		config.Topic, config.Partition = r.Assign[0].(string), int(r.Assign[1].(float64))
	} else {
		config.GroupID, config.GroupTopics = r.Group, r.Topics
		config.GroupBalancers = []kafka.GroupBalancer{kafka.RangeGroupBalancer{}}
		config.HeartbeatInterval = 500 * time.Millisecond
		config.SessionTimeout = milliseconds(r.SessionMs)
		config.JoinGroupBackoff = 200 * time.Millisecond
		if r.AutoCommit {
			config.CommitInterval = 200 * time.Millisecond
		}
	}
	reader := &kafkaGoReader{inner: kafka.NewReader(config), group: r.Group,
		client: &kafka.Client{Addr: kafka.TCP(r.Servers)}, last: map[string]map[int]kafka.Message{}}
	if r.Group == "" {
		if err := reader.inner.SetOffset(kafkaGoStart(r.Assign[2])); err != nil {
			return nil, err
		}
	}
	go reader.loop(h, r.AutoCommit)
	return reader, nil
}

func kafkaGoStart(at any) int64 {
	switch at := at.(type) {
	case float64:
		return int64(at)
	case string:
		if at == "latest" {
			return kafka.LastOffset
		}
	}
	return kafka.FirstOffset
}

func (c *kafkaGoReader) loop(h *handle, autoCommit bool) {
	next := c.inner.FetchMessage
	if autoCommit {
		next = c.inner.ReadMessage
	}
	for {
		one, err := next(background)
		if errors.Is(err, context.Canceled) || (err != nil && err.Error() == "EOF") {
			return
		}
		if err != nil {
			h.failed(err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		c.lock.Lock()
		if c.last[one.Topic] == nil {
			c.last[one.Topic] = map[int]kafka.Message{}
		}
		c.last[one.Topic][one.Partition] = one
		c.lock.Unlock()
		h.saw(one.Topic, int32(one.Partition), one.Offset, one.Key, one.Value, one.Time.UnixMilli())
	}
}

func (c *kafkaGoReader) execute(op string, r *request) (fields, error) {
	switch op {
	case "commit":
		return nil, c.commit()
	case "committed":
		found, err := c.client.OffsetFetch(background, &kafka.OffsetFetchRequest{GroupID: c.group,
			Topics: map[string][]int{r.Topic: {int(r.Partition)}}})
		if err != nil {
			return nil, err
		}
		return fields{"offset": found.Topics[r.Topic][0].CommittedOffset}, nil
	case "seek":
		return nil, c.inner.SetOffset(r.Offset)
	case "seek_time":
		err := c.inner.SetOffsetAt(background, time.UnixMilli(r.Time))
		return fields{"offset": c.inner.Offset()}, err
	case "close":
		return nil, c.inner.Close()
	}
	return nil, unknown(op)
}

func (c *kafkaGoReader) commit() error {
	c.lock.Lock()
	defer c.lock.Unlock()
	var all []kafka.Message
	for _, partitions := range c.last {
		for _, one := range partitions {
			all = append(all, one)
		}
	}
	return c.inner.CommitMessages(background, all...)
}

type kafkaGoAdmin struct{ inner *kafka.Client }

func newKafkaGoAdmin(r *request, _ *handle) (thing, error) {
	return &kafkaGoAdmin{&kafka.Client{Addr: kafka.TCP(r.Servers), Timeout: 20 * time.Second,
		Transport: &kafka.Transport{ClientID: r.Name, MetadataTTL: 100 * time.Millisecond}}}, nil
}

func (a *kafkaGoAdmin) execute(op string, r *request) (fields, error) {
	switch op {
	case "create_topic":
		var config []kafka.ConfigEntry
		for key, value := range r.Config {
			config = append(config, kafka.ConfigEntry{ConfigName: key, ConfigValue: value})
		}
		done, err := a.inner.CreateTopics(background, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
			Topic: r.Topic, NumPartitions: int(r.Partitions), ReplicationFactor: int(r.Replicas),
			ConfigEntries: config}}})
		if err != nil {
			return nil, err
		}
		return nil, done.Errors[r.Topic]
	case "delete_topic":
		done, err := a.inner.DeleteTopics(background, &kafka.DeleteTopicsRequest{Topics: []string{r.Topic}})
		if err != nil {
			return nil, err
		}
		return nil, done.Errors[r.Topic]
	case "list_topics":
		found, err := a.inner.Metadata(background, &kafka.MetadataRequest{})
		if err != nil {
			return nil, err
		}
		counts := map[string]int{}
		for _, one := range found.Topics {
			counts[one.Name] = len(one.Partitions)
		}
		return fields{"topics": counts}, nil
	case "add_partitions":
		done, err := a.inner.CreatePartitions(background, &kafka.CreatePartitionsRequest{
			Topics: []kafka.TopicPartitionsConfig{{Name: r.Topic, Count: r.Partitions}}})
		if err != nil {
			return nil, err
		}
		return nil, done.Errors[r.Topic]
	case "describe_config":
		return a.config(r.Topic)
	case "alter_config":
		done, err := a.inner.IncrementalAlterConfigs(background, &kafka.IncrementalAlterConfigsRequest{
			Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic,
				ResourceName: r.Topic, Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: r.Key,
					Value: r.Value, ConfigOperation: kafka.ConfigOperationSet}}}}})
		if err != nil {
			return nil, err
		}
		return nil, done.Resources[0].Error
	case "close":
		return nil, nil
	}
	return a.executeForGroup(op, r)
}

func (a *kafkaGoAdmin) executeForGroup(op string, r *request) (fields, error) {
	switch op {
	case "list_groups":
		found, err := a.inner.ListGroups(background, &kafka.ListGroupsRequest{})
		if err != nil {
			return nil, err
		}
		groups := []string{}
		for _, one := range found.Groups {
			groups = append(groups, one.GroupID)
		}
		return fields{"groups": groups}, found.Error
	case "describe_group":
		found, err := a.inner.DescribeGroups(background, &kafka.DescribeGroupsRequest{GroupIDs: []string{r.Group}})
		if err != nil {
			return nil, err
		}
		members := map[string]any{}
		for _, one := range found.Groups[0].Members {
			members[one.ClientID] = nil
		}
		states := map[string]string{"Stable": "STABLE", "Empty": "EMPTY"}
		return fields{"state": states[found.Groups[0].GroupState], "members": members}, found.Groups[0].Error
	case "delete_group":
		done, err := a.inner.DeleteGroups(background, &kafka.DeleteGroupsRequest{GroupIDs: []string{r.Group}})
		if err != nil {
			return nil, err
		}
		return nil, done.Errors[r.Group]
	}
	return nil, unknown(op)
}

func (a *kafkaGoAdmin) config(topic string) (fields, error) {
	found, err := a.inner.DescribeConfigs(background, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic,
			ResourceName: topic}}})
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, one := range found.Resources[0].ConfigEntries {
		values[one.ConfigName] = one.ConfigValue
	}
	return fields{"config": values}, found.Resources[0].Error
}
