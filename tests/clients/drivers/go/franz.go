package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var franzClient = client{"producer": newFranzProducer, "consumer": newFranzConsumer, "admin": newFranzAdmin}

var background = context.Background()

func milliseconds(count int) time.Duration {
	return time.Duration(count) * time.Millisecond
}

// Where a partition is asked for, one client; where the key decides, another.
type franzProducer struct{ manual, hashed *kgo.Client }

func newFranzProducer(r *request, _ *handle) (thing, error) {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	acks := map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks()}
	options := []kgo.Opt{kgo.SeedBrokers(r.Servers), kgo.ClientID(r.Name), kgo.RequiredAcks(acks[r.Acks]),
		kgo.ProducerBatchCompression(codecs[r.Codec]), kgo.ProducerLinger(milliseconds(r.LingerMs)),
		kgo.MetadataMinAge(100 * time.Millisecond), kgo.AllowAutoTopicCreation()}
	if !r.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	if r.MaxBytes > 0 {
		options = append(options, kgo.ProducerBatchMaxBytes(int32(r.MaxBytes)))
	}
	if r.Retries != nil {
		options = append(options, kgo.RecordRetries(*r.Retries))
	}
	manual, err := kgo.NewClient(append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return nil, err
	}
	hashed, err := kgo.NewClient(options...)
	return &franzProducer{manual, hashed}, err
}

func (p *franzProducer) execute(op string, r *request) (fields, error) {
	if op == "close" {
		p.manual.Close()
		p.hashed.Close()
		return nil, nil
	}
	chosen := p.hashed
	records := make([]*kgo.Record, len(r.Records))
	for i, one := range r.Records {
		records[i] = &kgo.Record{Topic: r.Topic, Key: one.keyBytes(), Value: one.valueBytes()}
		if one.Partition != nil {
			chosen, records[i].Partition = p.manual, *one.Partition
		}
		if one.Time != 0 {
			records[i].Timestamp = time.UnixMilli(one.Time)
		}
	}
	index := map[*kgo.Record]int{}
	for i, one := range records {
		index[one] = i
	}
	results := make([]fields, len(records))
	for _, one := range chosen.ProduceSync(background, records...) {
		results[index[one.Record]] = sent(one.Record.Partition, one.Record.Offset, one.Err)
	}
	return fields{"results": results}, nil
}

type franzConsumer struct {
	inner *kgo.Client
	group string
}

func newFranzConsumer(r *request, h *handle) (thing, error) {
	resets := map[string]kgo.Offset{"earliest": kgo.NewOffset().AtStart(), "latest": kgo.NewOffset().AtEnd(),
		"none": kgo.NewOffset().AtCommitted()}
	options := []kgo.Opt{kgo.SeedBrokers(r.Servers), kgo.ClientID(r.Name), kgo.FetchMinBytes(r.MinBytes),
		kgo.FetchMaxWait(milliseconds(r.WaitMs)), kgo.FetchMaxPartitionBytes(r.FetchBytes),
		kgo.ConsumeResetOffset(resets[r.Reset]), kgo.MetadataMinAge(100 * time.Millisecond)}
	if r.Group != "" {
		options = append(options, franzGroup(r, h)...)
	} else {
		options = append(options, kgo.ConsumePartitions(franzAssignment(r.Assign)))
	}
	inner, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	c := &franzConsumer{inner, r.Group}
	go c.loop(h)
	return c, nil
}

func franzGroup(r *request, h *handle) []kgo.Opt {
	balancers := map[string]kgo.GroupBalancer{"range": kgo.RangeBalancer(),
		"roundrobin": kgo.RoundRobinBalancer(), "cooperative": kgo.CooperativeStickyBalancer()}
	told := func(sign string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			h.happened(sign, partitions)
		}
	}
	options := []kgo.Opt{kgo.ConsumerGroup(r.Group), kgo.ConsumeTopics(r.Topics...),
		kgo.Balancers(balancers[r.Strategy]), kgo.SessionTimeout(milliseconds(r.SessionMs)),
		kgo.HeartbeatInterval(500 * time.Millisecond), kgo.OnPartitionsAssigned(told("+")),
		kgo.OnPartitionsRevoked(told("-")), kgo.OnPartitionsLost(told("-"))}
	if r.Instance != "" {
		options = append(options, kgo.InstanceID(r.Instance))
	}
	if r.AutoCommit {
		return append(options, kgo.AutoCommitInterval(200*time.Millisecond))
	}
	return append(options, kgo.DisableAutoCommit())
}

func franzAssignment(where []any) map[string]map[int32]kgo.Offset {
	offset := kgo.NewOffset()
	switch at := where[2].(type) {
	case float64:
		offset = offset.At(int64(at))
	case string:
		offset = map[string]kgo.Offset{"earliest": offset.AtStart(), "latest": offset.AtEnd()}[at]
	}
	return map[string]map[int32]kgo.Offset{where[0].(string): {int32(where[1].(float64)): offset}}
}

func (c *franzConsumer) loop(h *handle) {
	for {
		fetches := c.inner.PollFetches(background)
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachError(func(_ string, _ int32, err error) { h.failed(err) })
		fetches.EachRecord(func(one *kgo.Record) {
			h.saw(one.Topic, one.Partition, one.Offset, one.Key, one.Value, one.Timestamp.UnixMilli())
		})
	}
}

func (c *franzConsumer) seek(r *request, offset int64) {
	c.inner.SetOffsets(map[string]map[int32]kgo.EpochOffset{
		r.Topic: {r.Partition: {Epoch: -1, Offset: offset}}})
}

func (c *franzConsumer) execute(op string, r *request) (fields, error) {
	switch op {
	case "commit":
		return nil, c.inner.CommitUncommittedOffsets(background)
	case "committed":
		found, err := kadm.NewClient(c.inner).FetchOffsets(background, c.group)
		at, ok := found.Lookup(r.Topic, r.Partition)
		if !ok {
			return fields{"offset": -1}, err
		}
		return fields{"offset": at.At}, err
	case "seek":
		c.seek(r, r.Offset)
		return nil, nil
	case "seek_time":
		found, err := kadm.NewClient(c.inner).ListOffsetsAfterMilli(background, r.Time, r.Topic)
		at, _ := found.Lookup(r.Topic, r.Partition)
		c.seek(r, at.Offset)
		return fields{"offset": at.Offset}, err
	case "close":
		c.inner.Close()
		return nil, nil
	}
	return nil, unknown(op)
}

type franzAdmin struct{ inner *kadm.Client }

func newFranzAdmin(r *request, _ *handle) (thing, error) {
	inner, err := kgo.NewClient(kgo.SeedBrokers(r.Servers), kgo.ClientID(r.Name))
	if err != nil {
		return nil, err
	}
	return &franzAdmin{kadm.NewClient(inner)}, nil
}

func (a *franzAdmin) execute(op string, r *request) (fields, error) {
	switch op {
	case "create_topic":
		config := map[string]*string{}
		for key, value := range r.Config {
			config[key] = &value
		}
		_, err := a.inner.CreateTopic(background, r.Partitions, r.Replicas, config, r.Topic)
		return nil, err
	case "delete_topic":
		_, err := a.inner.DeleteTopic(background, r.Topic)
		return nil, err
	case "list_topics":
		return a.topics()
	case "add_partitions":
		done, err := a.inner.UpdatePartitions(background, int(r.Partitions), r.Topic)
		return nil, first(err, done.Error())
	case "describe_config":
		return a.config(r.Topic)
	case "alter_config":
		change := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: r.Key, Value: &r.Value}}
		done, err := a.inner.AlterTopicConfigs(background, change, r.Topic)
		if err == nil {
			err = done[0].Err
		}
		return nil, err
	case "delete_records":
		done, err := a.inner.DeleteRecords(background, kadm.Offsets{r.Topic: {r.Partition: {
			Topic: r.Topic, Partition: r.Partition, At: r.Offset}}})
		return fields{"low": done[r.Topic][r.Partition].LowWatermark}, first(err, done.Error())
	case "list_groups":
		found, err := a.inner.ListGroups(background)
		return fields{"groups": found.Groups()}, err
	case "describe_group":
		return a.group(r.Group)
	case "group_offsets":
		return a.offsets(r.Group)
	case "delete_group":
		done, err := a.inner.DeleteGroup(background, r.Group)
		return nil, first(err, done.Err)
	case "close":
		a.inner.Close()
		return nil, nil
	}
	return nil, unknown(op)
}

func first(errors ...error) error {
	for _, err := range errors {
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *franzAdmin) topics() (fields, error) {
	found, err := a.inner.ListTopics(background)
	counts := map[string]int{}
	for name, one := range found {
		if one.Err == nil {
			counts[name] = len(one.Partitions)
		}
	}
	return fields{"topics": counts}, err
}

func (a *franzAdmin) config(topic string) (fields, error) {
	found, err := a.inner.DescribeTopicConfigs(background, topic)
	if err != nil {
		return nil, err
	}
	values := map[string]*string{}
	for _, one := range found[0].Configs {
		values[one.Key] = one.Value
	}
	return fields{"config": values}, found[0].Err
}

func (a *franzAdmin) group(group string) (fields, error) {
	found, err := a.inner.DescribeGroups(background, group)
	members := map[string]any{}
	for _, one := range found[group].Members {
		members[one.ClientID] = nil
	}
	states := map[string]string{"Stable": "STABLE", "Empty": "EMPTY"}
	return fields{"state": states[found[group].State], "members": members}, first(err, found.Error())
}

func (a *franzAdmin) offsets(group string) (fields, error) {
	found, err := a.inner.FetchOffsets(background, group)
	offsets := map[string]int64{}
	found.Each(func(one kadm.OffsetResponse) {
		offsets[one.Topic+"/"+decimal(one.Partition)] = one.At
	})
	return fields{"offsets": offsets}, err
}
