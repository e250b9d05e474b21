package main

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// input is what a client did.
type input struct {
	op    string
	lock  string
	fence uint64
	// known is whether the client heard that it took place, and so when it did at the latest.
	known bool
}

// state is one lock's: who holds it, by its fence, 0 for nobody; and the last fence given out.
type state struct {
	holder, last uint64
}

// fencedMutex is a lock with tenures that may end by themselves. Every grant has a fence larger than
// any before. What nobody can have seen changes nothing: an acquire that failed, or whose outcome is
// unknown, leaves at most a tenure that ends by itself.
var fencedMutex = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		var order []string
		byLock := map[string][]porcupine.Operation{}
		for _, operation := range history {
			lock := operation.Input.(input).lock
			if _, seen := byLock[lock]; !seen {
				order = append(order, lock)
			}
			byLock[lock] = append(byLock[lock], operation)
		}
		var parts [][]porcupine.Operation
		for _, lock := range order {
			parts = append(parts, byLock[lock])
		}
		return parts
	},
	Init: func() any { return state{} },
	Step: func(before, in, _ any) (bool, any) {
		now, did := before.(state), in.(input)
		switch did.op {
		case "acquire":
			if now.holder != 0 || did.fence <= now.last {
				return false, now
			}
			return true, state{holder: did.fence, last: did.fence}
		case "held":
			return now.holder == did.fence, now
		case "release", "lost":
			if now.holder == did.fence {
				return true, state{last: now.last}
			}
			return !did.known, now
		}
		return false, now
	},
	DescribeOperation: func(in, _ any) string {
		did := in.(input)
		if did.known {
			return fmt.Sprintf("%s %d", did.op, did.fence)
		}
		return fmt.Sprintf("%s %d?", did.op, did.fence)
	},
	DescribeState: func(now any) string {
		return fmt.Sprintf("holder %d", now.(state).holder)
	},
}
