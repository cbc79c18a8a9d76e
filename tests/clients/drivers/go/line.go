// The drivers of the Go clients: driver sarama | kafka-go | franz-go speaks lines of JSON, whose language
// ../../README.md has. This file knows no client.
package main

import (
	"bufio"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Of a longer value only the digest goes over the line.
const long = 1000

type fields map[string]any

// A record as it was asked to be sent.
type record struct {
	Key, Value *string
	Repeat     int
	Partition  *int32
	Time       int64
}

type request struct {
	ID         int64
	On, Op     string
	Servers    string
	Name       string
	Acks       string
	Codec      string
	Idempotent bool
	LingerMs   int `json:"linger_ms"`
	MaxBytes   int `json:"max_bytes"`
	Retries    *int
	Records    []record
	Topic      string
	Topics     []string
	Assign     []any
	Partition  int32
	Partitions int32
	Replicas   int16
	Config     map[string]string
	Offset     int64
	Time       int64
	Group      string
	Instance   string
	Strategy   string
	Reset      string
	AutoCommit bool  `json:"auto_commit"`
	SessionMs  int   `json:"session_ms"`
	MinBytes   int32 `json:"min_bytes"`
	WaitMs     int   `json:"wait_ms"`
	FetchBytes int32 `json:"fetch_bytes"`
	Key, Value string
}

func newRequest() *request {
	return &request{Acks: "all", Codec: "none", LingerMs: 5, Partitions: 1, Replicas: 1, Strategy: "range",
		Reset: "earliest", SessionMs: 6000, MinBytes: 1, WaitMs: 500, FetchBytes: 1 << 20}
}

// A thing is a producer, consumer or admin of one of the clients.
type thing interface {
	execute(op string, r *request) (fields, error)
}

type opener func(r *request, h *handle) (thing, error)

// A client says how its things are opened.
type client map[string]opener

// A handle executes its requests in order, in a goroutine of its own.
type handle struct {
	todo    chan *request
	lock    sync.Mutex
	records []fields
	events  []string
	errors  []fields
}

func (h *handle) run(open opener) {
	first := <-h.todo
	opened, err := open(first, h)
	answer(first, nil, err)
	if err != nil {
		return
	}
	for r := range h.todo {
		found, err := opened.execute(r.Op, r)
		answer(r, found, err)
		if r.Op == "close" {
			return
		}
	}
}

func (h *handle) saw(topic string, partition int32, offset int64, key, value []byte, timeMs int64) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.records = append(h.records, fields{"topic": topic, "partition": partition, "offset": offset,
		"key": shown(key), "value": shown(value), "time": timeMs})
}

func (h *handle) happened(sign string, partitions map[string][]int32) {
	var names []string
	for topic, numbers := range partitions {
		for _, number := range numbers {
			names = append(names, fmt.Sprintf("%s/%d", topic, number))
		}
	}
	sort.Strings(names)
	h.lock.Lock()
	defer h.lock.Unlock()
	h.events = append(h.events, sign+strings.Join(names, ","))
}

func (h *handle) failed(err error) {
	h.lock.Lock()
	defer h.lock.Unlock()
	if len(h.errors) < 100 {
		h.errors = append(h.errors, described(err))
	}
}

func (h *handle) take() fields {
	h.lock.Lock()
	defer h.lock.Unlock()
	taken := fields{"records": listed(h.records), "events": listed(h.events), "errors": listed(h.errors)}
	h.records, h.events, h.errors = nil, nil, nil
	return taken
}

// A list that JSON does not write as null.
func listed[T any](some []T) []T {
	if some == nil {
		return []T{}
	}
	return some
}

func shown(data []byte) any {
	if data == nil {
		return nil
	}
	if len(data) <= long {
		return string(data)
	}
	sum := md5.Sum(data)
	return "md5:" + hex.EncodeToString(sum[:])
}

func (r record) keyBytes() []byte {
	if r.Key == nil {
		return nil
	}
	return []byte(*r.Key)
}

func (r record) valueBytes() []byte {
	if r.Value == nil {
		return nil
	}
	if r.Repeat > 0 {
		return []byte(strings.Repeat(*r.Value, r.Repeat))
	}
	return []byte(*r.Value)
}

var printing sync.Mutex

func answer(r *request, found fields, err error) {
	all := fields{"id": r.ID}
	for name, value := range found {
		all[name] = value
	}
	if err != nil {
		all["error"] = described(err)
	}
	text, _ := json.Marshal(all)
	printing.Lock()
	defer printing.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func described(err error) fields {
	return fields{"code": codeOf(err), "text": err.Error()}
}

// Kafka's code in an error of any of the clients, or nil.
func codeOf(err error) any {
	var ofSarama sarama.KError
	var ofKafkaGo kafka.Error
	var ofFranz *kerr.Error
	var tooLarge kafka.MessageTooLargeError
	switch {
	case errors.As(err, &ofSarama):
		return int(ofSarama)
	case errors.As(err, &ofKafkaGo):
		return int(ofKafkaGo)
	case errors.As(err, &ofFranz):
		return int(ofFranz.Code)
	case errors.As(err, &tooLarge):
		return int(kafka.MessageSizeTooLarge)
	}
	return nil
}

// What became of one record, of many.
func sent(partition int32, offset int64, err error) fields {
	if err != nil {
		return described(err)
	}
	return fields{"partition": partition, "offset": offset}
}

func unknown(op string) error {
	return fmt.Errorf("no such operation: %s", op)
}

func serve(c client) {
	handles := map[string]*handle{}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		text, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		r := newRequest()
		if err := json.Unmarshal(text, r); err != nil {
			panic(err)
		}
		if open := c[r.Op]; open != nil {
			h := &handle{todo: make(chan *request, 1000)}
			handles[r.On] = h
			go h.run(open)
			h.todo <- r
		} else if r.Op == "take" {
			answer(r, handles[r.On].take(), nil)
		} else {
			handles[r.On].todo <- r
		}
	}
}

func main() {
	clients := map[string]client{"sarama": saramaClient, "kafka-go": kafkaGoClient, "franz-go": franzClient}
	serve(clients[os.Args[1]])
}
