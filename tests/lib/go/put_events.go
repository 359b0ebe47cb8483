// SPDX-License-Identifier: Apache-2.0
//
// The Go SDK as a client of weir: each stdin line is one PutEvents input, each stdout line its
// outcome, {"line", "ok": true, "output"} or {"line", "ok": false, "error"}, in order of
// completion.  The SDK negotiates HTTP/2 by ALPN on its own.  Nothing is retried, so that one line
// is one request.
//
//	put_events ENDPOINT REGION [CONCURRENCY]        keys from the environment
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/smithy-go"
)

const inputMaxBytes = 4 << 20

// entry is one entry of the input in the API's JSON form; Time is in epoch seconds.
type entry struct {
	Source, DetailType, Detail, EventBusName, TraceHeader *string
	Resources                                             []string
	Time                                                  *float64
}

func environmentKeys(context.Context) (aws.Credentials, error) {
	return aws.Credentials{
		AccessKeyID:     os.Getenv("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    os.Getenv("AWS_SESSION_TOKEN"),
	}, nil
}

func parse(text string) (*eventbridge.PutEventsInput, error) {
	var input struct{ Entries []entry }
	if err := json.Unmarshal([]byte(text), &input); err != nil {
		return nil, err
	}
	output := &eventbridge.PutEventsInput{}
	for _, e := range input.Entries {
		one := types.PutEventsRequestEntry{
			Source: e.Source, DetailType: e.DetailType, Detail: e.Detail,
			EventBusName: e.EventBusName, TraceHeader: e.TraceHeader, Resources: e.Resources,
		}
		if e.Time != nil {
			seconds, fraction := math.Modf(*e.Time)
			when := time.Unix(int64(seconds), int64(fraction*1e9))
			one.Time = &when
		}
		output.Entries = append(output.Entries, one)
	}
	return output, nil
}

func failure(line int, err error) map[string]any {
	outcome := map[string]any{"line": line, "ok": false, "status": nil}
	reason := map[string]any{"code": "ClientError", "message": err.Error()}
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		outcome["status"] = response.HTTPStatusCode()
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		reason["code"], reason["message"] = api.ErrorCode(), api.ErrorMessage()
	}
	outcome["error"] = reason
	return outcome
}

func put(client *eventbridge.Client, line int, text string) map[string]any {
	input, err := parse(text)
	if err != nil {
		return failure(line, err)
	}
	output, err := client.PutEvents(context.Background(), input)
	if err != nil {
		return failure(line, err)
	}
	entries := []map[string]any{}
	for _, e := range output.Entries {
		one := map[string]any{}
		for name, value := range map[string]*string{
			"EventId": e.EventId, "ErrorCode": e.ErrorCode, "ErrorMessage": e.ErrorMessage} {
			if value != nil {
				one[name] = *value
			}
		}
		entries = append(entries, one)
	}
	return map[string]any{"line": line, "ok": true, "status": 200, "output": map[string]any{
		"FailedEntryCount": output.FailedEntryCount, "Entries": entries}}
}

func newClient(endpoint, region string) *eventbridge.Client {
	return eventbridge.New(eventbridge.Options{
		Region:           region,
		Credentials:      aws.CredentialsProviderFunc(environmentKeys),
		EndpointResolver: eventbridge.EndpointResolverFromURL(endpoint),
		HTTPClient:       awshttp.NewBuildableClient().WithTimeout(15 * time.Second),
		Retryer:          aws.NopRetryer{},
	})
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: put_events ENDPOINT REGION [CONCURRENCY]")
		os.Exit(2)
	}
	concurrency := 1
	if len(os.Args) > 3 {
		concurrency, _ = strconv.Atoi(os.Args[3])
	}
	client := newClient(os.Args[1], os.Args[2])
	answers := json.NewEncoder(os.Stdout)
	answers.SetEscapeHTML(false)

	var lock sync.Mutex
	var all sync.WaitGroup
	slots := make(chan struct{}, concurrency)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 64<<10), inputMaxBytes)
	for line := 0; lines.Scan(); {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		slots <- struct{}{}
		all.Add(1)
		go func(line int) {
			defer func() { <-slots; all.Done() }()
			outcome := put(client, line, text)
			lock.Lock()
			defer lock.Unlock()
			_ = answers.Encode(outcome)
		}(line)
		line++
	}
	all.Wait()
}
