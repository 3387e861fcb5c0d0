// Feeds a mix to the drain package of Loki and prints one JSON object.
//
// usage: loki FILE stream|one
// stream: one Drain per stream, its format guessed from the stream's first line, as Loki's pattern ingester does;
// one: one Drain for all. Default configuration, no metrics. The lines lie in one string and their ends in one slice
// without pointers, so that the collector has nothing of ours to look at. One thread runs Go code; the CPU time is the
// process's, the collector included, over the loop alone.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/grafana/loki/v3/pkg/pattern/drain"
)

type limits struct{}

func (limits) PatternIngesterTokenizableJSONFields(string) []string {
	return []string{"log", "message", "msg", "msg_", "_msg", "content"}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func main() {
	if len(os.Args) < 3 || (os.Args[2] != "stream" && os.Args[2] != "one") {
		fmt.Fprintln(os.Stderr, "usage: loki FILE stream|one")
		os.Exit(2)
	}
	raw, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "loki:", err)
		os.Exit(1)
	}
	text := string(raw)
	var ends []uint32
	for at := 0; at < len(text); {
		at += strings.IndexByte(text[at:], '\n') + 1
		ends = append(ends, uint32(at))
	}
	raw = nil
	runtime.GOMAXPROCS(1)
	runtime.GC()

	perStream := os.Args[2] == "stream"
	var drains [256]*drain.Drain
	taken, refused, begin := 0, 0, 0
	ts := int64(1764000000) * 1e9
	wall, used := time.Now(), cpu()
	for _, end := range ends {
		key, line := text[begin], text[begin+1:end-1]
		if !perStream {
			key = 0
		}
		d := drains[key]
		if d == nil {
			format := drain.FormatUnknown
			if perStream {
				format = drain.DetectLogFormat(line)
			}
			d = drain.New("bench", drain.DefaultConfig(), limits{}, format, nil)
			drains[key] = d
		}
		ts += 1e6
		if d.Train(line, ts) != nil {
			taken++
		} else {
			refused++
		}
		begin = int(end)
	}
	used, passed := cpu()-used, time.Since(wall)
	clusters := 0
	for _, d := range drains {
		if d != nil {
			clusters += len(d.Clusters())
		}
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"lines": len(ends), "taken": taken, "refused": refused, "templates": clusters,
		"cpu_s": used.Seconds(), "wall_s": passed.Seconds(),
	})
}
