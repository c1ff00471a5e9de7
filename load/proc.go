package load

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrProc means that /proc does not tell what was asked: a process that is
// gone, or a system without it.
var ErrProc = errors.New("load: process cannot be measured")

// clockTick is the unit of /proc/PID/stat's times: USER_HZ is 100 on every
// Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// process is one entry of /proc/PID/stat.
type process struct {
	pid, parent int
	cpu         time.Duration // with its ended children
}

// readStat reads one process. The name in parentheses may hold anything.
func readStat(pid int) (process, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, fmt.Errorf("%w: %w", ErrProc, err)
	}
	end := bytes.LastIndexByte(raw, ')')
	fields := strings.Fields(string(raw[end+1:]))
	// Counted from the state: ppid is 1, utime to cstime 11 to 14.
	if end < 0 || len(fields) < 15 {
		return process{}, fmt.Errorf("%w: /proc/%d/stat", ErrProc, pid)
	}
	p := process{pid: pid}
	p.parent, _ = strconv.Atoi(fields[1])
	for _, f := range fields[11:15] {
		ticks, _ := strconv.ParseInt(f, 10, 64)
		p.cpu += time.Duration(ticks) * clockTick
	}
	return p, nil
}

// family gives pids and all that descend from them and live.
func family(pids []int) ([]process, error) {
	var found []process
	wanted := map[int]bool{}
	for _, pid := range pids {
		p, err := readStat(pid)
		if err != nil {
			return nil, err
		}
		if !wanted[pid] {
			wanted[pid] = true
			found = append(found, p)
		}
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var all []process
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if p, err := readStat(pid); err == nil {
			all = append(all, p)
		}
	}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if wanted[p.parent] && !wanted[p.pid] {
				wanted[p.pid], grown = true, true
				found = append(found, p)
			}
		}
	}
	return found, nil
}

// ReadCPU returns the processor time, user and system, that pids and all their
// descendants have used, those that have ended and were waited for included. It
// is exact to 10 ms per process.
func ReadCPU(pids ...int) (time.Duration, error) {
	processes, err := family(pids)
	var sum time.Duration
	for _, p := range processes {
		sum += p.cpu
	}
	return sum, err
}

// ReadRSS returns the bytes of memory that pids and all their descendants hold.
// Of several processes each page counts once, divided among those that share
// it (Pss), where the system tells; else all of it counts for each. For
// processes with much shared memory it takes many milliseconds.
func ReadRSS(pids ...int) (int64, error) {
	processes, err := family(pids)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, p := range processes {
		path, name := fmt.Sprintf("/proc/%d/smaps_rollup", p.pid), "Pss:"
		if _, err := os.Stat(path); err != nil || len(processes) == 1 {
			path, name = fmt.Sprintf("/proc/%d/status", p.pid), "VmRSS:"
		}
		m, err := fields(path)
		if err != nil {
			return 0, err
		}
		sum += m[name]
	}
	return sum, nil
}

// glanceRSS is a cheap ReadRSS that does not disturb the server: what
// processes share is taken to be as much as one of them has touched.
func glanceRSS(pids ...int) (int64, error) {
	processes, err := family(pids)
	if err != nil {
		return 0, err
	}
	var private, files, shared int64
	for _, p := range processes {
		m, err := fields(fmt.Sprintf("/proc/%d/status", p.pid))
		if err != nil {
			return 0, err
		}
		private += m["RssAnon:"]
		files = max(files, m["RssFile:"])
		shared = max(shared, m["RssShmem:"])
	}
	return private + files + shared, nil
}

// fields reads a file of lines "Name:  123 kB", as bytes.
func fields(path string) (map[string]int64, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProc, err)
	}
	m := map[string]int64{}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) == 3 && f[2] == "kB" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			m[f[0]] = n << 10
		}
	}
	return m, nil
}
