// porcupine FILE...: whether the histories that the fault tests recorded are those of a lock that one
// holds at a time, with fences that grow. Exit: 1 where one is not, with a picture beside it.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// A history that takes longer is not checked, and that is a failure too.
const patience = 2 * time.Minute

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: porcupine FILE...")
		os.Exit(64)
	}
	bad := 0
	for _, file := range os.Args[1:] {
		if err := check(file); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
			bad++
		}
	}
	if bad > 0 {
		os.Exit(1)
	}
}

func check(file string) error {
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	history, unknown, err := read(from)
	if err != nil {
		return err
	}
	began := time.Now()
	result, info := porcupine.CheckOperationsVerbose(fencedMutex, history, patience)
	if result == porcupine.Ok {
		fmt.Printf("%s: %d operations on %d locks, %d of unknown outcome: one holder at a time (%.1f s)\n",
			file, len(history), len(fencedMutex.Partition(history)), unknown, time.Since(began).Seconds())
		return nil
	}
	picture := strings.TrimSuffix(file, ".jsonl") + ".html"
	if err := porcupine.VisualizePath(fencedMutex, info, picture); err != nil {
		picture = err.Error()
	}
	if result == porcupine.Unknown {
		return fmt.Errorf("not decided within %v; %s", patience, picture)
	}
	return fmt.Errorf("NOT the history of a lock: see %s", picture)
}
