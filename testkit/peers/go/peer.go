// peer LIBRARY URL: holds one lock at a time with a published library, as told on its input. The
// protocol is in ../README.md.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

const module = "github.com/go-redsync/redsync/v4"

type peer struct {
	redsync *redsync.Redsync
	mutex   *redsync.Mutex
}

func (p *peer) acquire(name string, ttl, wait time.Duration) (bool, error) {
	if ttl == 0 {
		return false, errors.New("every lock of redsync expires")
	}
	p.mutex = p.redsync.NewMutex(name,
		redsync.WithExpiry(ttl),
		redsync.WithTries(math.MaxInt),
		// A try may take a twentieth of the ttl by default: less than a loaded test machine needs.
		redsync.WithTimeoutFactor(0.5))
	if wait == 0 {
		return outcome(p.mutex.TryLock())
	}
	until, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return outcome(p.mutex.LockContext(until))
}

func (p *peer) release() (bool, error) {
	return answer(p.mutex.Unlock())
}

func (p *peer) extend(ttl time.Duration) (bool, error) {
	redsync.WithExpiry(ttl).Apply(p.mutex)
	return answer(p.mutex.Extend())
}

// Whether the lock was granted; an error only where that could not be asked.
func outcome(err error) (bool, error) {
	var taken *redsync.ErrTaken
	if errors.As(err, &taken) || errors.Is(err, redsync.ErrFailed) {
		return false, nil
	}
	return err == nil, err
}

// Whether the lock was still ours. Redsync says both "not ours" and "not there" by an error.
func answer(ours bool, err error) (bool, error) {
	var taken *redsync.ErrTaken
	if errors.As(err, &taken) || errors.Is(err, redsync.ErrLockAlreadyExpired) {
		return false, nil
	}
	return ours, err
}

func (p *peer) obey(words []string) (string, error) {
	choose := func(yes, no string) func(bool, error) (string, error) {
		return func(ok bool, err error) (string, error) {
			if ok {
				return yes, err
			}
			return no, err
		}
	}
	switch {
	case words[0] == "acquire" && len(words) == 4:
		ttl, err := milliseconds(words[2])
		if err != nil {
			return "", err
		}
		wait, err := milliseconds(words[3])
		if err != nil {
			return "", err
		}
		return choose("held", "busy")(p.acquire(words[1], ttl, wait))
	case words[0] == "acquire" && len(words) == 5:
		return "", errors.New("redsync has no renewal of its own")
	case words[0] == "release" && len(words) == 1:
		return choose("released", "not-held")(p.release())
	case words[0] == "extend" && len(words) == 2:
		ttl, err := milliseconds(words[1])
		if err != nil {
			return "", err
		}
		return choose("extended", "not-held")(p.extend(ttl))
	}
	return "", fmt.Errorf("unknown: %q", words)
}

func milliseconds(text string) (time.Duration, error) {
	number, err := strconv.Atoi(text)
	return time.Duration(number) * time.Millisecond, err
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return strings.TrimPrefix(dependency.Version, "v")
		}
	}
	return "unknown"
}

func run() error {
	if len(os.Args) != 3 || os.Args[1] != "redsync" {
		return errors.New("usage: peer redsync URL")
	}
	options, err := redis.ParseURL(os.Args[2])
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	if err := client.Ping(context.Background()).Err(); err != nil {
		return err
	}
	fmt.Println("ready", version())
	peer := peer{redsync: redsync.New(goredis.NewPool(client))}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		said, err := peer.obey(strings.Fields(lines.Text()))
		if err != nil {
			said = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(said)
	}
	return lines.Err()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
