//go:build !race

package presencetest_test

const raced = false
