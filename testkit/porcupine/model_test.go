package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
)

// Each is "op fence call return", with "-" for a return that nobody saw.
func judge(t *testing.T, operations ...string) bool {
	t.Helper()
	var lines []string
	for client, operation := range operations {
		var op, end string
		var fence, call int
		if _, err := fmt.Sscan(operation, &op, &fence, &call, &end); err != nil {
			t.Fatal(err)
		}
		outcome := "ok"
		if end == "-" {
			end, outcome = "null", "unknown"
		}
		lines = append(lines, fmt.Sprintf(
			`{"client":%d,"lock":"a","op":%q,"outcome":%q,"fence":%d,"call":%d,"return":%s}`,
			client, op, outcome, fence, call, end))
	}
	history, _, err := read(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return porcupine.CheckOperations(fencedMutex, history)
}

func TestWhatALockDoes(t *testing.T) {
	for name, history := range map[string][]string{
		"in turn":             {"acquire 1 0 1", "held 1 2 3", "release 1 4 5", "acquire 2 6 7"},
		"handed over":         {"acquire 1 0 1", "acquire 2 2 9", "release 1 4 6", "held 2 10 11"},
		"expired":             {"acquire 1 0 1", "held 1 2 3", "lost 1 3 -", "acquire 2 4 9"},
		"released unheard":    {"acquire 1 0 1", "release 1 2 -", "acquire 2 3 9", "held 2 10 11"},
		"released very late":  {"acquire 1 0 1", "acquire 2 2 20", "release 1 3 -", "held 1 4 5"},
		"held until granted":  {"acquire 1 0 1", "held 1 2 6", "lost 1 6 -", "acquire 2 1 9"},
		"stopped and expired": {"acquire 1 0 9", "lost 1 0 -", "acquire 2 4 6", "held 2 7 8"},
		"a fence was lost":    {"acquire 1 0 1", "release 1 2 3", "acquire 9 4 5"},
	} {
		if !judge(t, history...) {
			t.Errorf("%s: refused", name)
		}
	}
}

func TestWhatNoLockDoes(t *testing.T) {
	for name, history := range map[string][]string{
		"two holders":           {"acquire 1 0 1", "acquire 2 2 3"},
		"two holders, both see": {"acquire 1 0 1", "lost 1 1 -", "acquire 2 2 3", "held 1 4 5"},
		"believes after it":     {"acquire 1 0 1", "release 1 2 3", "held 1 4 5"},
		"granted before it":     {"acquire 1 0 1", "acquire 2 2 3", "release 1 4 5", "held 2 6 7"},
		"fences go back":        {"acquire 2 0 1", "release 2 2 3", "acquire 1 4 5"},
		"one fence twice":       {"acquire 1 0 1", "release 1 2 3", "acquire 1 4 5"},
		"held by nobody":        {"held 1 0 1"},
		"lost before it ended":  {"acquire 1 0 1", "lost 1 5 -", "acquire 2 2 3", "held 2 6 7"},
		"released another's":    {"acquire 1 0 1", "release 1 2 3", "acquire 2 4 5", "release 1 6 7"},
	} {
		if judge(t, history...) {
			t.Errorf("%s: taken for a lock", name)
		}
	}
}

func TestWhatIsNoHistory(t *testing.T) {
	for _, text := range []string{
		"",
		"{",
		`{"client":1,"lock":"a","op":"acquire","outcome":"ok","call":0,"return":1}`,
		`{"client":1,"lock":"a","op":"steal","outcome":"ok","fence":1,"call":0,"return":1}`,
		`{"client":1,"lock":"a","op":"held","outcome":"ok","fence":1,"call":2,"return":1}`,
		`{"client":1,"op":"held","outcome":"ok","fence":1,"call":2,"return":3}`,
	} {
		if _, _, err := read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: taken for a history", text)
		}
	}
}
