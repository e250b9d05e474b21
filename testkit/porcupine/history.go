package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/anishathalye/porcupine"
)

// line is one operation as testkit/src/history writes it.
type line struct {
	Client  *int    `json:"client"`
	Lock    *string `json:"lock"`
	Op      string  `json:"op"`
	Outcome string  `json:"outcome"`
	Fence   uint64  `json:"fence"`
	Call    *int64  `json:"call"`
	// Nothing for what may take place at any time after the call.
	Return *int64 `json:"return"`
}

// read takes a history from its lines. Also answers how many operations had an unknown outcome.
func read(from io.Reader) (history []porcupine.Operation, unknown int, err error) {
	lines := bufio.NewScanner(from)
	for number := 1; lines.Scan(); number++ {
		var it line
		if err := json.Unmarshal(lines.Bytes(), &it); err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", number, err)
		}
		if it.Client == nil || it.Lock == nil || it.Call == nil {
			return nil, 0, fmt.Errorf("line %d: client, lock or call is missing", number)
		}
		if it.Outcome == "unknown" {
			unknown++
		}
		if it.Op == "acquire" && it.Outcome != "ok" {
			// Whatever became of it, nobody saw it.
			continue
		}
		switch it.Op {
		case "acquire", "held", "release", "lost":
		default:
			return nil, 0, fmt.Errorf("line %d: %q is no operation", number, it.Op)
		}
		if it.Fence == 0 {
			return nil, 0, fmt.Errorf("line %d: a tenure without a fence", number)
		}
		end, known := int64(math.MaxInt64), it.Return != nil
		if known {
			end = *it.Return
		}
		if end < *it.Call {
			return nil, 0, fmt.Errorf("line %d: returned before it was called", number)
		}
		history = append(history, porcupine.Operation{
			ClientId: *it.Client,
			Input:    input{op: it.Op, lock: *it.Lock, fence: it.Fence, known: known},
			Call:     *it.Call,
			Return:   end,
		})
	}
	if err := lines.Err(); err != nil {
		return nil, 0, err
	}
	if len(history) == 0 {
		return nil, 0, errors.New("an empty history shows nothing")
	}
	return history, unknown, nil
}
