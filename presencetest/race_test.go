//go:build race

package presencetest_test

// raced: the race detector makes sync.Pool forget on purpose, so that nothing
// about allocations can be told.
const raced = true
