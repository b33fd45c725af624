// Package stock runs amqp091-go, the Go client of RabbitMQ, against the broker of AMQP_URL.
package stock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const patience = 10 * time.Second

var (
	url    = os.Getenv("AMQP_URL")
	serial atomic.Int64
)

func unique(word string) string { return fmt.Sprintf("go.%s.%d.%d", word, os.Getpid(), serial.Add(1)) }

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		check(t, err)
		return value
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// channel is one with confirms, on a connection of its own.
func channel(t *testing.T) *amqp.Channel {
	t.Helper()
	connection := must[*amqp.Connection](t)(amqp.Dial(url))
	t.Cleanup(func() { connection.Close() })
	opened := must[*amqp.Channel](t)(connection.Channel())
	check(t, opened.Confirm(false))
	return opened
}

func queue(t *testing.T, ch *amqp.Channel, args amqp.Table) string {
	t.Helper()
	return must[amqp.Queue](t)(ch.QueueDeclare(unique("q"), false, false, true, false, args)).Name
}

// publish returns when the broker has confirmed the message; false if it refused it.
func publish(t *testing.T, ch *amqp.Channel, exchange, key string, message amqp.Publishing) bool {
	t.Helper()
	confirm := must[*amqp.DeferredConfirmation](t)(
		ch.PublishWithDeferredConfirmWithContext(t.Context(), exchange, key, false, false, message))
	ctx, done := context.WithTimeout(t.Context(), patience)
	defer done()
	return must[bool](t)(confirm.WaitContext(ctx))
}

func text(body string) amqp.Publishing { return amqp.Publishing{Body: []byte(body)} }

func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func closed(t *testing.T, err error, code int, begins string) {
	t.Helper()
	var reason *amqp.Error
	if !errors.As(err, &reason) || reason.Code != code || !strings.HasPrefix(reason.Reason, begins) {
		t.Fatalf("closed with %v", err)
	}
}

func TestEveryMessageOfManyPublishersIsConfirmedAndConsumedOnce(t *testing.T) {
	ch := channel(t)
	name := queue(t, ch, nil)
	check(t, ch.Qos(10, 0, false))
	deliveries := must[<-chan amqp.Delivery](t)(ch.Consume(name, "", false, false, false, false, nil))
	const publishers, each = 4, 100
	var sending sync.WaitGroup
	for publisher := range publishers {
		own := channel(t)
		sending.Add(1)
		go func() {
			defer sending.Done()
			for number := range each {
				if !publish(t, own, "", name, text(fmt.Sprint(publisher*each+number))) {
					t.Error("refused")
				}
			}
		}()
	}
	seen := map[string]bool{}
	for len(seen) < publishers*each {
		delivery := next(t, deliveries)
		if seen[string(delivery.Body)] {
			t.Fatalf("%s came twice", delivery.Body)
		}
		seen[string(delivery.Body)] = true
		check(t, delivery.Ack(false))
	}
	sending.Wait()
}

func TestPropertiesAndHeadersSurvive(t *testing.T) {
	ch := channel(t)
	name := queue(t, ch, nil)
	now := time.Unix(time.Now().Unix(), 0)
	headers := amqp.Table{
		"bool": true, "byte": byte(200), "int8": int8(-8), "int16": int16(-16), "int32": int32(-32), "int64": int64(-64),
		"float32": float32(0.5), "float64": 0.25, "text": "ü", "bytes": []byte{0, 255}, "time": now, "nil": nil,
		"decimal": amqp.Decimal{Scale: 2, Value: 314}, "list": []any{"a", int32(1)}, "table": amqp.Table{"a": "b"},
	}
	sent := amqp.Publishing{
		Headers: headers, ContentType: "text/plain", ContentEncoding: "gzip", DeliveryMode: amqp.Persistent, Priority: 3,
		CorrelationId: "c", ReplyTo: "r", Expiration: "60000", MessageId: "m", Timestamp: now, Type: "t", UserId: "guest",
		AppId: "a", Body: []byte("body"),
	}
	publish(t, ch, "", name, sent)
	got, _, err := ch.Get(name, true)
	check(t, err)
	received := amqp.Publishing{
		Headers: got.Headers, ContentType: got.ContentType, ContentEncoding: got.ContentEncoding,
		DeliveryMode: got.DeliveryMode, Priority: got.Priority, CorrelationId: got.CorrelationId, ReplyTo: got.ReplyTo,
		Expiration: got.Expiration, MessageId: got.MessageId, Timestamp: got.Timestamp, Type: got.Type, UserId: got.UserId,
		AppId: got.AppId, Body: got.Body,
	}
	if !reflect.DeepEqual(sent, received) {
		t.Fatalf("sent %v\n got %v", sent, received)
	}
}

func TestARequeuedMessageComesBackAndARejectedOneIsDeadLettered(t *testing.T) {
	ch := channel(t)
	dead := queue(t, ch, nil)
	name := queue(t, ch, amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
	deliveries := must[<-chan amqp.Delivery](t)(ch.Consume(name, "", false, false, false, false, nil))
	publish(t, ch, "", name, text("x"))
	first := next(t, deliveries)
	check(t, first.Nack(false, true))
	second := next(t, deliveries)
	if first.Redelivered || !second.Redelivered {
		t.Fatal("only the second delivery is a redelivery")
	}
	check(t, second.Reject(false))
	dying := next(t, must[<-chan amqp.Delivery](t)(ch.Consume(dead, "", true, false, false, false, nil)))
	death := dying.Headers["x-death"].([]any)[0].(amqp.Table)
	if death["reason"] != "rejected" || death["queue"] != name || death["count"] != int64(1) {
		t.Fatalf("died of %v", death)
	}
}

func TestAnExpiredMessageIsDeadLettered(t *testing.T) {
	ch := channel(t)
	dead := queue(t, ch, nil)
	waiting := queue(t, ch, amqp.Table{
		"x-message-ttl": 200, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead})
	deliveries := must[<-chan amqp.Delivery](t)(ch.Consume(dead, "", true, false, false, false, nil))
	sent := time.Now()
	publish(t, ch, "", waiting, text("by the queue"))
	delivery := next(t, deliveries)
	if after := time.Since(sent); after < 200*time.Millisecond {
		t.Fatalf("%s came after %v", delivery.Body, after)
	}
	publish(t, ch, "", waiting, amqp.Publishing{Body: []byte("by itself"), Expiration: "1"})
	delivery = next(t, deliveries)
	death := delivery.Headers["x-death"].([]any)[0].(amqp.Table)
	if death["reason"] != "expired" || death["original-expiration"] != "1" || delivery.Expiration != "" {
		t.Fatalf("died of %v", death)
	}
}

func TestAFullQueueRefusesWhatIsPublished(t *testing.T) {
	ch := channel(t)
	name := queue(t, ch, amqp.Table{"x-max-length": 1, "x-overflow": "reject-publish"})
	if !publish(t, ch, "", name, text("one")) || publish(t, ch, "", name, text("two")) {
		t.Fatal("the first fits, the second does not")
	}
}

func TestAMandatoryMessageWithoutAQueueComesBack(t *testing.T) {
	ch := channel(t)
	returns := ch.NotifyReturn(make(chan amqp.Return, 1))
	check(t, ch.PublishWithContext(t.Context(), "amq.topic", "nobody", true, false, text("x")))
	if returned := next(t, returns); returned.ReplyCode != 312 || returned.ReplyText != "NO_ROUTE" {
		t.Fatalf("returned with %v", returned)
	}
}

func TestAChannelErrorClosesTheChannelNotTheConnection(t *testing.T) {
	connection := must[*amqp.Connection](t)(amqp.Dial(url))
	defer connection.Close()
	ch := must[*amqp.Channel](t)(connection.Channel())
	told := ch.NotifyClose(make(chan *amqp.Error, 1))
	_, err := ch.QueueDeclarePassive("no such queue", false, false, false, false, nil)
	closed(t, err, 404, "NOT_FOUND - no queue 'no such queue' in vhost '/'")
	closed(t, next(t, told), 404, "NOT_FOUND")
	must[*amqp.Channel](t)(connection.Channel())
}

func TestAConsumerLearnsThatItsQueueIsGone(t *testing.T) {
	ch := channel(t)
	name := must[amqp.Queue](t)(ch.QueueDeclare(unique("q"), false, true, false, false, nil)).Name
	cancelled := ch.NotifyCancel(make(chan string, 1))
	deliveries := must[<-chan amqp.Delivery](t)(ch.Consume(name, "mine", false, false, false, false, nil))
	must[int](t)(channel(t).QueueDelete(name, false, false, false))
	if tag := next(t, cancelled); tag != "mine" {
		t.Fatalf("%s was cancelled", tag)
	}
	if _, open := <-deliveries; open {
		t.Fatal("the deliveries go on")
	}
}

func TestATransactionTakesEffectAsAWhole(t *testing.T) {
	watching := channel(t)
	name := queue(t, watching, nil)
	connection := must[*amqp.Connection](t)(amqp.Dial(url))
	defer connection.Close()
	ch := must[*amqp.Channel](t)(connection.Channel())
	check(t, ch.Tx())
	for _, end := range []struct {
		finish func() error
		count  int
	}{{ch.TxRollback, 0}, {ch.TxCommit, 2}} {
		for range 2 {
			check(t, ch.PublishWithContext(t.Context(), "", name, false, false, text("x")))
		}
		check(t, end.finish())
		inspected := must[amqp.Queue](t)(watching.QueueDeclarePassive(name, false, false, true, false, nil))
		if inspected.Messages != end.count {
			t.Fatalf("%d messages, not %d", inspected.Messages, end.count)
		}
	}
}

func TestCallsAreAnsweredThroughDirectReplyTo(t *testing.T) {
	serving, calling := channel(t), channel(t)
	name := queue(t, serving, nil)
	calls := must[<-chan amqp.Delivery](t)(serving.Consume(name, "", true, false, false, false, nil))
	go func() {
		for call := range calls {
			serving.PublishWithContext(context.Background(), "", call.ReplyTo, false, false,
				amqp.Publishing{CorrelationId: call.CorrelationId, Body: append([]byte("re: "), call.Body...)})
		}
	}()
	answers := must[<-chan amqp.Delivery](t)(calling.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil))
	publish(t, calling, "", name, amqp.Publishing{ReplyTo: "amq.rabbitmq.reply-to", CorrelationId: "7", Body: []byte("x")})
	if answer := next(t, answers); string(answer.Body) != "re: x" || answer.CorrelationId != "7" {
		t.Fatalf("answered %v", answer)
	}
}

func TestWrongCredentialsAndWrongVhostsAreToldApart(t *testing.T) {
	_, err := amqp.Dial(strings.Replace(url, "guest:guest", "guest:wrong", 1))
	closed(t, err, 403, "username or password not allowed")
	_, err = amqp.DialConfig(url, amqp.Config{Vhost: "no such vhost"})
	closed(t, err, 530, "NOT_ALLOWED - vhost no such vhost not found")
}
