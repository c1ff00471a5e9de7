package load

import "time"

// ReadCPU returns the processor time that pids and all their descendants have used.
func ReadCPU(pids ...int) (time.Duration, error) { return 0, nil }
